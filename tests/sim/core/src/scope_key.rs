//! Where an object lies: an account and a Region.

use serde::{Deserialize, Serialize};

/// Region of services that have none.
pub const GLOBAL: &str = "global";

/// An account and a Region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeKey {
    /// Twelve digits.
    pub account: String,
    /// A Region, or [`GLOBAL`].
    pub region: String,
}

impl ScopeKey {
    /// The key of `account` in `region`.
    #[must_use]
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: account.to_owned(), region: region.to_owned() }
    }

    /// The same account's global services.
    #[must_use]
    pub fn global(&self) -> Self {
        Self::new(&self.account, GLOBAL)
    }
}
