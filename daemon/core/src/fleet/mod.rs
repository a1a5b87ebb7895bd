//! The fleet of host clusters: what a class requires of one, how the fleet grows, and (`choice`) which one a tenant gets.
//! Knows no store and no cloud.

mod choice;

use std::collections::BTreeMap;

pub use choice::{Candidate, Choice, FULL_REMEDY, choose};
use serde::{Deserialize, Serialize};

use crate::{
    Amounts, ClassName, Placement, ProviderName, ReservePercent,
    environment::{Adoption, HostClusterRef, HostClusterSpec, State},
};

/// Where a class of a shared level searches for host clusters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostRule {
    /// Labels that a host cluster must carry.
    pub labels: BTreeMap<String, String>,
    /// Orders a new host cluster when all are full; `None`: a full fleet refuses.
    pub grow: Option<GrowRule>,
    /// How much of a tenant's quota is kept free for it.
    pub reserve_percent: ReservePercent,
}

/// How a fleet grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrowRule {
    /// Class of level CLUSTER that new host clusters are built by; its stack is left out.
    pub class: ClassName,
    /// Tenants of a new host cluster.
    pub tenants_max: u32,
    /// Most host clusters that this class may choose from, full and cordoned ones included.
    pub host_clusters_max: u32,
}

/// A tenant's host cluster as the engine needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostView {
    /// Which.
    pub host: HostClusterRef,
    /// Where it is in its life.
    pub state: State,
    /// Whether it was READY once, so that tenants can be built in it.
    pub usable: bool,
    /// What it was built by.
    pub placement: Placement,
    /// How to reach it, if it is adopted.
    pub adoption: Option<Adoption>,
    /// The provider's status message of its network (protobuf); empty: none.
    pub network: Vec<u8>,
    /// The provider's status message of its cluster (protobuf); empty: none.
    pub cluster: Vec<u8>,
}

/// What a host cluster must be for a tenant, and what to do when none has room.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSelector {
    /// Provider.
    pub provider: ProviderName,
    /// Credential scope; `None`: any of the provider's.
    pub credentials: Option<String>,
    /// Region.
    pub region: String,
    /// Labels that it must carry.
    pub labels: BTreeMap<String, String>,
    /// What is reserved for the tenant.
    pub reserve: Amounts,
    /// What to order when all are full.
    pub growth: Option<Growth>,
}

/// A host cluster that would be ordered.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// Spec.
    pub spec: HostClusterSpec,
    /// Placement.
    pub placement: Placement,
    /// Most host clusters that the selector may match.
    pub host_clusters_max: u32,
}
