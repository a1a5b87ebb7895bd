//! The only writer of this process. Each write waits for its own fsync in principle; here all that wait at the
//! same moment share one: they run one after another in one transaction, each in a savepoint of
//! its own, and are acknowledged after the commit.
//!
//! Where the database is another machine's, a transaction that it gave up is run again, and a commit whose response was lost is
//! looked up: nothing is written twice, and nothing is reported as failed that was written.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use landlord_core::ports::{HeadSigner, StoreError};
use sqlx::{AnyConnection, Connection as _, Row as _};
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    contract::identity::{self, Known},
    dialect::Dialect,
    figures::StoreFigures,
    guard::Guard,
    job::{Job, Pending, StoreFailure, lost},
    notify::Notifier,
    rows::{audit, clock},
    target::Target,
};

/// Writes that wait; when full, callers wait before queuing. Far above what one disk's fsync
/// can clear in a second at `BATCH_MAX` each.
const QUEUE_MAX: usize = 4_096;
/// Writes that share a transaction: keeps the first of them waiting for milliseconds only.
const BATCH_MAX: usize = 128;
/// How often the store remembers that a daemon has it open.
const SEEN_INTERVAL: Duration = Duration::from_secs(60);
/// A transaction that the database gave up is run again so often, with the waits below doubling: 6 s in all, less than a
/// caller's deadline. A server that is restarted is back by then.
const TRIES_MAX: u32 = 7;
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// No further try begins later: a database that does not respond takes up a connection's and a response's timeout each time.
const TRY_AGAIN_WITHIN: Duration = Duration::from_secs(20);

/// What became of a transaction; nothing from a server that follows another one.
const FATE: &str = "SELECT pg_xact_status(CAST($1 AS xid8)) WHERE NOT pg_is_in_recovery()";

/// Handle to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
    task: Arc<Mutex<Option<Task>>>,
    /// Why nothing is written any more, once the database is not the one that was opened.
    lost: watch::Receiver<Option<String>>,
    /// Who signs heads of the audit log.
    signer: Signer,
}

type Signer = Arc<OnceLock<Arc<dyn HeadSigner>>>;

#[derive(Debug)]
struct Task {
    /// Sent or dropped: take no more jobs, finish those queued, end.
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

/// Where the writer writes.
pub(crate) struct Database {
    pub(crate) dialect: Dialect,
    /// How to connect again.
    pub(crate) target: Target,
    pub(crate) figures: StoreFigures,
}

impl Database {
    async fn connection(&self) -> Result<AnyConnection, sqlx::Error> {
        self.dialect.connected(self.target.connect()).await
    }
}

impl Writer {
    /// Starts the writer on its own connection. It ends, after all queued writes, when the last
    /// handle is gone or closed.
    #[expect(clippy::disallowed_methods, reason = "the handle owns the task and `close` awaits it")]
    pub(crate) fn start(
        connection: AnyConnection,
        (database, known): (Database, Known),
        notifier: Notifier,
        guard: Arc<dyn Guard>,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = oneshot::channel();
        let (is_lost, lost) = watch::channel(None);
        let connection = Some(connection);
        let signer = Signer::default();
        let (seen, of_state) = (Instant::now(), signer.clone());
        let state = Writing { connection, database, notifier, guard, is_lost, seen, signer: of_state, known };
        let ended = tokio::spawn(run(state, queue, stopped));
        Self { jobs, task: Arc::new(Mutex::new(Some(Task { stop, ended }))), lost, signer }
    }

    /// Has heads of the audit log signed from now on.
    pub(crate) fn sign_audit(&self, signer: Arc<dyn HeadSigner>) {
        let _ = self.signer.set(signer);
    }

