//! GetTenantLogs: lines of a tenant's apps, at the reader's speed. Nothing of them is kept or logged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::Stream;
use landlord_core::{
    CustomerId, Environment, Violation,
    access::{Action, Resource},
    audit::{AuditRecord, Outcome},
    ports::{LogLine, LogQuery, LogSink, StoreError},
};
use landlord_proto::v1;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, error::SendTimeoutError},
};

use crate::{
    access::Access,
    error::{Error, violation},
    name,
    ports::Ports,
    shares::{Share, Shares},
    watch::Watches,
};

/// Lines that wait for a slow reader: 4 MiB of the longest.
const WAITING_MAX: usize = 256;
/// A reader that takes no line for this long is cut.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Readers at the same moment: each holds some connections to an API server.
const READERS_MAX: usize = 64;
/// Readers of one customer's tenants among them.
const READERS_OF_CUSTOMER_MAX: usize = 8;
/// Between two looks whether the caller may still read them.
const RIGHTS_INTERVAL: Duration = Duration::from_secs(15);
/// When too many read, most end within this time.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// Lines of each container, where neither a number nor a time is asked for.
const TAIL_DEFAULT: u32 = 200;
const TAIL_MAX: u32 = 5_000;

/// Who reads at this moment. Clones share it.
#[derive(Clone)]
pub(crate) struct Readers {
    all: Arc<Semaphore>,
    by_customer: Arc<Shares<CustomerId>>,
}

impl Default for Readers {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(READERS_MAX)), by_customer: Arc::default() }
    }
}

impl Readers {
    /// A place to read from; one customer's users leave room for the others.
    fn begin(&self, customer: &CustomerId) -> Result<(OwnedSemaphorePermit, Share<CustomerId>), Error> {
        let full = |most: usize| Error::LimitReached {
            limit: format!("at most {most} read logs at the same moment"),
            retry_delay: RETRY_DELAY,
        };
        let share = self.by_customer.take(customer.clone(), READERS_OF_CUSTOMER_MAX);
        let share = share.ok_or_else(|| full(READERS_OF_CUSTOMER_MAX))?;
        let reader = Arc::clone(&self.all).try_acquire_owned().map_err(|_| full(READERS_MAX))?;
        Ok((reader, share))
    }
}

type Sent = Result<v1::GetTenantLogsResponse, Error>;

/// Hands lines to a stream; held while it is read.
struct Sink {
    lines: mpsc::Sender<v1::GetTenantLogsResponse>,
    /// Whether the reader took no line for too long.
    has_stalled: AtomicBool,
    _reader: (OwnedSemaphorePermit, Share<CustomerId>),
}

#[tonic::async_trait]
impl LogSink for Sink {
    async fn line(&self, line: LogLine) -> bool {
        let LogLine { app, pod, container, text } = line;
        let lines = vec![v1::LogLine { app, pod, container, text }];
        // Whoever stalls, or is gone, reads no more.
        match self.lines.send_timeout(v1::GetTenantLogsResponse { lines }, STALL_MAX).await {
            Ok(()) => true,
            Err(SendTimeoutError::Closed(_)) => false,
            Err(SendTimeoutError::Timeout(_)) => {
                self.has_stalled.store(true, Ordering::Relaxed);
                false
            }
        }
    }
}

fn query(request: &v1::GetTenantLogsRequest) -> Result<LogQuery, Violation> {
    let since = request.since_duration.map(Duration::try_from).transpose();
    let since = since.map_err(|_| violation("since_duration", "must not be negative"))?;
    let tail = match u32::try_from(request.tail_lines) {
        // Who asks for a time wants all of it.
        Ok(0) if since.is_some() => TAIL_MAX,
        Ok(0) => TAIL_DEFAULT,
        Ok(tail) if tail <= TAIL_MAX => tail,
        _ => return Err(violation("tail_lines", format!("must be 0 to {TAIL_MAX}"))),
    };
    let app = Some(request.app.clone()).filter(|app| !app.is_empty());
    Ok(LogQuery { app, since, tail, follow: request.follow })
}

/// Longest name of an app that the audit log keeps: no app has a longer one, and a caller may ask for any.
const APP_CHARS_MAX: usize = 63;

/// What the audit log keeps of what is read.
fn described(query: &LogQuery) -> String {
    let shown = |app: &str| format!("the app {}", app.chars().take(APP_CHARS_MAX).collect::<String>());
    let of = query.app.as_deref().map_or("all apps".to_owned(), shown);
    format!("the logs of {of}{}", if query.follow { ", and what follows" } else { "" })
}

/// Begins to read.
///
/// # Errors
/// What is wrong with the request; LIMIT_REACHED while too many read. What goes wrong later ends the stream.
pub(super) async fn open(
    ports: Ports,
    access: &Access,
    watches: &Watches,
    readers: &Readers,
    request: &v1::GetTenantLogsRequest,
) -> Result<impl Stream<Item = Sent> + Send + 'static, Error> {
    let query = query(request)?;
    let name = name::tenant("name", &request.name)?;
    // Who may not read the tenant learns nothing of its readers, and takes no place of theirs.
    let tenant = ports.store.get(&name.clone().into()).await?;
    let reader = readers.begin(&name.customer)?;
    // Before a line leaves: an app may write anything into its logs.
    let record = access.record(Action::GetTenantLogs, &Resource::from(&tenant), Outcome::Done);
    ports.audit.record(vec![AuditRecord { detail: described(&query), ..record }]).await?;
    let ends = access.ends();
    let (lines, receiver) = mpsc::channel(WAITING_MAX);
    let reader_gone = lines.clone();
    let sink = Sink { lines, has_stalled: AtomicBool::new(false), _reader: reader };
    Ok(watches.fed(receiver, async move {
        let read = async {
            let read = ports.logs.logs(&tenant, &query, &sink).await;
            let has_stalled = sink.has_stalled.load(Ordering::Relaxed);
            read.err().map(Error::from).or(has_stalled.then_some(Error::LogsTooSlow))
        };
        // Whoever is gone is waited for no longer.
        tokio::select! {
            () = reader_gone.closed() => None,
            error = read => error,
            () = tokio::time::sleep_until(ends) => Some(Error::Reauthenticate),
            error = forbidden(&ports, &tenant) => Some(error.into()),
        }
    }))
}

/// Waits until the caller may not read the tenant any more, or it is another one.
async fn forbidden(ports: &Ports, tenant: &Environment) -> StoreError {
    loop {
        tokio::time::sleep(RIGHTS_INTERVAL).await;
        match ports.store.get(&tenant.name()).await {
            Ok(now) if now.uid == tenant.uid => {}
            Ok(_) => return StoreError::NotFound(tenant.name().to_string()),
            Err(error @ (StoreError::NotFound(_) | StoreError::PermissionDenied { .. })) => return error,
            // The store is away for a moment.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_asked_for_as_a_whole() {
        let asked = |since: Option<i64>, tail_lines: i32| {
            let since_duration = since.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
            query(&v1::GetTenantLogsRequest { since_duration, tail_lines, ..Default::default() })
                .map(|query| query.tail)
        };
        assert_eq!(asked(None, 0).unwrap(), TAIL_DEFAULT);
        assert_eq!(asked(Some(3_600), 0).unwrap(), TAIL_MAX, "the newest 200 lines are not the last hour");
        assert_eq!(asked(Some(3_600), 10).unwrap(), 10);
        assert!(asked(None, 5_001).is_err() && asked(None, -1).is_err() && asked(Some(-1), 0).is_err());
    }
}
