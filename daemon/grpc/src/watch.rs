//! Watch: the store's events as a stream that can be resumed. The store is polled: its events
//! are the truth, and a client that is slow keeps nothing in our memory.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use landlord_core::ports::{EventQuery, TenantStore};
use landlord_proto::v1;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{convert, request, status};

/// New events are looked for this often.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A message is sent at least this often: proxies and clients drop silent streams after a minute.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// Events read at once, and so held in memory for a slow client.
const BATCH_MAX: u32 = 100;

struct Watch {
    store: Arc<dyn TenantStore>,
    query: EventQuery,
    waiting: std::collections::VecDeque<v1::WatchTenantsResponse>,
    last_sent: Instant,
    stop: CancellationToken,
}

/// The stream of a request.
pub(crate) async fn stream(
    store: Arc<dyn TenantStore>,
    asked: v1::WatchTenantsRequest,
    stop: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send, Status> {
    let (customer, tenant) = if asked.parent.contains("/tenants/") {
        (None, Some(request::tenant_name("parent", &asked.parent)?))
    } else {
        (request::customer_or_all(&asked.parent)?, None)
    };
    let newest = store.newest_event().await.map_err(|error| status::store(&error))?;
    let after_seq = match asked.resume_token.as_str() {
        "" => newest,
        // A position that was never reached comes from another store, and would wait for ever.
        token => token.parse().ok().filter(|seq| (0..=newest).contains(seq)).ok_or_else(|| {
            let problem = "is not a token of this daemon's watches; list the tenants again and watch without one";
            status::invalid_field("resume_token", problem)
        })?,
    };
    let query = EventQuery { after_seq, customer, tenant, limit: BATCH_MAX };
    // A token that is too old is refused before the stream begins.
    let probe = EventQuery { limit: 1, ..query.clone() };
    store.events(&probe).await.map_err(|error| status::store(&error))?;
    let first = v1::WatchTenantsResponse { event: None, resume_token: after_seq.to_string() };
    let watch = Watch { store, query, waiting: [first].into(), last_sent: Instant::now(), stop };
    Ok(stream::unfold(watch, next))
}

async fn next(mut watch: Watch) -> Option<(Result<v1::WatchTenantsResponse, Status>, Watch)> {
    loop {
        if let Some(response) = watch.waiting.pop_front() {
            watch.last_sent = Instant::now();
            return Some((Ok(response), watch));
        }
        match watch.store.events(&watch.query).await {
            Ok(events) => {
                for event in events {
                    watch.query.after_seq = event.seq;
                    watch.waiting.push_back(v1::WatchTenantsResponse {
                        event: Some(convert::event(&event)),
                        resume_token: event.seq.to_string(),
                    });
                }
            }
            Err(error) => return Some((Err(status::store(&error)), watch)),
        }
        if !watch.waiting.is_empty() {
            continue;
        }
        if watch.last_sent.elapsed() >= HEARTBEAT_INTERVAL {
            watch
                .waiting
                .push_back(v1::WatchTenantsResponse { event: None, resume_token: watch.query.after_seq.to_string() });
            continue;
        }
        tokio::select! {
            () = watch.stop.cancelled() => return Some((Err(status::stopping()), watch)),
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
