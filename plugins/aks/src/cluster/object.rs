//! What is read of a cluster, and finding it: the ground of everything that needs one. Changes nothing.

use landlord_provider_api::{ErrorKind, ProviderError};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api,
    error::{self, ErrorBody, Result},
    names::Call,
    object::Object,
    tags,
};

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
    pub(crate) fn reported(&self) -> Option<ErrorBody> {
        Some(error::read(&self.provisioning_error)).filter(|s| *s != ErrorBody::default())
    }
}

/// A cluster as found.
pub(crate) type Cluster = Object<Properties>;

/// The tenant's cluster; a foreign one of our name is an error.
pub(crate) async fn find(call: &Call<'_>) -> Result<Option<Cluster>> {
    let found = call.arm.get::<Properties>(&api::CLUSTER, &call.names.cluster_id()).await?;
    match found {
        Some(found) if !found.is_ours(call.scope) => Err(tags::name_taken("AKS cluster", found.name()).into()),
        found => Ok(found),
    }
}

/// The cluster that the tenant's nodes are in. A shared one carries the host's markers or a
/// foreign one: it is only inspected.
pub(crate) async fn find_home(call: &Call<'_>) -> Result<Option<Cluster>> {
    if !call.names.is_shared() {
        return find(call).await;
    }
    call.arm.get::<Properties>(&api::CLUSTER, &call.names.home_id()).await
}

/// `None` for absent and for a foreign one, which a deletion leaves alone.
pub(crate) async fn find_own(call: &Call<'_>) -> Result<Option<Cluster>> {
    let found = call.arm.get::<Properties>(&api::CLUSTER, &call.names.cluster_id()).await?;
    Ok(found.filter(|c| c.is_ours(call.scope)))
}

/// The version that runs, or, before Azure reports it, the one requested.
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
