//! A host cluster as a whole: what it has for tenants' pods, what of it is whose, and how landlord goes from it.

pub(crate) mod capacity;
#[cfg(test)]
mod fake_api;
mod pages;
pub(crate) mod scaled_pool;
pub(crate) mod tenants;
pub(crate) mod uninstall;
