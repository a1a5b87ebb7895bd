//! Durable state of landlord: what was promised, and how far each promise is. The only queue.
//!
//! # Expected flow
//! The API writes through [`TenantStore`]: each accepted change is a record, an operation and an event in one transaction.
//! The engine works through [`WorkStore`]: it claims what is due, loads it, commits what it did under the claim's fence, and
//! gives the claim back with the time at which it is due again. Whoever watches waits for a position and reads a page.
//!
//! # Guarantees
//! - Acknowledged is durable: a call that returns success survives a kill and a power cut.
//! - All or nothing: a refused call has written nothing, and costs those that share its transaction nothing.
//! - A request id counts once per scope; a replay gets the operation that the first call made.
//! - An environment has one worker at a time. A claim that was lost, over or given back writes nothing
//!   ([`StoreError::FenceLost`]). What the API changed during a pass voids that pass's verdict, not the records of its stages.
//! - A domain, and a place in a host cluster, belongs to one tenant until that tenant's record is gone.
//! - Events have growing positions without gaps to wait for: whoever resumes after a position misses nothing that is kept.
//! - A call ends, whatever the database does: a server of which nothing is received for 12 s fails it or has it repeated (`silence.rs`).
//! - Nothing is cached: what a caller reads is what was committed last. No caller's speed holds a connection.
//!
//! `tests/store-contract` holds a store to all of these; it knows the ports only.
//!
//! # Assumptions
//! The database keeps what it acknowledged (`fsync` is honest). Times are compared with the database's clock only. On SQLite
//! one process has the file open, on a file system with working locks. On PostgreSQL (15 or newer) any number of daemons share
//! a database that is theirs alone; their writers take turns, and an account's environments are worked on by one of them.
//!
//! # Errors
//! [`StoreError`]: refusals say what would be accepted; [`StoreError::Unavailable`] may be repeated with the same request id.
//! [`Error`]: why a store can't be opened, and who must do what.
//!
//! # Cancellation
//! A dropped write may still happen: it is queued. A dropped read or wait loses nothing.
//!
//! # Rooms
//! `rows` are the tables and their statements, `contract` the promises on top of them, both portable between databases.
//! `write.rs` is the only writer of a process. What one database alone can do stands in `sqlite` and `postgres`. `transfer` moves a store from one to the other.
//!
//! # Example
//! ```
//! # use landlord_store_contract::fixtures::{name, new, once};
//! use std::time::Duration;
//!
//! use landlord_core::ports::{Commit, Release, TenantStore as _, WorkStore as _};
//! use landlord_store::{SqliteOptions, sqlite};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("landlord.db");
//! # let order = new(&name("acme", "prod"), once());
//! let store = sqlite::open(&path, SqliteOptions { create: true, ..SqliteOptions::default() }).await?;
//! // The API accepts an order: durable when it returns.
//! let accepted = store.create(order).await?;
//!
//! // The engine claims what is due. Nobody else gets it while the lease runs.
//! let lease = Duration::from_secs(30);
//! let claims = store.claim("daemon-1", 10, lease).await?;
//! assert!(store.claim("daemon-2", 10, lease).await?.is_empty());
//! let work = store.load(&claims[0]).await?;
//! assert_eq!(work.environment.operation, accepted.operation.id);
//!
//! // It gives the claim back; from then on the claim writes nothing.
//! let pause = Commit { release: Release::After(Duration::from_secs(5)), ..Commit::default() };
//! store.commit(&claims[0], pause.clone()).await?;
//! store.commit(&claims[0], pause).await.unwrap_err();
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`StoreError`]: landlord_core::ports::StoreError
//! [`StoreError::FenceLost`]: landlord_core::ports::StoreError::FenceLost
//! [`StoreError::Unavailable`]: landlord_core::ports::StoreError::Unavailable
//! [`TenantStore`]: landlord_core::ports::TenantStore
//! [`WorkStore`]: landlord_core::ports::WorkStore

mod connections;
mod contract;
mod dialect;
mod error;
mod figures;
mod guard;
mod job;
mod notify;
pub mod postgres;
mod rows;
mod schema_version;
mod silence;
pub mod sqlite;
mod store;
mod target;
pub mod transfer;
mod write;

pub use error::Error;
pub use figures::StoreFigures;
pub use postgres::PostgresOptions;
pub use sqlite::SqliteOptions;
pub use store::Store;
pub use target::PasswordSource;
