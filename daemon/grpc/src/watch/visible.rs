//! What of a watch its caller may see.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _};
use landlord_core::{
    EnvironmentName,
    access::Resource,
    ports::{StoreError, TenantStore},
};
use tokio::sync::Mutex;

use super::Message;
use crate::{access::Access, error::Error};

/// A decision holds this long for the events of one name: each needs the record.
const DECISION_TTL: Duration = Duration::from_secs(5);
/// Names whose decisions are kept by one watch.
const DECISIONS_MAX: usize = 1_000;

/// Drops the events that `access` does not show. Heartbeats stay: their tokens tell nothing but that time goes on.
pub(crate) fn visible(
    access: Access,
    store: Arc<dyn TenantStore>,
    messages: impl Stream<Item = Result<Message, Error>> + Send + 'static,
) -> impl Stream<Item = Result<Message, Error>> + Send + 'static {
    let decisions = Arc::new(Mutex::new(Decisions { access, store, known: HashMap::new() }));
    messages.filter_map(move |message| {
        let decisions = decisions.clone();
        async move {
            let event = message.as_ref().ok().and_then(|message| message.event.clone());
            match event {
                None => Some(message),
                Some(event) => match decisions.lock().await.shows(&event.name).await {
                    Ok(shown) => shown.then_some(message),
                    Err(error) => Some(Err(error.into())),
                },
            }
        }
    })
}

struct Decisions {
    access: Access,
    store: Arc<dyn TenantStore>,
    known: HashMap<EnvironmentName, (bool, Instant)>,
}

impl Decisions {
    async fn shows(&mut self, name: &EnvironmentName) -> Result<bool, StoreError> {
        if let Some((shown, since)) = self.known.get(name)
            && since.elapsed() < DECISION_TTL
        {
            return Ok(*shown);
        }
        let resource = match self.store.get(name).await {
            Ok(environment) => Resource::from(&environment),
            Err(StoreError::NotFound(_)) => Resource::Environment { name: name.clone(), attributes: None },
            Err(error) => return Err(error),
        };
        let shown = self.access.shows(&resource);
        if self.known.len() >= DECISIONS_MAX {
            self.known.clear();
        }
        self.known.insert(name.clone(), (shown, Instant::now()));
        Ok(shown)
    }
}
