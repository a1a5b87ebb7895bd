//! What stands beside the database and proves that it is still the one that was opened. Knows no SQL.

use std::fmt::Debug;

/// Held for as long as the store is open.
pub(crate) trait Guard: Debug + Send + Sync {
    /// Whether the database that is open is still the one that the next daemon would open.
    ///
    /// # Errors
    /// What happened to it, and who must do what.
    fn check(&self) -> Result<(), String>;

    /// Everything up to this position of the events is acknowledged.
    fn committed(&self, position: i64);

    /// The store closes: what works beside it ends.
    fn close(&self) {}
}
