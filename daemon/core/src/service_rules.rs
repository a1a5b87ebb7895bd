//! What a class promises of an environment once it is READY: how its first credentials are given, what follows when it is not
//! available, what its customer may do in a cluster of its own. Resolved with the placement, and kept with the tenant.

use serde::{Deserialize, Serialize};

/// How often the first credentials of an environment can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialReading {
    /// Once. Whoever lost them rotates them.
    #[default]
    Once,
    /// Until somebody says that they were used, but not longer than [`READABLE_DAYS_MAX`] after the first reading.
    UntilUsed,
}

/// Credentials that nobody said were used are not readable for longer, in days after they were read first.
pub const READABLE_DAYS_MAX: u32 = 14;

/// What follows when an environment that was READY is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnavailable {
    /// Event, condition and metric; its next resync is left where it is.
    #[default]
    Report,
    /// The same, and it is resynced at once, which repairs what drifted.
    Repair,
}

/// From where the addresses of an environment must be reached before it is READY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksFrom {
    /// From outside, as its customer reaches them: whatever has none, or is closed, keeps it from READY.
    Outside,
    /// Where an address is not reached, the API server's port-forward to what is behind it will do, with a warning.
    #[default]
    Any,
}

impl ChecksFrom {
    /// Whether it need not be written down.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a customer may do with the kubeconfig of a cluster of its own, in the namespace of its apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomerRole {
    /// It gets no kubeconfig.
    #[default]
    None,
    /// It reads everything but Secrets.
    View,
    /// It also changes what it may change in a shared cluster.
    Edit,
}

/// What a class promises of an environment once it is READY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceRules {
    /// How often first credentials can be read.
    pub credentials: CredentialReading,
    /// What follows when it is not available.
    pub when_unavailable: WhenUnavailable,
    /// What the customer may do in a cluster of its own. At shared levels its role is the isolation's.
    pub customer_role: CustomerRole,
}

impl ServiceRules {
    /// Whether nothing was chosen: such rules are not written down.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
