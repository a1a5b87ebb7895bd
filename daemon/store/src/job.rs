//! One change that waits for the writer: run in a savepoint of its own, as often as its transaction is, and acknowledged once.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt as _, future::BoxFuture};
use landlord_core::ports::StoreError;
use sqlx::AnyConnection;
use tokio::sync::oneshot;

use crate::{
    rows::audit::{self, Chain},
    silence::is_silence,
};

/// Codes of PostgreSQL after which the same transaction may succeed: serialization failure, deadlock, lock timeout, statement
/// timeout, idle too long, too many connections, whatever a server that stops or starts says, and a server that only reads: after a
/// failover the connection leads to the one that has become the standby.
const TRANSIENT: [&str; 10] =
    ["40001", "40P01", "55P03", "57014", "25P03", "53300", "57P01", "57P02", "57P03", READ_ONLY];
/// Of these the connection is gone, or leads to the wrong server; class 08 beside them.
const BROKEN: [&str; 5] = ["25P03", "57P01", "57P02", "57P03", READ_ONLY];
/// read_only_sql_transaction
const READ_ONLY: &str = "25006";

/// What a server returns to new connections: too many connections, it stops, it recovers, it starts.
const STARTING: [&str; 4] = ["53300", "57P01", "57P02", "57P03"];

/// Why a transaction did not happen.
#[derive(Debug)]
pub(crate) struct StoreFailure {
    pub(crate) problem: String,
    /// The same may succeed.
    pub(crate) is_transient: bool,
    /// The connection can't be used any more.
    pub(crate) is_broken: bool,
    /// No response came.
    pub(crate) is_silence: bool,
}

impl StoreFailure {
    /// Something that repeating does not mend, and that is not the connection's fault.
    pub(crate) fn lasting(problem: String) -> Self {
        Self { problem, is_transient: false, is_broken: false, is_silence: false }
    }

    /// Whether a statement may have been carried out all the same.
    pub(crate) fn is_lost_response(error: &sqlx::Error) -> bool {
        is_broken(error)
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        other => code(other).is_some_and(|code| BROKEN.contains(&code.as_str()) || code.starts_with("08")),
    }
}

/// Whether it is what a server says that starts or restarts, or the error of a socket where one will be, or of a balancer that has no
/// server; or all that was reached is a server that follows another one.
pub(crate) fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => {
            use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, NotConnected, NotFound, UnexpectedEof};
            matches!(error.kind(), ConnectionRefused | ConnectionReset | NotConnected | NotFound | UnexpectedEof)
        }
        // As the library has it that nothing came when it asked for TLS; a place in its source follows.
        sqlx::Error::Protocol(problem) => problem.contains("SSLRequest: 0x00"),
        other => code(other).is_some_and(|code| STARTING.contains(&code.as_str())),
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    is_broken(error) || code(error).is_some_and(|code| TRANSIENT.contains(&code.as_str()))
}

impl From<sqlx::Error> for StoreFailure {
    fn from(error: sqlx::Error) -> Self {
        Self {
            problem: error.to_string(),
            is_transient: is_transient(&error),
            is_broken: is_broken(&error),
            is_silence: is_silence(&error),
        }
    }
}

impl From<StoreError> for StoreFailure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { source, .. } => match source.downcast::<sqlx::Error>() {
                Ok(error) => (*error).into(),
                Err(source) => Self::lasting(source.to_string()),
            },
            other => Self::lasting(other.to_string()),
        }
    }
}

/// Whether the database gave the whole transaction up.
fn ends_transaction(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    source.downcast_ref::<sqlx::Error>().is_some_and(is_transient)
}

pub(crate) fn lost(context: &str, problem: String) -> StoreError {
    StoreError::Unavailable { context: context.into(), source: problem.into() }
}

/// A change as the writer sees it.
pub(crate) trait Job: Send {
    /// Runs the change and keeps its result; gives where it left the end of the audit log, if it appended to it. An error: the
    /// transaction can't go on.
    fn run<'c>(&'c mut self, connection: &'c mut AnyConnection) -> BoxFuture<'c, Result<Option<Chain>, StoreFailure>>;

    /// Lets the caller know, after the transaction; `failure`: it did not happen.
    fn acknowledge(self: Box<Self>, failure: Option<&str>);
}

/// A change, and who waits for it.
pub(crate) struct Pending<T, F> {
    change: F,
    result: Option<Result<T, StoreError>>,
    response: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Pending<T, F> {
    pub(crate) fn new(change: F, response: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { change, result: None, response }
    }
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
{
    /// All of the change or nothing of it. One that panics is undone, and the writer goes on.
    fn run<'c>(&'c mut self, connection: &'c mut AnyConnection) -> BoxFuture<'c, Result<Option<Chain>, StoreFailure>> {
        Box::pin(async move {
            sqlx::query("SAVEPOINT change").execute(&mut *connection).await?;
            let change = &self.change;
            let changing = AssertUnwindSafe(async { change(&mut *connection).await }).catch_unwind();
            let (changed, appended) = audit::following(changing).await;
            let result = changed.unwrap_or_else(|_| {
                tracing::error!("a write panicked and is undone");
                Err(lost("writing", "the write panicked; this is a fault of landlord, its log has the place".into()))
            });
            match result {
                Err(error) if ends_transaction(&error) => return Err(error.into()),
                Err(_) => {
                    sqlx::query("ROLLBACK TO change").execute(&mut *connection).await?;
                }
                Ok(_) => {}
            }
            sqlx::query("RELEASE change").execute(&mut *connection).await?;
            // What is undone has appended nothing.
            let appended = appended.filter(|_| result.is_ok());
            self.result = Some(result);
            Ok(appended)
        })
    }

    fn acknowledge(self: Box<Self>, failure: Option<&str>) {
        let result = match (failure, self.result) {
            (None, Some(result)) => result,
            (Some(problem), _) => Err(lost("committing", problem.to_owned())),
            (None, None) => Err(lost("writing", "it was not run".into())),
        };
        // A caller that has gone away needs no response.
        let _ = self.response.send(result);
    }
}
