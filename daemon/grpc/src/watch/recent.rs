//! The newest events in memory, so that any number of watches cost one read of the store.

use std::{collections::VecDeque, sync::Arc};

use landlord_core::ports::{Event, EventQuery, EventScope, StoreError, TenantStore};
use tokio::sync::Mutex;

/// Events kept: a few megabytes with the longest texts. Watches that are further behind read the store themselves.
const KEPT_MAX: usize = 1_000;

/// Where events come from: the part of the store that watches need.
#[tonic::async_trait]
pub(crate) trait EventSource: Send + Sync + 'static {
    /// As [`TenantStore::events`].
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError>;
    /// As [`TenantStore::wait_for_event`].
    async fn wait_for_event(&self, query: &EventQuery) -> i64;
    /// As [`TenantStore::newest_event`].
    async fn newest_event(&self) -> Result<i64, StoreError>;
}

#[tonic::async_trait]
impl EventSource for Arc<dyn TenantStore> {
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        self.as_ref().events(query).await
    }

    async fn wait_for_event(&self, query: &EventQuery) -> i64 {
        self.as_ref().wait_for_event(query).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        self.as_ref().newest_event().await
    }
}

/// Events for one watch.
pub(crate) struct Page {
    /// Oldest first.
    pub(crate) events: Vec<Arc<Event>>,
    /// All events up to here were considered.
    pub(crate) position: i64,
    /// Whether more may follow at once.
    pub(crate) more: bool,
}

/// All events with positions after `after` and up to `to`, of tenants and host clusters.
#[derive(Default)]
struct Kept {
    after: i64,
    to: i64,
    events: VecDeque<Arc<Event>>,
}

/// The newest events, read once for all watches.
pub(crate) struct RecentEvents {
    source: Arc<dyn EventSource>,
    /// Held during a read, so that watches which wake together make one.
    kept: Mutex<Kept>,
}

impl RecentEvents {
    pub(crate) fn new(source: Arc<dyn EventSource>) -> Self {
        Self { source, kept: Mutex::default() }
    }

    pub(crate) fn source(&self) -> &dyn EventSource {
        &*self.source
    }

    /// The next events for `query`. `announced`: a position that the store has announced.
    ///
    /// # Errors
    /// The store's: it is not there, or no longer has the events at the query's position.
    pub(crate) async fn page(&self, query: &EventQuery, announced: i64) -> Result<Page, StoreError> {
        if let Some(page) = self.kept_page(query, announced).await {
            return Ok(page);
        }
        let events: Vec<_> = self.source.events(query).await?.into_iter().map(Arc::new).collect();
        let full = events.len() >= query.limit as usize;
        let last = events.last().map_or(query.after_seq, |event| event.seq);
        // A page that is not full saw everything that was announced before it was read.
        Ok(Page { events, position: if full { last } else { last.max(announced) }, more: full })
    }

    /// From memory; `None`: the store must be read.
    async fn kept_page(&self, query: &EventQuery, announced: i64) -> Option<Page> {
        let mut kept = self.kept.lock().await;
        // A watch that saw nothing new may still be behind the newest events.
        if query.after_seq < kept.after {
            return None;
        }
        while kept.to < announced {
            self.extend(&mut kept, announced).await?;
        }
        if query.after_seq < kept.after {
            return None;
        }
        let first = kept.events.partition_point(|event| event.seq <= query.after_seq);
        let chosen = kept.events.iter().skip(first).filter(|event| chooses(query, event));
        let events: Vec<_> = chosen.take(query.limit as usize).cloned().collect();
        let full = events.len() >= query.limit as usize;
        let last = events.last().map_or(query.after_seq, |event| event.seq);
        Some(Page { events, position: if full { last } else { last.max(kept.to) }, more: full })
    }

    /// Reads what came since; `None`: it can't be read.
    async fn extend(&self, kept: &mut Kept, announced: i64) -> Option<()> {
        let window = i64::try_from(KEPT_MAX).unwrap_or(i64::MAX);
        // After a time without watches: only the newest are of use.
        if announced.saturating_sub(kept.to) > window {
            let after = announced - window;
            *kept = Kept { after, to: after, events: VecDeque::new() };
        }
        let limit = u32::try_from(KEPT_MAX).unwrap_or(u32::MAX);
        let query = EventQuery { after_seq: kept.to, scope: EventScope::All, limit };
        let Ok(events) = self.source.events(&query).await else {
            // The caller reads the store itself and gets its error; the next one starts again.
            *kept = Kept { after: announced, to: announced, events: VecDeque::new() };
            return None;
        };
        let full = events.len() >= KEPT_MAX;
        let last = events.last().map_or(kept.to, |event| event.seq);
        kept.to = if full { last } else { last.max(announced) };
        kept.events.extend(events.into_iter().map(Arc::new));
        while kept.events.len() > KEPT_MAX {
            if let Some(oldest) = kept.events.pop_front() {
                kept.after = oldest.seq;
            }
        }
        Some(())
    }
}

/// Whether a query is about an event: what the store decides by its columns.
pub(super) fn chooses(query: &EventQuery, event: &Event) -> bool {
    match &query.scope {
        EventScope::Tenants => event.name.tenant().is_some(),
        EventScope::Customer(customer) => event.name.customer() == Some(customer),
        EventScope::HostClusters => event.name.host_cluster().is_some(),
        EventScope::Environment(name) => event.name == *name,
        EventScope::All => true,
    }
}
