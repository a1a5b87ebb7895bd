//! What is known of environments, for decisions about what happens to them: read once for all watches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use landlord_core::{
    EnvironmentName, TenantUid,
    access::EnvironmentAttributes,
    ports::{StoreError, TenantStore},
};
use tokio::sync::OnceCell;

use crate::error::maybe;

/// What was read holds this long: a change of a label takes part in decisions about events from then on.
const TTL: Duration = Duration::from_secs(5);
/// Names that are kept; beyond it those that are too old go, or else all.
const KEPT_MAX: usize = 10_000;

/// The attributes of a record, with the record that they are of.
type Known = Option<(TenantUid, EnvironmentAttributes)>;

/// Attributes, read once by whoever asks first, and until when they hold.
type Entry = (Arc<OnceCell<Known>>, Instant);

/// Attributes by name. Clones share them.
#[derive(Clone)]
pub(crate) struct Attributes {
    store: Arc<dyn TenantStore>,
    /// One read for all who need the same record at the same moment; never held during a read, so that nobody waits for another's.
    known: Arc<Mutex<HashMap<EnvironmentName, Entry>>>,
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
        Ok(self.known(name).await?.filter(|(of, _)| *of == uid).map(|(_, attributes)| attributes))
    }

    /// Of whatever has the name; `None`: nothing has.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) async fn named(&self, name: &EnvironmentName) -> Result<Option<EnvironmentAttributes>, StoreError> {
        Ok(self.known(name).await?.map(|(_, attributes)| attributes))
    }

    async fn known(&self, name: &EnvironmentName) -> Result<Known, StoreError> {
        Ok(self.cell(name).get_or_try_init(|| self.read(name)).await?.clone())
    }

    /// Where the attributes of a name are, or will be. A read that failed is made again by whoever comes next.
    fn cell(&self, name: &EnvironmentName) -> Arc<OnceCell<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cell, _)) = known.get(name).filter(|(_, since)| since.elapsed() < TTL) {
            return cell.clone();
        }
        if known.len() >= KEPT_MAX {
            known.retain(|_, (_, since)| since.elapsed() < TTL);
        }
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        let cell = Arc::<OnceCell<Known>>::default();
        known.insert(name.clone(), (cell.clone(), Instant::now()));
        cell
    }

    async fn read(&self, name: &EnvironmentName) -> Result<Known, StoreError> {
        let found = maybe(self.store.get(name).await)?;
        Ok(found.map(|environment| (environment.uid, EnvironmentAttributes::from(&environment))))
    }
}
