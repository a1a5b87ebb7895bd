//! Ports to whoever looks whether environments answer.

use std::time::Duration;

use async_trait::async_trait;

use super::{DutyStore, StoreError};
use crate::{Availability, AvailabilityChange, EnvironmentName, TenantUid, WhenUnavailable, environment::Endpoint};

/// An environment that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeTarget {
    /// Whose.
    pub uid: TenantUid,
    /// Its name.
    pub name: EnvironmentName,
    /// Addresses that its customer uses.
    pub endpoints: Vec<Endpoint>,
    /// What follows when it is lost.
    pub when_unavailable: WhenUnavailable,
    /// What was seen of it.
    pub availability: Availability,
    /// What its checks, or its pods, showed at the last resync that it does not do any more; `None`: it does.
    pub failing: Option<String>,
}

/// What was seen of an environment, to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenAvailability {
    /// Whose.
    pub uid: TenantUid,
    /// Its name.
    pub name: EnvironmentName,
    /// What was seen.
    pub availability: Availability,
    /// What changed with it: an event.
    pub change: Option<AvailabilityChange>,
    /// Whether it is resynced at once.
    pub repair: bool,
}

/// What is kept of what was seen, by the one daemon that has the duty [`Probing`](super::Duty::Probing).
#[async_trait]
pub trait AvailabilityStore: DutyStore {
    /// Tenants that were READY and are not being removed, in the order of their uids, at most `limit` after `after`.
    async fn probe_targets(&self, after: Option<TenantUid>, limit: u32) -> Result<Vec<ProbeTarget>, StoreError>;

    /// Keeps what was seen, with an event for each change, while `owner` has the duty; false: it has not, and nothing was
    /// kept. What the engine writes meanwhile is not touched. Nobody is resynced who is paused, or whose customer is frozen.
    async fn keep_availability(&self, owner: &str, seen: Vec<SeenAvailability>) -> Result<bool, StoreError>;
}

/// Why a look has no answer to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The environment gives none: a missed beat, with its cause.
    Missed(String),
    /// The daemon could not look, for a reason of its own: nothing is known of the environment.
    NotLooked(String),
}

/// Looks whether an environment answers.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Whether all addresses take connections, and each web address answers; why not. Ends within [`PROBE_TIMEOUT`] whatever the
    /// other side does.
    async fn probe(&self, endpoints: &[Endpoint]) -> Result<(), NoAnswer>;
}

/// All of one beat of one environment.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
