//! Node pools. The first one comes with its cluster; this stage finds it, makes further ones, and
//! changes what differs. GKE counts nodes by zone: a pool takes as many of the tenant's zones as
//! divide its size, so that it has exactly the nodes requested. A tenant in a shared cluster has its pool
//! there. A cluster takes one change at a time: others' changes are waited for.

mod change;
mod removal;
mod spec;

pub(crate) use removal::{delete, observe, refuse_unmarked};
pub(crate) use spec::build;

use google_cloud_container_v1::model::{Cluster, NodePool, node_pool::Status};
use landlord_provider_api::{ErrorKind, ProviderError, v1};

use crate::{
    action, cluster,
    error::{Absent as _, Error, Result, failed, incomplete, is_taken},
    google::Google,
    markers,
    names::{self, Names},
    operation,
    parameters::Parameters,
    progress::{self, Outcome},
};

/// Seconds between observations.
const POLL_S: i64 = 10;
/// Type in the inventory.
const TYPE_NAME: &str = "container.googleapis.com/NodePool";

/// A call of [`ensure`].
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) scope: &'a v1::Scope,
    pub(crate) parameters: &'a Parameters,
    pub(crate) network: &'a v1::NetworkStatus,
    pub(crate) cluster: &'a v1::ClusterStatus,
    pub(crate) spec: &'a v1::NodePoolSpec,
    pub(crate) checkpoint: &'a [u8],
}

fn path(scope: &v1::Scope, names: &Names, pool: &str) -> String {
    format!("{}/nodePools/{pool}", cluster::home_path(scope, names))
}

fn is_ours(scope: &v1::Scope, pool: &NodePool) -> bool {
    pool.config.as_ref().is_some_and(|c| markers::is_ours(scope, &c.resource_labels))
}

async fn find(google: &Google, scope: &v1::Scope, names: &Names, name: &str) -> Result<Option<NodePool>> {
    let request = google.clusters.get_node_pool().set_name(path(scope, names, name));
    request.send().await.map_err(failed(action::GET_NODE_POOL, name)).or_absent()
}

/// Makes the pool be as wanted.
pub(crate) async fn ensure(google: &Google, wanted: Wanted<'_>) -> Result<(Outcome, Option<v1::NodePoolStatus>)> {
    let scope = wanted.scope;
    let names = Names::new(scope)?;
    let name = names::node_pool(&wanted.spec.role)?;
    let pending = |detail: String| Ok((progress::pending(POLL_S, detail), None));
    let Some(pool) = find(google, scope, &names, &name).await? else {
        return Box::pin(create_or_wait(google, wanted, &names, &name)).await.map(|outcome| (outcome, None));
    };
    if !is_ours(scope, &pool) {
        return Err(markers::name_taken("node pool", &name).into());
    }
    match &pool.status {
        Status::Error => {
            // It never comes up; its name is freed for the next attempt.
            let error = why(google, scope, &names, &pool).await?;
            begin_delete(google, scope, &names, &name).await?;
            operation::mark_reported(google, wanted.checkpoint);
            Err(error)
        }
        Status::Running | Status::RunningWithError => {
            let size = size(google, scope, &pool).await?;
            match change::begin(google, wanted, &names, &pool, size).await? {
                Some(sent) => Ok((sent.pending(POLL_S), None)),
                None if pool.status == Status::RunningWithError => Err(why(google, scope, &names, &pool).await?),
                None => {
                    let status = v1::NodePoolStatus { name: pool.name.clone(), node_count: size };
                    Ok((progress::ready(), Some(status)))
                }
            }
        }
        Status::Stopping => pending(format!("node pool {name} is being deleted before it is recreated")),
        status => {
            let why = reason(&pool).map(|e| format!(" ({})", e.message)).unwrap_or_default();
            pending(format!("node pool {name} is {}{why}", status.name().unwrap_or("busy")))
        }
    }
}

/// The zones that nodes may lie in: as the network's status says, or, of a cluster that was adopted without a word about
/// them, the cluster's own. GKE too puts a pool there for which nobody names zones:
/// <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters#Cluster.FIELDS.locations>.
async fn zones(google: &Google, wanted: Wanted<'_>, names: &Names) -> Result<Vec<String>> {
    if !names.is_shared() || wanted.network.attributes.contains_key("zones") {
        return cluster::zones(wanted.network);
    }
    let found = cluster::find_shared(google, wanted.scope, names).await?;
    found.map(|cluster| cluster.locations).ok_or_else(|| homeless(&wanted.spec.role, names.home()))
}

fn homeless(pool: &str, why: &str) -> Error {
    ProviderError::new(ErrorKind::Conflict, format!("node pool {pool} has no cluster to be in: {why}")).into()
}

