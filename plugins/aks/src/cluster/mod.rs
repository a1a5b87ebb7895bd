//! The managed cluster. Its name carries the tenant's uid, so the name is the idempotency key,
//! and `If-None-Match` keeps a PUT from changing one that somebody else has made meanwhile.

mod change;
mod object;
mod removal;
mod wanted;

pub(crate) use object::{Cluster, Properties, Status, absent, find, find_home, find_own, version};
pub(crate) use removal::{delete, nodes_group, observe};

use landlord_provider_api::{ProviderError, v1};

use crate::{
    api,
    arm::If,
    error::{self, Result, incomplete, late},
    first_provisioning, group, kube_access,
    names::Call,
    object::State,
    operation::{self, Followed, Work},
    parameters::Parameters,
    progress::{Outcome, pending, ready},
    tags,
};

/// Seconds between observations of a cluster under way, where Azure names no other time.
const POLL_S: i64 = 10;
/// What [`first_provisioning`] calls it.
const PROVISIONED: &str = "cluster";

/// Makes the cluster be as the parameters say.
pub(crate) async fn ensure(
    call: &Call<'_>,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    pool: Option<&v1::NodePoolSpec>,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::ClusterStatus>)> {
    let name = call.names.group();
    // While its own operation runs, that shows more than the cluster, and of a larger budget.
    let last = operation::follow(call.arm, Work::Change, checkpoint).await?;
    if let Followed::Running { retry_after: after } = last {
        let outcome = operation::waiting(after, POLL_S, format!("AKS cluster {name} is being changed"));
        return Ok((outcome.or_checkpoint(checkpoint), None));
    }
    let Some(cluster) = find(call).await? else {
        return create(call, parameters, network, pool).await.map(|outcome| (outcome, None));
    };
    match cluster.state() {
        State::Succeeded => {}
        State::Failed => return Err(failed(call, &cluster, last).await?.into()),
        State::Deleting => {
            return Ok((pending(POLL_S, format!("AKS cluster {name} is being deleted before it is recreated")), None));
        }
        State::Busy(state) => {
            let outcome = pending(POLL_S, format!("AKS cluster {name} is {state}"));
            return Ok((outcome.or_checkpoint(checkpoint), None));
        }
    }
    first_provisioning::end(call, PROVISIONED).await?;
    if let Some(outcome) = change::begin(call, parameters, network, &cluster).await? {
        return Ok((outcome, None));
    }
    Ok((ready(), Some(status(call, &cluster).await?)))
}

async fn create(
    call: &Call<'_>,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    pool: Option<&v1::NodePoolSpec>,
) -> Result<Outcome> {
    // AKS makes this group, and refuses one that is there.
    let nodes = call.names.nodes_group();
    if let Some(left) = removal::nodes_group(call).await? {
        return match left {
            Some(found) => group::drop_whole(call, &found)
                .await
                .map(|o| o.unwrap_or_else(|| pending(POLL_S, "the nodes' resource group went"))),
            None => Err(tags::name_taken("resource group", &nodes).into()),
        };
    }
    let body = wanted::body(call, parameters, network, pool)?;
    first_provisioning::begin(call, PROVISIONED).await?;
    let name = call.names.group();
    match call.arm.put(&api::CLUSTER, &call.names.cluster_id(), &body, If::Absent).await {
        Ok(response) => Ok(operation::begun(
            call.arm,
            Work::Change,
            &response,
            POLL_S,
            format!("AKS cluster {name} is being created"),
        )),
        // Made in the meantime, perhaps by an earlier call of ours whose response was lost: the
        // next observation decides whose it is.
        Err(error) if error::is_precondition(&error) => {
            find(call).await?;
            Ok(pending(POLL_S, format!("AKS cluster {name} is there; looking how far it is")))
        }
        Err(error) => Err(error),
    }
}

/// Why a cluster failed; begins what leads out of it. One that was never up is removed, so that
/// its name is free for the next attempt; any other is requested again as it is.
async fn failed(call: &Call<'_>, cluster: &Cluster, last: Followed) -> Result<ProviderError> {
    let mut reported = cluster.properties.status.reported();
    if let Followed::Failed(late) = last {
        reported = reported.or(Some(late));
    }
    let error = late(&api::CLUSTER, cluster.name(), &reported.unwrap_or_default());
    if first_provisioning::is_first(call, PROVISIONED).await? {
        call.arm.delete(&api::CLUSTER, cluster.id()).await?;
    } else {
        call.arm.put(&api::CLUSTER, cluster.id(), &cluster.document, If::Always).await?;
    }
    Ok(error)
}

/// The contract's view of a cluster that is up.
pub(crate) async fn status(call: &Call<'_>, cluster: &Cluster) -> Result<v1::ClusterStatus> {
    let properties = &cluster.properties;
    let reach = kube_access::reach(call, properties).await?;
    let issuer = &properties.oidc_issuer_profile.issuer_url;
    if issuer.is_empty() {
        return Err(incomplete(&api::CLUSTER, "the issuer's URL"));
    }
    let attributes =
        [("id", cluster.id()), ("oidc_issuer_url", issuer), ("node_resource_group", &call.names.nodes_group())];
    Ok(v1::ClusterStatus {
        name: cluster.name().to_owned(),
        endpoint: reach.endpoint,
        ca_pem: reach.ca_pem,
        kubernetes_version: version(properties).to_owned(),
        attributes: attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    })
}
