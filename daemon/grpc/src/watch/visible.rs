//! What of a watch its caller may see, and for how long.

use std::{
    collections::HashMap,
    future::Future as _,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, stream};
use landlord_core::{EnvironmentName, TenantUid, access::Resource, ports::StoreError};
use tokio::sync::Mutex;

use super::Message;
use crate::{access::Access, error::Error};

/// A decision holds this long for the events of one record.
const DECISION_TTL: Duration = Duration::from_secs(5);
/// Names whose decisions are kept by one watch.
const DECISIONS_MAX: usize = 1_000;

/// Drops the events that `access` does not show, and ends when its caller must authenticate again. Heartbeats stay: they come
/// at their times, whatever else happens, and their tokens reveal nothing.
pub(crate) fn visible(
    access: Access,
    messages: impl Stream<Item = Result<Message, Error>> + Send + 'static,
) -> impl Stream<Item = Result<Message, Error>> + Send + 'static {
    let end = tokio::time::sleep_until(access.ends());
    let decisions = Arc::new(Mutex::new(Decisions { access, known: HashMap::new() }));
    let shown = messages.filter_map(move |message| {
        let decisions = decisions.clone();
        async move {
            let event = message.as_ref().ok().and_then(|message| message.event.clone());
            match event {
                None => Some(message),
                Some(event) => match decisions.lock().await.shows(&event.name, event.uid).await {
                    Ok(shown) => shown.then_some(message),
                    Err(error) => Some(Err(error.into())),
                },
            }
        }
    });
    let mut shown = Box::pin(shown);
    let mut end = Box::pin(end);
    let mut is_over = false;
    stream::poll_fn(move |cx| {
        if is_over {
            return Poll::Ready(None);
        }
        if end.as_mut().poll(cx).is_ready() {
            is_over = true;
            return Poll::Ready(Some(Err(Error::Reauthenticate)));
        }
        shown.as_mut().poll_next(cx)
    })
}

struct Decisions {
    access: Access,
    known: HashMap<EnvironmentName, (TenantUid, bool, Instant)>,
}

impl Decisions {
    async fn shows(&mut self, name: &EnvironmentName, uid: TenantUid) -> Result<bool, StoreError> {
        if let Some((of, shown, since)) = self.known.get(name)
            && *of == uid
            && since.elapsed() < DECISION_TTL
        {
            return Ok(*shown);
        }
        let attributes = self.access.attributes().of(name, uid).await?;
        let shown = self.access.shows(&Resource::Environment { name: name.clone(), attributes });
        if self.known.len() >= DECISIONS_MAX {
            self.known.clear();
        }
        self.known.insert(name.clone(), (uid, shown, Instant::now()));
        Ok(shown)
    }
}
