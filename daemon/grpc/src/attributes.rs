//! What is known of environments, for decisions about what happens to them: read once for all watches.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use landlord_core::{
    EnvironmentName, TenantUid,
    access::EnvironmentAttributes,
    ports::{StoreError, TenantStore},
};
use tokio::sync::Mutex;

/// What was read holds this long: a change of a label takes part in decisions about events from then on.
const TTL: Duration = Duration::from_secs(5);
/// Names that are kept; beyond it those that are too old go, or else all.
const KEPT_MAX: usize = 10_000;

/// The attributes of a record, with the record that they are of.
type Known = Option<(TenantUid, EnvironmentAttributes)>;

/// Attributes by name. Clones share them.
#[derive(Clone)]
pub(crate) struct Attributes {
    store: Arc<dyn TenantStore>,
    /// Held during a read, so that watches which need the same one make one.
    known: Arc<Mutex<HashMap<EnvironmentName, (Known, Instant)>>>,
}

impl Attributes {
    pub(crate) fn new(store: Arc<dyn TenantStore>) -> Self {
        Self { store, known: Arc::default() }
    }

    /// Of the environment `uid`; `None`: it is gone, though another one may have its name.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) async fn of(
        &self,
        name: &EnvironmentName,
        uid: TenantUid,
    ) -> Result<Option<EnvironmentAttributes>, StoreError> {
        let mut known = self.known.lock().await;
        let found = known.get(name).filter(|(_, since)| since.elapsed() < TTL).map(|(found, _)| found.clone());
        let found = match found {
            Some(found) => found,
            None => {
                let read = self.read(name).await?;
                if known.len() >= KEPT_MAX {
                    known.retain(|_, (_, since)| since.elapsed() < TTL);
                }
                if known.len() >= KEPT_MAX {
                    known.clear();
                }
                known.insert(name.clone(), (read.clone(), Instant::now()));
                read
            }
        };
        Ok(found.filter(|(of, _)| *of == uid).map(|(_, attributes)| attributes))
    }

    async fn read(&self, name: &EnvironmentName) -> Result<Known, StoreError> {
        match self.store.get(name).await {
            Ok(environment) => Ok(Some((environment.uid, EnvironmentAttributes::from(&environment)))),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
