//! Durable state of landlord: what was promised, and how far each promise is. The only queue.
//!
//! SQLite for one daemon. What only SQLite can do stands in `open.rs`, `clock.rs` and `write.rs`;
//! all other statements are portable, for a PostgreSQL store beside it. The contract suite in
//! `tests/store/contract` knows the ports only, so that it can judge both.
//!
//! Nothing is cached: what a caller reads is what was committed last.

mod accept;
mod api;
mod clock;
mod domains;
mod environments;
mod events;
mod hosts;
mod notify;
mod open;
mod operations;
mod rows;
mod stages;
mod work;
mod write;

pub use open::{Error, SqliteOptions, SqliteStore};
