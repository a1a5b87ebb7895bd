//! What a webhook reads of the events: those after its place that it wants, by tenant. Sends nothing.

use std::collections::BTreeMap;

use landlord_core::{
    TenantName, Timestamp,
    ports::{Event, EventQuery, EventScope, StoreError},
};

use crate::{filter::Filter, ports::Store, progress::Progress};

/// Events read at a time; those of other customers and types among them cost no more than the reading.
pub(crate) const READ: u32 = 500;

/// Events that were read, by tenant, and up to where.
pub(crate) struct Read {
    pub(crate) groups: BTreeMap<TenantName, Vec<Event>>,
    pub(crate) end: i64,
    pub(crate) more: bool,
}

/// Reads for one webhook.
pub(crate) struct Reader<'a> {
    pub(crate) webhook: &'a str,
    pub(crate) store: &'a dyn Store,
    pub(crate) filter: &'a Filter,
}

impl Reader<'_> {
    /// Events after the place, but those of held tenants: as many as there is room for.
    pub(crate) async fn read(
        &self,
        progress: &mut Progress,
        (waited, now): (i64, Timestamp),
        room: usize,
    ) -> Result<Read, StoreError> {
        let after = progress.position();
        let (events, missed) = self.events(self.filter.scope(), after).await?;
        if missed > 0 {
            progress.missed(missed);
            tracing::error!(
                webhook = self.webhook,
                missed,
                "events were removed before they were delivered (store.events_max)"
            );
        }
        let more = events.len() >= READ as usize;
        let mut read = Read { groups: BTreeMap::new(), end: (after + missed).max(waited), more };
        let mut count = 0;
        for event in events {
            if count == room {
                read.more = true;
                break;
            }
            read.end = event.seq;
            let Some(tenant) = event.name.tenant().filter(|tenant| !progress.holds(tenant)).cloned() else { continue };
            if !self.filter.wants(&event) {
                continue;
            }
            if !read.groups.contains_key(&tenant) && progress.waits(&tenant.customer) {
                progress.wait(&tenant, event.seq, now);
                continue;
            }
            count += 1;
            read.groups.entry(tenant).or_default().push(event);
        }
        Ok(read)
    }

    /// Events of a scope after a position, and how many positions the store has forgotten before them.
    pub(crate) async fn events(&self, scope: EventScope, after: i64) -> Result<(Vec<Event>, i64), StoreError> {
        let query = EventQuery { after_seq: after, scope, limit: READ };
        match self.store.events(&query).await {
            Ok(events) => Ok((events, 0)),
            Err(StoreError::InvalidArgument(_)) => {
                let before_oldest = self.store.oldest_event().await?.saturating_sub(1).max(after);
                let events = self.store.events(&EventQuery { after_seq: before_oldest, ..query }).await?;
                Ok((events, before_oldest - after))
            }
            Err(error) => Err(error),
        }
    }
}
