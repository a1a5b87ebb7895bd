//! Service quotas: how many of each an account may have, changeable while running. Names and defaults are each cloud's.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of a quota and its default.
pub type QuotaDefault = (&'static str, u64);

/// Quotas in force: defaults, then per-account changes (`*` is every account).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Quotas {
    #[serde(skip)]
    defaults: Vec<QuotaDefault>,
    changed: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Why a quota cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("there is no quota {name:?}; known are {known}")]
pub struct UnknownQuota {
    name: String,
    known: String,
}

impl Quotas {
    /// With these defaults, and the changes made so far.
    #[must_use]
    pub fn with_defaults(self, defaults: Vec<QuotaDefault>) -> Self {
        Self { defaults, ..self }
    }

    /// The limit called `name` for `account`.
    #[must_use]
    pub fn limit(&self, account: &str, name: &str) -> u64 {
        [account, "*"]
            .iter()
            .find_map(|a| self.changed.get(*a).and_then(|m| m.get(name)).copied())
            .or_else(|| self.defaults.iter().find(|d| d.0 == name).map(|d| d.1))
            .unwrap_or(u64::MAX)
    }

    /// Changes one limit.
    ///
    /// # Errors
    /// If there is no such quota.
    pub fn set(&mut self, account: &str, name: &str, limit: u64) -> Result<(), UnknownQuota> {
        if !self.defaults.iter().any(|d| d.0 == name) {
            let known = self.defaults.iter().map(|d| d.0).collect::<Vec<_>>().join(", ");
            return Err(UnknownQuota { name: name.to_owned(), known });
        }
        self.changed.entry(account.to_owned()).or_default().insert(name.to_owned(), limit);
        Ok(())
    }

    /// All limits of `account`.
    #[must_use]
    pub fn all(&self, account: &str) -> BTreeMap<&'static str, u64> {
        self.defaults.iter().map(|d| (d.0, self.limit(account, d.0))).collect()
    }
}
