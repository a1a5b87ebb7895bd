//! The only writer. Each write waits for its own fsync in principle; here all that wait at the
//! same moment share one: they run one after another in one transaction, each in a savepoint of
//! its own, and are acknowledged after the commit.

use std::sync::Arc;

use futures::future::BoxFuture;
use landlord_core::ports::StoreError;
use sqlx::{AnyConnection, Connection as _};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{notify::Notifier, rows::unavailable};

/// Writes that wait; when full, callers wait before queuing. Far above what one disk's fsync
/// can clear in a second at `BATCH_MAX` each.
const QUEUE_MAX: usize = 4_096;
/// Writes that share a transaction: keeps the first of them waiting for milliseconds only.
const BATCH_MAX: usize = 128;

/// Lets a waiting caller know how its write went; called after the commit, with its failure if any.
type Acknowledge = Box<dyn FnOnce(Option<String>) + Send>;
/// `None`: no transaction could be begun, so nothing may be written.
type Job = Box<dyn for<'c> FnOnce(Option<&'c mut AnyConnection>) -> BoxFuture<'c, Acknowledge> + Send>;

/// Handle to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    task: Arc<Mutex<Option<Task>>>,
}

#[derive(Debug)]
struct Task {
    /// Sent or dropped: take no more jobs, finish those queued, end.
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Writer {
    /// Starts the writer on its own connection. It ends, after all queued writes, when the last
    /// handle is gone or closed.
    #[expect(clippy::disallowed_methods, reason = "the handle owns the task and `close` awaits it")]
    pub(crate) fn start(connection: AnyConnection, notifier: Notifier) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(run(connection, queue, stopped, notifier));
        Self { jobs, task: Arc::new(Mutex::new(Some(Task { stop, ended }))) }
    }

    /// Runs `change` in the writer; durable when it returns. Dropping the future does not undo
    /// a change that is queued already.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (response, wait) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let result = match connection {
                    Some(connection) => in_savepoint(connection, change).await,
                    None => Err(lost("writing", "no transaction could be begun".into())),
                };
                let acknowledge: Acknowledge = Box::new(move |failure| {
                    let result = match failure {
                        None => result,
                        Some(problem) => Err(lost("committing", problem)),
                    };
                    // A caller that has gone away needs no response.
                    let _ = response.send(result);
                });
                acknowledge
            })
        });
        let closed = || lost("writing", "the store is closed".into());
        self.jobs.send(job).await.map_err(|_| closed())?;
        wait.await.map_err(|_| closed())?
    }

    /// Ends after all queued writes, with the connection closed. Later writes fail.
    pub(crate) async fn close(&self) {
        let Some(Task { stop, ended }) = self.task.lock().await.take() else { return };
        let _ = stop.send(());
        if let Err(error) = ended.await {
            tracing::error!(%error, "the store's writer did not end well");
        }
    }
}

fn lost(context: &str, problem: String) -> StoreError {
    StoreError::Unavailable { context: context.into(), source: problem.into() }
}

async fn in_savepoint<T, F>(connection: &mut AnyConnection, change: F) -> Result<T, StoreError>
where
    F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, StoreError>>,
{
    let failed = unavailable("writing");
    sqlx::query("SAVEPOINT change").execute(&mut *connection).await.map_err(&failed)?;
    let result = change(connection).await;
    if result.is_err() {
        sqlx::query("ROLLBACK TO change").execute(&mut *connection).await.map_err(&failed)?;
    }
    sqlx::query("RELEASE change").execute(&mut *connection).await.map_err(&failed)?;
    result
}

async fn run(
    mut connection: AnyConnection,
    mut queue: mpsc::Receiver<Job>,
    mut stopped: oneshot::Receiver<()>,
    notifier: Notifier,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped, if open => {
                open = false;
                queue.close();
                continue;
            }
            jobs = queue.recv_many(&mut batch, BATCH_MAX) => if jobs == 0 { break },
        }
        let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await;
        let mut acknowledgements = Vec::with_capacity(batch.len());
        for job in batch.drain(..) {
            let connection = begun.is_ok().then_some(&mut connection);
            acknowledgements.push(job(connection).await);
        }
        let ended = match begun {
            Ok(_) => sqlx::query("COMMIT").execute(&mut connection).await.map(|_| ()),
            Err(error) => Err(error),
        };
        let failure = ended.err().map(|error| error.to_string());
        if let Some(problem) = &failure {
            tracing::error!(problem, "a transaction of the store failed");
            // Nothing of it may stay: the callers learn that it did not happen.
            let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
        }
        for acknowledge in acknowledgements {
            acknowledge(failure.clone());
        }
        // After the callers: they wait for their own change only.
        if failure.is_none()
            && let Err(error) = notifier.committed(&mut connection).await
        {
            tracing::error!(%error, "readers that wait for events are woken with the next write only");
        }
    }
    let _ = connection.close().await;
}
