//! The only writer. Each write waits for its own fsync in principle; here all that wait at the
//! same moment share one: they run one after another in one transaction, each in a savepoint of
//! its own, and are acknowledged after the commit.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use landlord_core::ports::StoreError;
use sqlx::{AnyConnection, Connection as _};
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    contract::identity,
    guard::Guard,
    notify::Notifier,
    rows::{clock, unavailable},
};

/// Writes that wait; when full, callers wait before queuing. Far above what one disk's fsync
/// can clear in a second at `BATCH_MAX` each.
const QUEUE_MAX: usize = 4_096;
/// Writes that share a transaction: keeps the first of them waiting for milliseconds only.
const BATCH_MAX: usize = 128;
/// How often the store remembers that a daemon has it open.
const SEEN_INTERVAL: Duration = Duration::from_secs(60);

/// Lets a waiting caller know how its write went; called after the commit, with its failure if any.
type Acknowledge = Box<dyn FnOnce(Option<String>) + Send>;
/// `None`: no transaction could be begun, so nothing may be written.
type Job = Box<dyn for<'c> FnOnce(Option<&'c mut AnyConnection>) -> BoxFuture<'c, Acknowledge> + Send>;

/// Handle to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    task: Arc<Mutex<Option<Task>>>,
    /// Why nothing is written any more, once the database is not the one that was opened.
    lost: watch::Receiver<Option<String>>,
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
    pub(crate) fn start(connection: AnyConnection, notifier: Notifier, guard: Arc<dyn Guard>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = oneshot::channel();
        let (is_lost, lost) = watch::channel(None);
        let state = Writing { connection, notifier, guard, is_lost, seen: Instant::now() };
        let ended = tokio::spawn(run(state, queue, stopped));
        Self { jobs, task: Arc::new(Mutex::new(Some(Task { stop, ended }))), lost }
    }

    /// Waits until the database is found to be another one than was opened; says what happened to it.
    pub(crate) async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        let found = lost.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match found {
            Some(reason) => reason,
            // The writer has ended: nothing is found any more.
            None => std::future::pending().await,
        }
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

/// All of the change or nothing of it. One that panics is undone, and the writer goes on.
async fn in_savepoint<T, F>(connection: &mut AnyConnection, change: F) -> Result<T, StoreError>
where
    F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, StoreError>>,
{
    let failed = unavailable("writing");
    sqlx::query("SAVEPOINT change").execute(&mut *connection).await.map_err(&failed)?;
    let result = AssertUnwindSafe(async { change(connection).await }).catch_unwind().await;
    let result = result.unwrap_or_else(|_| {
        tracing::error!("a write panicked and is undone");
        Err(lost("writing", "the write panicked; this is a fault of landlord, its log has the place".into()))
    });
    if result.is_err() {
        sqlx::query("ROLLBACK TO change").execute(&mut *connection).await.map_err(&failed)?;
    }
    sqlx::query("RELEASE change").execute(&mut *connection).await.map_err(&failed)?;
    result
}

/// What the writer works with.
struct Writing {
    connection: AnyConnection,
    notifier: Notifier,
    guard: Arc<dyn Guard>,
    is_lost: watch::Sender<Option<String>>,
    /// When the store last remembered that it is open.
    seen: Instant,
}

async fn run(mut state: Writing, mut queue: mpsc::Receiver<Job>, mut stopped: oneshot::Receiver<()>) {
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
        state.write(&mut batch).await;
    }
    if state.guard.check().is_ok()
        && let Err(error) = state.remember(true).await
    {
        tracing::error!(%error, "the store can't be marked as closed; the next start compares inventories if it is late");
    }
    let _ = state.connection.close().await;
}

impl Writing {
    /// Runs the jobs in one transaction, and acknowledges them after it.
    async fn write(&mut self, batch: &mut Vec<Job>) {
        let begun = self.begin().await;
        let mut acknowledgements = Vec::with_capacity(batch.len());
        for job in batch.drain(..) {
            let connection = begun.is_ok().then_some(&mut self.connection);
            acknowledgements.push(job(connection).await);
        }
        let ended = match begun {
            Ok(()) => self.commit().await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &ended {
            tracing::error!(problem, "a transaction of the store failed");
            // Nothing of it may stay: the callers learn that it did not happen.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        }
        let failure = ended.err();
        for acknowledge in acknowledgements {
            acknowledge(failure.clone());
        }
        // After the callers: they wait for their own change only.
        if failure.is_none() {
            match self.notifier.committed(&mut self.connection).await {
                Ok(position) => self.guard.committed(position),
                Err(error) => {
                    tracing::error!(%error, "readers that wait for events are woken with the next write only");
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<(), String> {
        self.check()?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await.map_err(|error| error.to_string())?;
        if self.seen.elapsed() > SEEN_INTERVAL {
            self.remember(false).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), String> {
        sqlx::query("COMMIT").execute(&mut self.connection).await.map_err(|error| error.to_string())?;
        // What was committed to a file that nobody will open again is not durable.
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        self.guard.check().inspect_err(|problem| {
            self.is_lost.send_if_modified(|lost| lost.is_none().then(|| *lost = Some(problem.clone())).is_some());
        })
    }

    async fn remember(&mut self, clean: bool) -> Result<(), StoreError> {
        let now = clock::now(&mut self.connection).await?;
        identity::seen(&mut self.connection, now, clean).await?;
        self.seen = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use landlord_core::ports::StoreError;

    use crate::{SqliteOptions, sqlite};

    #[tokio::test]
    async fn a_write_that_panics_is_undone_and_the_next_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { create: true, ..SqliteOptions::default() };
        let store = Arc::new(sqlite::open(&folder.path().join("landlord.db"), options).await.unwrap());
        let half = "INSERT INTO orphans VALUES ('p', 'c', 'u', 'r', '[]', 0)";
        let panicking = store.writer.write(move |connection| {
            Box::pin(async move {
                sqlx::query(half).execute(connection).await.unwrap();
                panic!("a fault")
            })
        });
        let panicked: Result<(), StoreError> = panicking.await;
        assert!(matches!(panicked, Err(StoreError::Unavailable { .. })), "{panicked:?}");
        let count = store.writer.write(|connection| {
            Box::pin(async move {
                let count: i64 =
                    sqlx::query_scalar("SELECT COUNT(*) FROM orphans").fetch_one(connection).await.unwrap();
                Ok(count)
            })
        });
        assert_eq!(count.await.unwrap(), 0);
    }
}
