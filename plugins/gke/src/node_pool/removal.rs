//! Finding, deleting and observing the tenant's node pools, from the scope alone.

use google_cloud_container_v1::model::{NodePool, node_pool::Status};
use landlord_provider_api::v1;

use super::{POLL_S, begin_delete, find, is_ours, owned};
use crate::{
    cluster,
    error::Result,
    google::Google,
    markers,
    names::{self, Names},
    progress::{self, Outcome},
};

/// The tenant's pool of this role, or with an empty role all of them. Empty if the cluster is
/// absent or a foreign one; a shared one is never the tenant's, and only its pools' markers count.
async fn list(google: &Google, scope: &v1::Scope, names: &Names, role: &str) -> Result<Vec<NodePool>> {
    if role.is_empty() || !names.is_shared() {
        let cluster = match names.is_shared() {
            true => cluster::find_shared(google, scope, names).await?,
            false => cluster::find_own(google, scope, names).await?,
        };
        let Some(cluster) = cluster else { return Ok(Vec::new()) };
        if role.is_empty() {
            return Ok(cluster.node_pools.into_iter().filter(|p| is_ours(scope, p)).collect());
        }
    }
    let found = find(google, scope, names, &names::node_pool(role)?).await?;
    Ok(found.filter(|p| is_ours(scope, p)).into_iter().collect())
}

/// A pool that has the name of `role` and not our markers is an error.
pub(crate) async fn refuse_unmarked(google: &Google, scope: &v1::Scope, names: &Names, role: &str) -> Result<()> {
    let name = names::node_pool(role)?;
    match find(google, scope, names, &name).await? {
        Some(pool) if !is_ours(scope, &pool) => Err(markers::name_taken("node pool", &name).into()),
        _ => Ok(()),
    }
}

/// Makes the pool of `role` be absent.
pub(crate) async fn delete(google: &Google, scope: &v1::Scope, role: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let pools = list(google, scope, &names, role).await?;
    if pools.is_empty() {
        return Ok((Outcome::Gone, Vec::new()));
    }
    let (mut removed, mut waiting) = (Vec::new(), Vec::new());
    for pool in &pools {
        let name = &pool.name;
        match &pool.status {
            Status::Stopping => waiting.push(format!("node pool {name} is being deleted")),
            status @ (Status::Provisioning | Status::Reconciling) => {
                let status = status.name().unwrap_or("busy");
                waiting.push(format!("node pool {name} is {status} and can be deleted after that"));
            }
            _ if begin_delete(google, scope, &names, name).await? => {
                removed.push(owned(pool, &scope.region));
                waiting.push(format!("node pool {name} is being deleted"));
            }
            _ => waiting.push(format!("node pool {name} waits for the cluster's other operation")),
        }
    }
    Ok((progress::pending(POLL_S, waiting.join("; ")), removed))
}

/// Observes.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope, role: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let pools = list(google, scope, &names, role).await?;
    let unready = |pool: &NodePool| match &pool.status {
        Status::Running => None,
        status => Some(format!("node pool {} is {}", pool.name, status.name().unwrap_or("of unknown state"))),
    };
    Ok(progress::observed(&pools, |pool| owned(pool, &scope.region), unready, POLL_S))
}