/// Nodes that the pool requests, from its managed instance groups, one a zone: GKE itself shows
/// the size only that the pool was made with.
async fn size(google: &Google, scope: &v1::Scope, pool: &NodePool) -> Result<i32> {
    let mut size = 0;
    for link in &pool.instance_group_urls {
        let Some((_, path)) = link.split_once(&format!("/projects/{}/", scope.account)) else {
            return Err(incomplete(action::GET_NODE_POOL, "instance groups of its project"));
        };
        let group = google.compute.get(action::GET_NODE_GROUP, &scope.account, path).await.or_absent()?;
        size += group.map_or(0, |g| g.target_size);
    }
    Ok(size)
}

/// Why a pool is in a bad state, as far as it says.
fn reason(pool: &NodePool) -> Option<ProviderError> {
    #[expect(deprecated, reason = "given when the conditions are not")]
    let message = pool.status_message.as_str();
    operation::by_conditions(action::CREATE_NODE_POOL, &pool.name, &pool.conditions, message)
}

/// [`reason`], or what the last operation on it says, or that there is no reason.
async fn why(google: &Google, scope: &v1::Scope, names: &Names, pool: &NodePool) -> Result<Error> {
    if let Some(error) = reason(pool) {
        return Ok(error.into());
    }
    let object = format!("clusters/{}/nodePools/{}", names.home(), pool.name);
    let last = operation::last_of(google, scope, &object).await?;
    let failure = last.and_then(|o| operation::failure(action::CREATE_NODE_POOL, &pool.name, &o));
    Ok(failure.unwrap_or_else(|| operation::unknown(&format!("node pool {}", pool.name)).into()))
}

/// Creates the pool, unless an operation of an earlier call still works on it.
async fn create_or_wait(google: &Google, wanted: Wanted<'_>, names: &Names, name: &str) -> Result<Outcome> {
    let scope = wanted.scope;
    if let Some(earlier) = operation::of_checkpoint(google, scope, wanted.checkpoint).await? {
        if operation::is_running(&earlier) {
            return Ok(operation::pending(POLL_S, format!("node pool {name} is being created"), &earlier.name));
        }
        if let Some(error) = operation::failure(action::CREATE_NODE_POOL, name, &earlier)
            && google.is_news(&earlier.name)
        {
            return Err(error);
        }
    }
    let zones = zones(google, wanted, names).await?;
    let mut pool = build(scope, wanted.parameters, wanted.spec, &zones)?;
    if !names.is_shared() {
        // A shared cluster has gone on since its status was reported: its pools begin at the version that it has now.
        pool.version.clone_from(&wanted.cluster.kubernetes_version);
    }
    let parent = cluster::home_path(scope, names);
    let request = google.clusters.create_node_pool().set_parent(parent).set_node_pool(pool);
    match request.send().await.map_err(failed(action::CREATE_NODE_POOL, name)) {
        Ok(begun) => Ok(operation::pending(POLL_S, format!("node pool {name} is being created"), &begun.name)),
        // Made in the meantime: the next observation decides whether it is ours.
        Err(error) if is_taken(&error) => Ok(progress::pending(POLL_S, format!("node pool {name} exists already"))),
        Err(error) if error.is_busy() => {
            let detail = format!("node pool {name} waits for the cluster's other operation: {error}");
            Ok(progress::pending(POLL_S, detail))
        }
        Err(error) if error.is_absent() => Err(homeless(name, &error.to_string())),
        Err(error) => Err(error),
    }
}

/// Requests a pool's deletion; false if it is gone already or has to wait.
async fn begin_delete(google: &Google, scope: &v1::Scope, names: &Names, name: &str) -> Result<bool> {
    let request = google.clusters.delete_node_pool().set_name(path(scope, names, name));
    match request.send().await.map_err(failed(action::DELETE_NODE_POOL, name)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_absent() || error.is_busy() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The inventory's view.
pub(crate) fn owned(pool: &NodePool, region: &str) -> v1::OwnedObject {
    let labels = pool.config.as_ref().map(|c| c.resource_labels.clone()).unwrap_or_default();
    markers::owned(TYPE_NAME, &pool.self_link, &pool.name, &labels, region)
}

/// The pools of a cluster that are in scope.
pub(crate) fn all_owned(scope: &v1::Scope, cluster: &Cluster) -> Vec<v1::OwnedObject> {
    let marked =
        |pool: &&NodePool| pool.config.as_ref().is_some_and(|c| markers::is_in_scope(scope, &c.resource_labels));
    cluster.node_pools.iter().filter(marked).map(|p| owned(p, &cluster.location)).collect()
}
