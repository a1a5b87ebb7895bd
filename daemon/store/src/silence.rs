//! How long a response of the database is waited for. A connection can die without a word: a machine that lost its power, a
//! firewall that forgot it, a pooler that hangs. The operating system would wait for a quarter of an hour, or for ever.

use std::{io, time::Duration};

use tokio::time::timeout;

use crate::dialect::Dialect;

/// A server ends a statement by itself after 10 s (`dialect.rs`): what has not returned by then never will.
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_secs(12);
/// A server on the same continent takes tens of milliseconds, with TLS.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What stands for a response that did not come.
pub(crate) fn silent(limit: Duration) -> sqlx::Error {
    let problem = format!("the database did not respond within {} s", limit.as_secs());
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, problem))
}

/// What stands for a server that was reached and follows another one: which of them writes may be another one in a moment.
pub(crate) fn follows() -> sqlx::Error {
    let problem = "the database's server follows another one (it is a standby), and store.url leads to no other";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::NotConnected, problem))
}

/// Whether an error is the one of a response that did not come.
pub(crate) fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

impl Dialect {
    /// Waits for a response of the database. The connection is in an unknown state when none came: it must be given up. A file
    /// always responds, however slow its disk is: a write to it can't be left alone half done.
    pub(crate) async fn responded<T, E>(self, response: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: From<sqlx::Error>,
    {
        self.within(REPLY_TIMEOUT, response).await
    }

    /// Waits for a new connection.
    pub(crate) async fn connected<T, E>(self, connection: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: From<sqlx::Error>,
    {
        self.within(CONNECT_TIMEOUT, connection).await
    }

    async fn within<T, E>(self, limit: Duration, response: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: From<sqlx::Error>,
    {
        match self {
            Self::Sqlite => response.await,
            Self::Postgres => timeout(limit, response).await.unwrap_or_else(|_| Err(silent(limit).into())),
        }
    }
}
