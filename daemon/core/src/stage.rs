//! Stages: the nodes of a level's graph of work, and the journal's record of each.
//!
//! Creating and deleting are the same loop towards present or absent; each desired state has
//! its own record of a stage, so that a delete in the middle of a create forgets nothing.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AppName, Failure, Timestamp, time::BootTime};

/// Towards what the engine works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// The environment shall exist as specified.
    Present,
    /// Nothing of it shall exist.
    Absent,
}

/// One node of the graph of work. The text form (`Display`, `FromStr`) is what is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Stage {
    /// The host cluster of a tenant in a shared cluster can take it. Present only; changes nothing.
    Host,
    /// The provider agrees that the spec can be built. Present only; changes nothing.
    Preflight,
    /// Network and base identities.
    Network,
    /// Control plane.
    Cluster,
    /// Cluster add-ons.
    Addons,
    /// Node pool.
    NodePool,
    /// What makes more nodes when pods wait for them, where the cloud does not scale the pool itself.
    NodeScaling,
    /// DNS zone.
    DnsZone,
    /// Cloud identities of service accounts.
    Identity,
    /// The isolated namespace in a shared cluster: made when present; when absent, the proof that it is
    /// gone, without which the record stays. Of an adopted host cluster, absent only: what landlord put there
    /// for all its tenants together is taken back.
    Isolation,
    /// What a host cluster has, and what is taken of it, is counted. Present only; changes nothing.
    Capacity,
    /// Namespace, service accounts and generated secrets of the stack. Present only.
    Base,
    /// One release of the platform: what every cluster needs before apps. Only in clusters that landlord makes.
    Platform(AppName),
    /// One app release of the stack. Present only.
    App(AppName),
    /// DNS records of the stack's entry points.
    DnsRecords,
    /// The environment responds as the customer will use it. Present only.
    Verify,
    /// Apps frozen, load balancers and volumes released, releases removed. In a shared cluster that is
    /// the tenant's namespace and nothing else. Absent only.
    Teardown,
    /// What Kubernetes left behind in the cloud. Absent only.
    Leftovers,
    /// The provider lists nothing of ours any more. Absent only.
    Inventory,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Preflight => "preflight",
            Self::Network => "network",
            Self::Cluster => "cluster",
            Self::Addons => "addons",
            Self::NodePool => "node-pool",
            Self::NodeScaling => "node-scaling",
            Self::DnsZone => "dns-zone",
            Self::Identity => "identity",
            Self::Isolation => "isolation",
            Self::Capacity => "capacity",
            Self::Base => "base",
            Self::Platform(release) => return write!(f, "platform/{release}"),
            Self::App(app) => return write!(f, "app/{app}"),
            Self::DnsRecords => "dns-records",
            Self::Verify => "verify",
            Self::Teardown => "teardown",
            Self::Leftovers => "leftovers",
            Self::Inventory => "inventory",
        })
    }
}

/// A stored stage name that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage {0:?}; was the store written by a newer version?")]
pub struct UnknownStage(pub String);

impl FromStr for Stage {
    type Err = UnknownStage;
    fn from_str(text: &str) -> Result<Self, UnknownStage> {
        Ok(match text {
            "host" => Self::Host,
            "preflight" => Self::Preflight,
            "network" => Self::Network,
            "cluster" => Self::Cluster,
            "addons" => Self::Addons,
            "node-pool" => Self::NodePool,
            "node-scaling" => Self::NodeScaling,
            "dns-zone" => Self::DnsZone,
            "identity" => Self::Identity,
            "isolation" => Self::Isolation,
            "capacity" => Self::Capacity,
            "base" => Self::Base,
            "dns-records" => Self::DnsRecords,
            "verify" => Self::Verify,
            "teardown" => Self::Teardown,
            "leftovers" => Self::Leftovers,
            "inventory" => Self::Inventory,
            other => match other.split_once('/').map(|(kind, release)| (kind, AppName::from_str(release))) {
                Some(("app", Ok(app))) => Self::App(app),
                Some(("platform", Ok(release))) => Self::Platform(release),
                _ => return Err(UnknownStage(text.to_owned())),
            },
        })
    }
}

