//! A host cluster as a whole: what it has for tenants' pods, what of it is whose, and how landlord goes from it.

pub(crate) mod capacity;
mod pages;
pub(crate) mod scaled_pool;
pub(crate) mod tenants;
pub(crate) mod uninstall;
