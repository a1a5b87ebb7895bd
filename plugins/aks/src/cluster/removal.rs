//! Deleting and observing the tenant's cluster, from the scope alone. AKS removes the nodes'
//! resource group with it; what is left of that group afterwards is removed here.

use landlord_provider_api::{MARKER_INSTALLATION, v1};

use super::{POLL_S, Properties, find_own};
use crate::{
    api,
    error::Result,
    group::{self, Group},
    names::Call,
    object::{Plain, State},
    operation::{self, Followed, Work},
    progress::{Outcome, pending, ready},
};

/// The nodes' resource group: `None` if there is none, `Some(None)` if it is a foreign one. AKS
/// hands the cluster's tags on to it, and names the cluster as its manager; the latter counts only
/// where no marker speaks against it, since another installation's cluster may have the name.
pub(crate) async fn nodes_group(call: &Call<'_>) -> Result<Option<Option<Group>>> {
    let id = call.names.group_id(&call.names.nodes_group());
    let found = call.arm.get::<Plain>(&api::GROUP, &id).await?;
    let is_managed = |g: &Group| {
        g.managed_by().eq_ignore_ascii_case(&call.names.cluster_id()) && !g.tags().contains_key(MARKER_INSTALLATION)
    };
    let is_ours = |g: &Group| g.is_ours(call.scope) || is_managed(g);
    Ok(found.map(|g| is_ours(&g).then_some(g)))
}

/// Makes the cluster be absent, its nodes' resource group with it.
pub(crate) async fn delete(call: &Call<'_>, checkpoint: &[u8]) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let Some(cluster) = call.arm.get::<Properties>(&api::CLUSTER, &call.names.cluster_id()).await? else {
        return delete_nodes_group(call).await;
    };
    if !cluster.is_ours(call.scope) {
        // The nodes' group is its, as long as it stands.
        return Ok((Outcome::Gone, Vec::new()));
    }
    let name = cluster.name();
    let detail = format!("AKS cluster {name} is being deleted");
    let last = operation::follow(call.arm, Work::Deletion, checkpoint).await?;
    if cluster.state() == State::Deleting {
        let after = if let Followed::Running { retry_after: after } = last { after } else { None };
        return Ok((operation::waiting(after, POLL_S, detail).or_checkpoint(checkpoint), Vec::new()));
    }
    let response = match call.arm.delete(&api::CLUSTER, cluster.id()).await {
        Ok(response) => response,
        Err(error) if error.is_busy() => {
            let detail = format!("AKS cluster {name} is {} and can be deleted after that", cluster.state().as_str());
            return Ok((pending(POLL_S, detail), Vec::new()));
        }
        Err(error) => return Err(error),
    };
    let failed = cluster.state() == State::Failed;
    if let (true, Followed::Failed(reported)) = (failed, last) {
        // Requested again already; what the last attempt reported may have to be mended.
        let reported = cluster.properties.status.reported().unwrap_or(reported);
        return Err(group::removal_failed(&api::CLUSTER, name, &reported).into());
    }
    let mut removed: Vec<_> = cluster.properties.agent_pool_profiles.iter().map(|p| pool(call, &p.name)).collect();
    removed.push(cluster.owned(call.scope));
    let outcome = match response {
        Some(response) => operation::begun(call.arm, Work::Deletion, &response, POLL_S, detail),
        None => pending(1, detail),
    };
    Ok((outcome, removed))
}

fn pool(call: &Call<'_>, name: &str) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: api::POOL.name.to_owned(),
        id: call.names.pool_id(name),
        name: name.to_owned(),
        role: "node-pool".to_owned(),
        tenant_uid: call.scope.tenant_uid.clone(),
        region: call.scope.region.clone(),
    }
}

/// What AKS should have removed and did not.
async fn delete_nodes_group(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let Some(Some(found)) = nodes_group(call).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let removed = if found.state() == State::Deleting { Vec::new() } else { vec![found.owned(call.scope)] };
    Ok((group::drop_whole(call, &found).await?.unwrap_or(Outcome::Gone), removed))
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let Some(cluster) = find_own(call).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let outcome = match cluster.state() {
        State::Succeeded => ready(),
        state => pending(POLL_S, format!("AKS cluster {} is {}", cluster.name(), state.as_str())),
    };
    Ok((outcome, vec![cluster.owned(call.scope)]))
}
