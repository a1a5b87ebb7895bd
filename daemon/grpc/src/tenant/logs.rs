//! GetTenantLogs: lines of a tenant's apps, at the reader's speed. Nothing of them is kept or logged.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use landlord_core::{
    Violation,
    ports::{LogLine, LogQuery, LogSink},
};
use landlord_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    error::{Error, violation},
    name,
    ports::Ports,
    watch::Watches,
};

/// Lines that wait for a slow reader: 4 MiB of the longest.
const WAITING_MAX: usize = 256;
/// A reader that takes no line for this long is cut.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Readers at the same moment: each holds some connections to an API server.
const READERS_MAX: usize = 64;
/// When too many read, most end within this time.
const RETRY_DELAY: Duration = Duration::from_secs(10);
const TAIL_DEFAULT: u32 = 200;
const TAIL_MAX: u32 = 5_000;

/// Who reads at this moment. Clones share it.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Semaphore>);

impl Default for Readers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(READERS_MAX)))
    }
}

type Sent = Result<v1::GetTenantLogsResponse, Error>;

/// Hands lines to a stream; held while it is read.
struct Sink {
    lines: mpsc::Sender<Sent>,
    _reader: OwnedSemaphorePermit,
}

#[tonic::async_trait]
impl LogSink for Sink {
    async fn line(&self, line: LogLine) -> bool {
        let LogLine { app, pod, container, text } = line;
        let lines = vec![v1::LogLine { app, pod, container, text }];
        // Whoever stalls, or is gone, reads no more.
        self.lines.send_timeout(Ok(v1::GetTenantLogsResponse { lines }), STALL_MAX).await.is_ok()
    }
}

fn query(request: &v1::GetTenantLogsRequest) -> Result<LogQuery, Violation> {
    let since = request.since_duration.map(Duration::try_from).transpose();
    let since = since.map_err(|_| violation("since_duration", "must not be negative"))?;
    let tail = match u32::try_from(request.tail_lines) {
        Ok(0) => TAIL_DEFAULT,
        Ok(tail) if tail <= TAIL_MAX => tail,
        _ => return Err(violation("tail_lines", format!("must be 0 to {TAIL_MAX}"))),
    };
    let app = Some(request.app.clone()).filter(|app| !app.is_empty());
    Ok(LogQuery { app, since, tail, follow: request.follow })
}

/// Begins to read.
///
/// # Errors
/// What is wrong with the request; LIMIT_REACHED while too many read. What goes wrong later ends the stream.
pub(super) async fn open(
    ports: Ports,
    watches: &Watches,
    readers: &Readers,
    request: &v1::GetTenantLogsRequest,
) -> Result<impl Stream<Item = Sent> + Send + 'static, Error> {
    let query = query(request)?;
    let name = name::tenant("name", &request.name)?;
    let tenant = ports.store.get(&name.into()).await?;
    let reader = Arc::clone(&readers.0).try_acquire_owned().map_err(|_| Error::LimitReached {
        limit: format!("at most {READERS_MAX} read logs at the same moment"),
        retry_delay: RETRY_DELAY,
    })?;
    let (lines, receiver) = mpsc::channel(WAITING_MAX);
    let failed = lines.clone();
    let sink = Sink { lines, _reader: reader };
    watches.run(async move {
        let read = async {
            let ended = ports.logs.logs(&tenant, &query, &sink).await;
            if let Err(failure) = ended {
                let _ = failed.send_timeout(Err(failure.into()), STALL_MAX).await;
            }
        };
        // Whoever is gone is waited for no longer.
        tokio::select! {
            () = failed.closed() => {}
            () = read => {}
        }
    });
    Ok(stream::unfold(receiver, async |mut receiver: mpsc::Receiver<Sent>| Some((receiver.recv().await?, receiver))))
}
