//! Deleting and observing the tenant's network, from the scope alone: the resource group is
//! theirs and goes as a whole.

use landlord_provider_api::v1;

use super::POLL_S;
use crate::{
    api,
    error::{Result, conflict},
    group,
    names::Call,
    object::{Object, Plain, State},
    progress::{Outcome, pending, ready},
};

/// Makes the group with the network and the identities be absent.
pub(crate) async fn delete(call: &Call<'_>, checkpoint: &[u8]) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let Some(found) = group::find_own(call, call.names.group()).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    // The cluster's own deletion lets Kubernetes' load balancers and disks go with it.
    let cluster = call.arm.get::<Plain>(&api::CLUSTER, &call.names.cluster_id()).await?;
    if cluster.is_some() {
        return Err(conflict(
            format!("resource group {} still holds the cluster", call.names.group()),
            "the cluster is deleted first; landlord does so by itself",
        ));
    }
    group::remove(call, &found, checkpoint).await
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let Some(found) = group::find_own(call, call.names.group()).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let own = call.names.own_ids();
    let mut objects: Vec<v1::OwnedObject> = vec![found.owned(call.scope)];
    let inside = group::contents(call, found.name()).await?;
    let is_own = |o: &&Object<Plain>| own.iter().any(|id| id.eq_ignore_ascii_case(o.id())) && o.is_ours(call.scope);
    objects.extend(inside.iter().filter(is_own).map(|o| o.owned(call.scope)));
    let vnet = call.arm.get::<Plain>(&api::VNET, &call.names.network_id()).await?;
    let outcome = match vnet.map(|v| v.state()) {
        _ if found.state() != State::Succeeded => group::outcome(&found),
        Some(State::Succeeded) => ready(),
        Some(state) => pending(POLL_S, format!("the virtual network is {}", state.as_str())),
        None => pending(POLL_S, "the virtual network is missing"),
    };
    Ok((outcome, objects))
}