impl TryFrom<String> for Stage {
    type Error = UnknownStage;
    fn try_from(text: String) -> Result<Self, UnknownStage> {
        text.parse()
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> Self {
        stage.to_string()
    }
}

/// How far a stage is in its desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// The intent is recorded and calls are made.
    Running,
    /// Done in its desired state (as requested, or absent) for `generation`.
    Done,
    /// Given up until Retry, Update or Delete; `failure` gives the reason.
    Failed,
    /// Not needed, with the reason in `detail` (an unreachable API server, a stack that was
    /// never created).
    Skipped,
}

/// Whose the objects of a stage are, by what the provider returned while the stage worked towards presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// No response was recorded. A call may have gone out before a crash, so what is found counts as ours.
    #[default]
    Unanswered,
    /// Ours, or perhaps ours: whoever takes the marker off an object does not change that.
    Ours,
    /// From the first response on somebody else had the name; nothing of it is ours.
    Foreign,
}

/// One object that a delete removed, for the operation's inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RemovedObject {
    /// The provider's (or Kubernetes') type name.
    pub r#type: String,
    /// Identifier.
    pub id: String,
    /// Human-readable name; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A change that a provider was sent: one field of an object that differs from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field, as the cloud names it, with its object.
    pub field: String,
    /// What it shall be.
    pub wanted: String,
    /// What the object showed.
    pub seen: String,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: wanted {}, seen {}", self.field, self.wanted, self.seen)
    }
}

/// The same changes, sent again and again: the cloud accepts them, and the object does not show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentChanges {
    /// Which.
    pub changes: Vec<FieldChange>,
    /// How often they were sent.
    pub times: u32,
    /// When they were sent first.
    pub since: Timestamp,
}

/// The journal's record of one stage for one desired state: the intent, durable before the first
/// call, and the outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Which stage.
    pub stage: Stage,
    /// Towards what.
    #[serde(rename = "direction")]
    pub desired_state: DesiredState,
    /// Generation of the spec that the record works towards.
    pub generation: i64,
    /// How far it is.
    pub state: StageState,
    /// Counts from 1; a failed attempt that is retried raises it.
    pub attempt: u32,
    /// When work towards `generation` began (the intent).
    pub start_time: Timestamp,
    /// When it ended; `None` while running.
    pub end_time: Option<Timestamp>,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: u64,
    /// When to observe again; meaningful while running, and for the resync of what is done.
    pub poll_time: Timestamp,
    /// What is being waited for, in plain words.
    pub detail: String,
    /// The last failure, kept until the stage is done: what is under way now may be one more try after it.
    pub failure: Option<Failure>,
    /// When the present streak of failures began. Only success ends a streak, or a try that got clearly further than every
    /// one before: a cloud that takes each order and fails each time is not getting better.
    pub failing_since: Option<Timestamp>,
    /// Failures in the present streak; throttling does not count.
    pub failures: u32,
    /// When the last failure came; the present try began then.
    #[serde(default)]
    pub try_time: Option<Timestamp>,
    /// How far the best try got before it failed, in milliseconds from its beginning.
    #[serde(default)]
    pub furthest_ms: u64,
    /// When a call that makes things last had no response: what it began may still take effect. Towards presence only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_time: Option<Timestamp>,
    /// When the wait ends for what such calls may still bring, by the machine's own clock. Towards absence only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_end: Option<BootTime>,
    /// The changes that were sent last, as long as the object does not show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentChanges>,
    /// Whose its objects are. Says something in a record towards presence only.
    #[serde(default)]
    pub ownership: Ownership,
    /// Opaque cache of the provider.
    pub checkpoint: Vec<u8>,
    /// The provider's status message (protobuf bytes of the stage's status type).
    pub status: Vec<u8>,
    /// What a delete removed.
    pub removed: Vec<RemovedObject>,
}
