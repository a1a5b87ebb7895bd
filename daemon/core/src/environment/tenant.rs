//! A tenant: one environment of a customer.

use super::{HostClusterRef, TenantSpec};
use crate::{Placement, TenantName};

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
