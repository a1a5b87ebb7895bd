//! An environment: a tenant's, or a host cluster in which tenants live. Both are built, kept and removed by the same
//! loop over the same record; what only one of them has stands in [`Owner`].

mod customer;
mod host_cluster;
mod patch;
mod spec;
mod status;
mod tenant;

pub use customer::{Contact, Contract, Customer, CustomerLimits, CustomerRules, CustomerSpec, Used};
pub use host_cluster::{
    Adoption, HostCluster, HostClusterInput, HostClusterRef, HostClusterSpec, TENANTS_DEFAULT, TENANTS_MAX,
    adopted_placement,
};
pub use patch::EnvironmentPatch;
pub use spec::{
    DISPLAY_NAME_CHARS_MAX, DOMAIN_CHARS_MAX, Domain, NODE_COUNT_MAX, NodeCount, STACK_VALUES_BYTES_MAX,
    STORAGE_GIB_MAX, SpecInput, StorageSize, TenantSpec, Violation, Violations,
};
pub use status::{CUSTOMER_FROZEN, Condition, Endpoint, EnvironmentStatus, Progress, State, VERIFY_FAILED};
pub use tenant::{ORPHANS, Tenant};

use crate::{Availability, DesiredState, Level, OperationId, Placement, TenantUid, Timestamp, ids::EnvironmentName};

/// What is built, and for whom; decides the graph of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// A tenant of an isolation level.
    Tenant(Level),
    /// A host cluster that landlord makes.
    HostCluster,
    /// A host cluster that was there before.
    AdoptedHostCluster,
}

/// Whose an environment is, with what only such an owner has.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "records are moved, not stored in bulk; most are tenants")]
pub enum Owner {
    /// A tenant.
    Tenant(Tenant),
    /// A host cluster.
    HostCluster(HostCluster),
}

/// What an environment goes back to: what it was when it was READY last.
#[derive(Debug, Clone, PartialEq)]
pub struct LastReady {
    /// The spec, as far as it can be taken back; `None`: a host cluster's, which nothing changes.
    pub spec: Option<TenantSpec>,
    /// The placement.
    pub placement: Placement,
}

/// An environment as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Identity for life.
    pub uid: TenantUid,
    /// Whose it is, and what is wanted.
    pub owner: Owner,
    /// The class as resolved when the spec was accepted; later changes of the configuration
    /// do not touch existing environments, as with a Kubernetes StorageClass.
    pub placement: Placement,
    /// Raised by every change of the spec that needs work.
    pub generation: i64,
    /// Present, or absent once deletion was accepted.
    pub desired_state: DesiredState,
    /// Delete even where the API server cannot be reached to release what it made; leftovers
    /// are then swept by tag only.
    pub force_delete: bool,
    /// What is.
    pub status: EnvironmentStatus,
    /// Whether it answers, since it was READY; `None`: nobody looks. Written by whoever looks, and by no one else.
    pub availability: Option<Availability>,
    /// Changes with every write that a client can see.
    pub etag: String,
    /// The operation that is worked on, or was last.
    pub operation: OperationId,
    /// Whether that operation shall be cancelled.
    pub cancel_requested: bool,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
    /// When deletion was accepted.
    pub delete_time: Option<Timestamp>,
}

impl Environment {
    /// What is built.
    #[must_use]
    pub fn kind(&self) -> EnvironmentKind {
        match &self.owner {
            Owner::Tenant(_) => EnvironmentKind::Tenant(self.placement.level),
            Owner::HostCluster(HostCluster { spec: HostClusterSpec { adoption: None, .. }, .. }) => {
                EnvironmentKind::HostCluster
            }
            Owner::HostCluster(_) => EnvironmentKind::AdoptedHostCluster,
        }
    }

    /// Its resource name.
    #[must_use]
    pub fn name(&self) -> EnvironmentName {
        match &self.owner {
            Owner::Tenant(tenant) => tenant.name.clone().into(),
            Owner::HostCluster(host_cluster) => host_cluster.id.clone().into(),
        }
    }

    /// The tenant; `None`: it is a host cluster.
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        match &self.owner {
            Owner::Tenant(tenant) => Some(tenant),
            Owner::HostCluster(_) => None,
        }
    }

    /// The host cluster; `None`: it is a tenant's.
    #[must_use]
    pub fn host_cluster(&self) -> Option<&HostCluster> {
        match &self.owner {
            Owner::Tenant(_) => None,
            Owner::HostCluster(host_cluster) => Some(host_cluster),
        }
    }

    /// Whether it was READY once.
    #[must_use]
    pub fn was_ready(&self) -> bool {
        match &self.owner {
            Owner::Tenant(tenant) => tenant.last_ready.is_some(),
            Owner::HostCluster(host_cluster) => host_cluster.last_ready.is_some(),
        }
    }

    /// What it goes back to; `None`: it was never READY.
    #[must_use]
    pub fn last_ready(&self) -> Option<LastReady> {
        match &self.owner {
            Owner::Tenant(tenant) => {
                let (spec, placement) = tenant.last_ready.clone()?;
                Some(LastReady { spec: Some(tenant.spec.reverted_to(&spec)), placement })
            }
            Owner::HostCluster(host_cluster) => {
                Some(LastReady { spec: None, placement: host_cluster.last_ready.clone()? })
            }
        }
    }

    /// Whether a delete is refused.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        match &self.owner {
            Owner::Tenant(tenant) => tenant.spec.deletion_protection,
            Owner::HostCluster(host_cluster) => host_cluster.spec.deletion_protection,
        }
    }

    /// Whether no work is done but deletion.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        match &self.owner {
            Owner::Tenant(tenant) => tenant.spec.paused,
            Owner::HostCluster(_) => false,
        }
    }

    /// The state while work is under way.
    #[must_use]
    pub fn working_state(&self) -> State {
        match (self.desired_state, self.was_ready()) {
            (DesiredState::Absent, _) => State::Deleting,
            (DesiredState::Present, true) => State::Updating,
            (DesiredState::Present, false) => State::Provisioning,
        }
    }
}
