//! The catalog in force, which a reload of the configuration replaces as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Catalog;

/// The catalog in force. Whoever works with it takes it once, so that one decision is made by one catalog.
#[derive(Debug, Default)]
pub struct CurrentCatalog(RwLock<Arc<Catalog>>);

impl CurrentCatalog {
    /// The one in force at a start.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self(RwLock::new(Arc::new(catalog)))
    }

    /// The one in force now.
    #[must_use]
    pub fn now(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One that stays what it is now: for all that one request decides.
    #[must_use]
    pub fn pinned(&self) -> Self {
        Self(RwLock::new(self.now()))
    }

    /// Puts another one in force, for whoever asks from now on.
    pub fn replace(&self, catalog: Catalog) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }
}