    /// Who signs the audit log; `None`: nobody does.
    pub(crate) fn signer(&self) -> Option<Arc<dyn HeadSigner>> {
        self.signer.get().cloned()
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

    /// Runs `change` in the writer, again if the database gave its transaction up; durable when it returns. Dropping the future
    /// does not undo a change that is queued already.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync + 'static,
    {
        let (response, wait) = oneshot::channel();
        let closed = || lost("writing", "the store is closed".into());
        self.jobs.send(Box::new(Pending::new(change, response))).await.map_err(|_| closed())?;
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

/// What the writer works with.
struct Writing {
    /// None: it broke, and is recreated for the next transaction.
    connection: Option<AnyConnection>,
    database: Database,
    notifier: Notifier,
    guard: Arc<dyn Guard>,
    is_lost: watch::Sender<Option<String>>,
    /// When the store last remembered that it is open.
    seen: Instant,
    signer: Signer,
    /// How far the database was, as a new connection must find it.
    known: Known,
}

async fn run(mut state: Writing, mut queue: mpsc::Receiver<Box<dyn Job>>, mut stopped: oneshot::Receiver<()>) {
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
    state.end().await;
}

impl Writing {
    /// Runs the jobs in one transaction, and acknowledges them after it.
    async fn write(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let mut failure = None;
        let began = Instant::now();
        for turn in 1..=TRIES_MAX {
            let Err(lost) = self.transaction(batch).await else {
                failure = None;
                break;
            };
            self.give_up(&lost).await;
            let again = lost.is_transient && turn < TRIES_MAX && began.elapsed() < TRY_AGAIN_WITHIN;
            tracing::error!(problem = lost.problem, again, "a transaction of the store failed");
            failure = Some(lost.problem);
            if !again {
                break;
            }
            self.database.figures.repeats();
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(turn - 1)).await;
        }
        self.database.figures.wrote(batch.len(), failure.is_none(), began.elapsed());
        for job in batch.drain(..) {
            job.acknowledge(failure.as_deref());
        }
        // After the callers: they wait for their own change only.
        let Some(connection) = self.connection.as_mut().filter(|_| failure.is_none()) else { return };
        let notified = async { Ok::<_, StoreFailure>(self.notifier.committed(connection).await?) };
        match self.database.dialect.responded(notified).await {
            Ok(position) => {
                self.known.position = self.known.position.max(position);
                self.guard.committed(position);
            }
            Err(failure) => {
                tracing::error!(
                    problem = failure.problem,
                    "readers that wait for events are woken with the next write only"
                );
                self.give_up(&failure).await;
            }
        }
    }

    async fn transaction(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreFailure> {
        self.check()?;
        let dialect = self.database.dialect;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                self.known.is_new_connection = true;
                none.insert(self.database.connection().await?)
            }
        };
        let begun = dialect.responded(sqlx::raw_sql(dialect.begin_write()).fetch_all(&mut *connection)).await?;
        let id: Option<String> = begun.last().and_then(|row| row.try_get("xid").ok());
        if self.known.is_new_connection {
            let resumed = async { Ok::<_, StoreFailure>(self.known.resume(connection).await?) };
            if let Some(problem) = dialect.responded(resumed).await? {
                return Err(lose(&self.is_lost, problem));
            }
        }
        let mut appended = None;
        for job in batch.iter_mut() {
            appended = dialect.responded(job.run(connection)).await?.or(appended);
        }
        let is_turn = self.seen.elapsed() > SEEN_INTERVAL;
        if is_turn {
            let seen = async {
                let now = clock::now(connection).await?;
                Ok::<_, StoreFailure>(identity::seen(connection, now, false).await?)
            };
            dialect.responded(seen).await?;
            self.seen = Instant::now();
        }
        let signed = match (self.signer.get(), appended) {
            // What was appended earlier waits for a head no longer than until the next turn.
            (Some(signer), appended) if is_turn || appended.is_some() => {
                let signing = async {
                    let chain = match appended {
                        Some(chain) => chain,
                        None => audit::Chain::read(connection).await?,
                    };
                    Ok::<_, StoreFailure>(audit::sign_if_due(connection, &**signer, chain).await?)
                };
                dialect.responded(signing).await?
            }
            (Some(_) | None, _) => None,
        };
        match (dialect.responded(sqlx::raw_sql(dialect.commit()).execute(connection)).await, id) {
            (Ok(_), _) => {}
            (Err(error), Some(id)) if StoreFailure::is_lost_response(&error) => self.settle(&id, error).await?,
            (Err(error), _) => return Err(error.into()),
        }
        self.known.is_new_connection = false;
        if let Some((end, signature)) = signed {
            // Whoever keeps the log elsewhere can show by it that the end of the audit log was not cut off.
            tracing::info!(seq = end.seq, hash = end.hash, signature, "a head of the audit log is signed");
        }
        // What was committed to a file that nobody will open again is not durable.
        self.check()
    }

    /// Whether the commit whose response was lost has happened.
    async fn settle(&mut self, id: &str, error: sqlx::Error) -> Result<(), StoreFailure> {
        self.connection = None;
        let began = Instant::now();
        for turn in 0..TRIES_MAX {
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(turn)).await;
            if began.elapsed() > TRY_AGAIN_WITHIN {
                break;
            }
            let Ok(mut connection) = self.database.connection().await else { continue };
            let status = sqlx::query_scalar(FATE).bind(id).fetch_optional(&mut connection);
            let status = match self.database.dialect.responded::<Option<Option<String>>, sqlx::Error>(status).await {
                Ok(Some(status)) => status,
                // A standby: it may not have heard of it yet.
                Ok(None) => continue,
                // A server that crashed knows of no such transaction yet: nothing of it had reached its log.
                Err(refused) if is_in_the_future(&refused) => Some("aborted".to_owned()),
                Err(_) => continue,
            };
            self.connection = Some(connection);
            self.known.is_new_connection = true;
            match status.as_deref() {
                Some("committed") => return Ok(()),
                Some("aborted") => {
                    return Err(StoreFailure { is_transient: true, ..StoreFailure::lasting(error.to_string()) });
                }
                _ => {}
            }
        }
        // The caller may try again, with the same request id or under the same fence.
        let problem = format!("it is not known whether it was committed: {error}");
        Err(StoreFailure { is_broken: true, ..StoreFailure::lasting(problem) })
    }

