//! Durable state of landlord: what was promised, and how far each promise is. The only queue.
//!
//! SQLite for one daemon. What only SQLite can do stands in `open.rs` and `clock.rs`; all other
//! statements are portable, for a PostgreSQL store beside it.

mod api;
mod clock;
mod events;
mod open;
mod rows;
mod work;
mod write;

pub use open::{Error, SqliteOptions, SqliteStore};
