//! What a host cluster has, what is taken of it, and what is promised of it. Pure: what was observed and what is
//! reserved arrive as values; how nodes and pods are counted is the deploy stage's business.
//!
//! The rule: a tenant of level NAMESPACE is promised what its quota lets its pods request (or the part of it that its
//! class says), from the moment it is accepted until its record is gone. So
//!
//! ```text
//! free = allocatable - requests of everybody else's pods - max(requests of tenants' pods, what is reserved)
//! ```
//!
//! Nobody is counted twice: a tenant's pods are inside its reservation, which its quota enforces. Where classes reserve
//! less than the quotas, pods may have requested more than is reserved, and then the pods count. A tenant of level NODE
//! brings its own nodes, which are not counted, and reserves nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Level, Placement, Timestamp};

/// A host cluster is observed again this long after a tenant was placed there: its namespace and first pods are there
/// then, and a burst of orders costs one observation.
pub const COUNT_AFTER_PLACEMENT: Duration = Duration::from_secs(30);

/// Amounts of what pods request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// Processor time, thousandths of a core.
    pub cpu_milli: u64,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Pods.
    pub pods: u64,
}

impl Amounts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is left; never below nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu_milli: of(self.cpu_milli, other.cpu_milli),
            memory_mib: of(self.memory_mib, other.memory_mib),
            pods: of(self.pods, other.pods),
        }
    }

    /// Name, amount and the other's amount of each resource.
    fn beside(self, other: Self) -> [(&'static str, u64, u64); 3] {
        [
            ("millicores", self.cpu_milli, other.cpu_milli),
            ("MiB of memory", self.memory_mib, other.memory_mib),
            ("pods", self.pods, other.pods),
        ]
    }
}

/// What was counted in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Nodes that anybody's pods may be scheduled to: ready, not cordoned, without a taint that keeps pods away, and no
    /// tenant's own.
    pub nodes: u32,
    /// What these nodes have for pods.
    pub allocatable: Amounts,
    /// What the pods on them request that have not ended.
    pub requested: Amounts,
    /// The part of `requested` in namespaces of this installation's tenants.
    pub by_tenants: Amounts,
}

/// What was counted, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When, by the database's clock.
    pub time: Timestamp,
    /// What.
    pub measured: Measured,
}

impl Measured {
    /// What nobody has nor was promised.
    #[must_use]
    pub fn free(&self, reserved: Amounts) -> Amounts {
        self.allocatable.minus(self.taken(reserved))
    }

    /// The same cluster if no tenant lived there.
    #[must_use]
    pub fn without_tenants(&self) -> Self {
        Self { requested: self.requested.minus(self.by_tenants), by_tenants: Amounts::default(), ..*self }
    }

    fn taken(&self, reserved: Amounts) -> Amounts {
        self.requested.minus(self.by_tenants).plus(self.by_tenants.max(reserved))
    }

    /// What is missing for a tenant that needs so much; `None`: it fits.
    #[must_use]
    pub fn lacks(&self, reserved: Amounts, needs: Amounts) -> Option<String> {
        let lacking: Vec<String> = self
            .free(reserved)
            .beside(needs)
            .into_iter()
            .zip(self.allocatable.beside(needs))
            .filter(|((_, free, needed), _)| free < needed)
            .map(|((what, free, needed), (_, all, _))| format!("{needed} {what} are needed and {free} of {all} free"))
            .collect();
        (!lacking.is_empty()).then(|| lacking.join(", "))
    }

    /// The largest part of any resource that is taken or promised, in millionths.
    #[must_use]
    pub fn load(&self, reserved: Amounts) -> u64 {
        let share = |(_, taken, all): (_, u64, u64)| taken.saturating_mul(1_000_000) / all.max(1);
        self.taken(reserved).beside(self.allocatable).into_iter().map(share).max().unwrap_or_default()
    }
}

/// Per cent of a quota's requests that are reserved, 0 to 100. Less than 100 overcommits: more tenants fit than could
/// use their quotas at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReservePercent {
    /// Of processor time.
    pub cpu: u32,
    /// Of memory.
    pub memory: u32,
    /// Of pods.
    pub pods: u32,
}

impl Default for ReservePercent {
    /// Whoever is accepted can use what it ordered.
    fn default() -> Self {
        Self { cpu: 100, memory: 100, pods: 100 }
    }
}

impl ReservePercent {
    /// What is reserved for a tenant of a placement.
    #[must_use]
    pub fn of(self, placement: &Placement) -> Amounts {
        match placement.level {
            // With nodes of its own, or a cluster, it takes nothing of what others share.
            Level::Cluster | Level::Node => Amounts::default(),
            Level::Namespace => {
                let guardrails = placement.guardrails.clone().unwrap_or_default();
                let quota = guardrails.quota();
                let part = |amount: u32, percent: u32| (u64::from(amount) * u64::from(percent)).div_ceil(100);
                Amounts {
                    cpu_milli: part(quota.cpu_request_milli, self.cpu),
                    memory_mib: part(quota.memory_request_mib, self.memory),
                    pods: part(quota.pods, self.pods),
                }
            }
        }
    }
}
