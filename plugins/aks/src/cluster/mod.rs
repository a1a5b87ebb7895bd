//! The managed cluster. Its name carries the tenant's uid, so the name is the idempotency key,
//! and `If-None-Match` keeps a PUT from changing one that somebody else has made meanwhile.

mod change;
mod removal;
mod wanted;

pub(crate) use change::minor;
pub(crate) use removal::{delete, find_own, nodes_group, observe};

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api,
    arm::If,
    birth,
    error::{self, Result, Said, incomplete, late},
    group, kube_access,
    names::Call,
    object::{Object, State},
    operation::{self, Followed, Work},
    parameters::Parameters,
    progress::{Outcome, pending, ready},
    tags,
};

/// Seconds between looks at a cluster under way, where Azure names no other time.
const POLL_S: i64 = 10;
/// What [`birth`] calls it.
const BIRTH: &str = "cluster";

/// What is read of a cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Properties {
    pub(crate) kubernetes_version: String,
    pub(crate) current_kubernetes_version: String,
    pub(crate) fqdn: String,
    #[serde(rename = "privateFQDN")]
    pub(crate) private_fqdn: String,
    #[serde(rename = "disableLocalAccounts")]
    pub(crate) local_accounts_are_off: bool,
    pub(crate) agent_pool_profiles: Vec<Profile>,
    pub(crate) oidc_issuer_profile: Issuer,
    pub(crate) network_profile: Network,
    pub(crate) status: Status,
}

/// A pool as the cluster lists it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) mode: String,
    #[serde(rename = "vnetSubnetID")]
    pub(crate) subnet_id: String,
    pub(crate) tags: tags::Tags,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Issuer {
    #[serde(rename = "issuerURL")]
    pub(crate) issuer_url: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Network {
    pub(crate) network_dataplane: String,
    pub(crate) network_policy: String,
}

/// Why the last change failed, as far as Azure says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) provisioning_error: Value,
}

impl Status {
    /// In words, if there are any.
    pub(crate) fn said(&self) -> Option<Said> {
        Some(error::read(&self.provisioning_error)).filter(|s| *s != Said::default())
    }
}

/// A cluster as found.
pub(crate) type Cluster = Object<Properties>;

/// The tenant's cluster; a stranger's of our name is an error.
pub(crate) async fn find(call: &Call<'_>) -> Result<Option<Cluster>> {
    let found = call.arm.get::<Properties>(&api::CLUSTER, &call.names.cluster_id()).await?;
    match found {
        Some(found) if !found.is_ours(call.scope) => Err(tags::name_taken("AKS cluster", found.name()).into()),
        found => Ok(found),
    }
}

/// The cluster that the tenant's nodes are in. A shared one carries the host's markers or a
/// stranger's: it is only looked at.
pub(crate) async fn find_home(call: &Call<'_>) -> Result<Option<Cluster>> {
    if !call.names.is_shared() {
        return find(call).await;
    }
    call.arm.get::<Properties>(&api::CLUSTER, &call.names.home_id()).await
}

/// Makes the cluster be as the parameters say.
pub(crate) async fn ensure(
    call: &Call<'_>,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    pool: Option<&v1::NodePoolSpec>,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::ClusterStatus>)> {
    let name = call.names.group();
    // While its own operation runs, that tells more than the cluster, and of a larger budget.
    let last = operation::follow(call.arm, Work::Change, checkpoint).await?;
    if let Followed::Running(after) = last {
        let outcome = operation::waiting(after, POLL_S, format!("AKS cluster {name} is being changed"));
        return Ok((operation::keep(outcome, checkpoint), None));
    }
    let Some(cluster) = find(call).await? else {
        return create(call, parameters, network, pool).await.map(|outcome| (outcome, None));
    };
    match cluster.state() {
        State::Succeeded => {}
        State::Failed => return Err(failed(call, &cluster, last).await?.into()),
        State::Deleting => {
            return Ok((pending(POLL_S, format!("AKS cluster {name} is being deleted before it is made anew")), None));
        }
        State::Busy(state) => {
            let outcome = pending(POLL_S, format!("AKS cluster {name} is {state}"));
            return Ok((operation::keep(outcome, checkpoint), None));
        }
    }
    birth::end(call, BIRTH).await?;
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
    birth::begin(call, BIRTH).await?;
    let name = call.names.group();
    match call.arm.put(&api::CLUSTER, &call.names.cluster_id(), &body, If::Absent).await {
        Ok(answer) => Ok(operation::begun(
            call.arm,
            Work::Change,
            &answer,
            POLL_S,
            format!("AKS cluster {name} is being created"),
        )),
        // Made in the meantime, perhaps by an earlier call of ours whose answer was lost: the
        // next look decides whose it is.
        Err(error) if error::is_precondition(&error) => {
            find(call).await?;
            Ok(pending(POLL_S, format!("AKS cluster {name} is there; looking how far it is")))
        }
        Err(error) => Err(error),
    }
}

/// Why a cluster failed; begins what leads out of it. One that was never up is removed, so that
/// its name is free for the next attempt; any other is asked for again as it is.
async fn failed(call: &Call<'_>, cluster: &Cluster, last: Followed) -> Result<ProviderError> {
    let mut said = cluster.properties.status.said();
    if let Followed::Failed(late) = last {
        said = said.or(Some(late));
    }
    let error = late(&api::CLUSTER, cluster.name(), &said.unwrap_or_default());
    if birth::is_first(call, BIRTH).await? {
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

/// The version that runs, or, before Azure tells it, the one asked for.
pub(crate) fn version(properties: &Properties) -> &str {
    let current = properties.current_kubernetes_version.as_str();
    if current.is_empty() { &properties.kubernetes_version } else { current }
}

/// The error for a stage that needs a cluster.
pub(crate) fn absent(call: &Call<'_>) -> ProviderError {
    let error = ProviderError::new(ErrorKind::Conflict, format!("{} does not exist", call.names.home_id()));
    error.with_remedy(match call.names.is_shared() {
        true => "name the cluster by GROUP/NAME if its resource group has another name than the cluster itself",
        false => "retry from the cluster stage",
    })
}
