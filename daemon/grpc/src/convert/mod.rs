//! Domain values as messages of the API, and specs from them. Knows no store and no rule.

mod condition;
mod host_cluster;
mod operation;
mod placement;
mod progress;
mod tenant;
mod value;
mod would_be;

pub(crate) use self::{
    host_cluster::{adoption_of, host_cluster, host_cluster_event, host_cluster_verdicts},
    operation::{kind, operation},
    placement::{level, offered, placement},
    tenant::{spec_input, tenant, tenant_event},
    value::{non_finite, timestamp},
    would_be::{new_environment, would_be},
};
