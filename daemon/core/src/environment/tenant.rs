//! A tenant: one environment of a customer.

use super::{HostClusterRef, TenantSpec};
use crate::{Placement, TenantName};

/// Customer of the tenants that stand for orphans (objects without a record) while these are removed. Nobody can order for it.
pub const ORPHANS: &str = "orphans";

/// What only a tenant's environment has.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Resource name.
    pub name: TenantName,
    /// What is wanted.
    pub spec: TenantSpec,
    /// The host cluster that it lives in; `None`: it has a cluster of its own. Chosen when it was
    /// accepted, for life.
    pub host: Option<HostClusterRef>,
    /// The spec and placement to go back to when an update is cancelled; `None` before the first READY.
    pub last_ready: Option<(TenantSpec, Placement)>,
}

impl Tenant {
    /// Whether it stands for an orphan: what is removed was built for a tenant of which nothing but the uid is known.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.name.customer.as_str() == ORPHANS
    }
}