    /// Nothing of a failed transaction may stay.
    async fn give_up(&mut self, failure: &StoreFailure) {
        if failure.is_silence {
            self.database.figures.silent();
        }
        if failure.is_broken && self.database.dialect == Dialect::Postgres {
            self.connection = None;
        } else if let Some(connection) = &mut self.connection {
            let rolled_back = self.database.dialect.responded(sqlx::raw_sql("ROLLBACK").execute(connection)).await;
            if rolled_back.is_err() && self.database.dialect == Dialect::Postgres {
                self.connection = None;
            }
        }
    }

    fn check(&self) -> Result<(), StoreFailure> {
        self.guard.check().map_err(|problem| lose(&self.is_lost, problem))
    }

    /// Remembers that the store was closed, and closes it.
    async fn end(self) {
        let Some(mut connection) = self.connection else { return };
        if self.guard.check().is_ok() {
            let closed = async {
                let now = clock::now(&mut connection).await?;
                Ok::<_, StoreFailure>(identity::seen(&mut connection, now, true).await?)
            };
            if let Err(failure) = self.database.dialect.responded(closed).await {
                tracing::error!(
                    problem = failure.problem,
                    "the store can't be marked as closed; the next start may compare inventories"
                );
            }
        }
        let _ = self.database.dialect.responded(connection.close()).await;
    }
}

/// Nothing is written any more: the database is not the one that was opened.
fn lose(is_lost: &watch::Sender<Option<String>>, problem: String) -> StoreFailure {
    is_lost.send_if_modified(|lost| lost.is_none().then(|| *lost = Some(problem.clone())).is_some());
    StoreFailure::lasting(problem)
}

/// Whether the server says of a transaction that its id was not given to any yet (invalid_parameter_value).
fn is_in_the_future(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "22023")
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
