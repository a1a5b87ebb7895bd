//! The few words that the databases don't share.

use sqlx::AnyConnection;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite: one process has the file.
    Sqlite,
    /// PostgreSQL: several daemons share it.
    Postgres,
}

/// "landlord" in ASCII.
macro_rules! writers_turn {
    () => {
        "SELECT pg_advisory_xact_lock(7809632576843478628)"
    };
}

/// All daemons' writers take turns by this lock of their database. So what one transaction has inspected stands until it ends,
/// positions of events appear in their order, and nothing has to be repeated for a conflict.
pub(crate) const WRITERS_TURN: &str = writers_turn!();

macro_rules! hand_over {
    () => {
        "left"
    };
}

/// What a notification of the channel says when a daemon has left; the others say nothing.
pub(crate) const HAND_OVER: &str = hand_over!();

impl Dialect {
    /// Of an open connection.
    pub(crate) fn of(connection: &AnyConnection) -> Self {
        if connection.backend_name() == "PostgreSQL" { Self::Postgres } else { Self::Sqlite }
    }

    /// Milliseconds since the epoch by the database's clock.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Self::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// Bytes of the whole database.
    pub(crate) fn size(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            Self::Postgres => "SELECT pg_database_size(current_database())",
        }
    }

    /// Begins a transaction that writes. No other writes until it ends, and it ends soon whatever becomes of its daemon. The
    /// last row of PostgreSQL's response is its id, by which a commit whose response was lost is looked up. Whoever had to wait for its turn
    /// reads what the one before it wrote, whatever isolation the database has by default: a snapshot is taken before the turn comes.
    pub(crate) fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => {
                concat!(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '10s'; \
                     SET LOCAL lock_timeout = '8s'; SET LOCAL idle_in_transaction_session_timeout = '5s'; ",
                    writers_turn!(),
                    "; SELECT CAST(pg_current_xact_id() AS TEXT) AS xid"
                )
            }
        }
    }

    /// Ends it, and wakes other daemons' readers.
    pub(crate) fn commit(self) -> &'static str {
        match self {
            Self::Sqlite => "COMMIT",
            Self::Postgres => "NOTIFY landlord; COMMIT",
        }
    }

    /// Says to the other daemons that one has left, when its transaction is committed; `None`: there are no others.
    pub(crate) fn announce_hand_over(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(concat!("NOTIFY landlord, '", hand_over!(), "'")),
        }
    }

    /// Begins a transaction that reads, whose statements all see the same moment. The last row of PostgreSQL's response says whether
    /// the server follows another one, and so may lack what was acknowledged.
    pub(crate) fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s'; \
                 SET LOCAL idle_in_transaction_session_timeout = '30s'; \
                 SELECT CAST(pg_is_in_recovery() AS TEXT) AS follows"
            }
        }
    }
}
