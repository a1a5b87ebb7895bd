//! A host cluster as a whole: what it has for tenants' pods, and how landlord goes from it.

pub(crate) mod capacity;
pub(crate) mod uninstall;
