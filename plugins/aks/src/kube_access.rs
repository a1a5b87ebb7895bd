//! Access to the API server as AKS grants it with local accounts off: an Entra token made out to
//! AKS's server application, judged by Azure RBAC. The address and the authority stand in the
//! kubeconfig that AKS gives; of it nothing else is used, no `exec`.
//!
//! <https://learn.microsoft.com/azure/aks/kubelogin-authentication>

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use landlord_provider_api::v1;
use serde::Deserialize;

use crate::{
    api,
    cluster::{self, Properties},
    error::{Result, incomplete},
    names::Call,
};

/// AKS's server application, the same in every cloud and tenant.
const SERVER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
/// Kept for clocks and for the way.
const MARGIN: Duration = Duration::from_secs(60);

/// Where an API server is and by what it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) endpoint: String,
    pub(crate) ca_pem: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kubeconfig {
    clusters: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    cluster: Cluster,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}

/// Endpoint and authority of a cluster that is up.
pub(crate) async fn reach(call: &Call<'_>, properties: &Properties) -> Result<Reach> {
    let response = call.arm.act(&api::CLUSTER, &call.names.home_id()).await?;
    let text = response["kubeconfigs"][0]["value"].as_str().unwrap_or_default();
    let mut reach = read(text).ok_or_else(|| incomplete(&api::CLUSTER, "a readable kubeconfig"))?;
    if reach.endpoint.is_empty() {
        let names = [&properties.fqdn, &properties.private_fqdn];
        let name = names.into_iter().find(|n| !n.is_empty());
        let name = name.ok_or_else(|| incomplete(&api::CLUSTER, "the API server's name"))?;
        reach.endpoint = format!("https://{name}:443");
    }
    Ok(reach)
}

fn read(base64: &str) -> Option<Reach> {
    let decode = |text: &str| String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok();
    let config: Kubeconfig = serde_saphyr::from_str(&decode(base64)?).ok()?;
    let cluster = config.clusters.into_iter().next()?.cluster;
    let ca_pem = decode(&cluster.certificate_authority_data)?;
    (!ca_pem.is_empty()).then_some(Reach { endpoint: cluster.server, ca_pem })
}

/// Endpoint, authority and a token.
pub(crate) async fn access(call: &Call<'_>, given: Option<v1::ClusterStatus>) -> Result<v1::KubeAccess> {
    // One that was adopted is called as the adoption has it, perhaps with its group.
    let is_home = |name: &str| name == call.names.home() || (call.names.is_shared() && name == call.scope.host_cluster);
    let known = given.filter(|c| !c.endpoint.is_empty() && !c.ca_pem.is_empty() && is_home(&c.name));
    let reach = match known {
        Some(status) => Reach { endpoint: status.endpoint, ca_pem: status.ca_pem },
        None => match cluster::find_home(call).await? {
            Some(found) => reach(call, &found.properties).await?,
            None => return Err(cluster::absent(call).into()),
        },
    };
    let token = call.arm.token(SERVER).await?;
    let end = SystemTime::from(token.expires_on).checked_sub(MARGIN).unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(v1::KubeAccess {
        endpoint: reach.endpoint,
        ca_pem: reach.ca_pem,
        token: token.token.secret().to_owned(),
        expire_time: Some(end.into()),
        ..v1::KubeAccess::default()
    })
}

#[cfg(test)]
mod tests {
    use super::{Reach, read};
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    #[test]
    fn only_address_and_authority_are_read() {
        let ca = STANDARD.encode("-----BEGIN CERTIFICATE-----");
        let config = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: https://c.hcp.westeurope.azmk8s.io:443\n    certificate-authority-data: {ca}\nusers:\n- name: u\n  user:\n    exec:\n      command: kubelogin\n"
        );
        let expected = Reach {
            endpoint: "https://c.hcp.westeurope.azmk8s.io:443".to_owned(),
            ca_pem: "-----BEGIN CERTIFICATE-----".to_owned(),
        };
        assert_eq!(read(&STANDARD.encode(config)), Some(expected));
        for bad in ["", "!", &STANDARD.encode("clusters: []")] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
