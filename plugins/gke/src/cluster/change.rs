//! What changes on a cluster that is up: version, access to the API server, one at a time.

use std::{collections::BTreeSet, fmt};

use google_cloud_container_v1::model::{Cluster, ClusterUpdate, ControlPlaneEndpointsConfig};
use landlord_provider_api::v1;
use landlord_provider_sdk::versions::next_minor;

use super::{endpoints, path};
use crate::{
    action,
    error::{Result, failed, invalid},
    google::Google,
    names::Names,
    parameters::Parameters,
    progress::Sent,
};

/// Begins the first change that is due, and names which. GKE takes one at a time.
pub(super) async fn begin(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    cluster: &Cluster,
) -> Result<Option<Sent>> {
    let name = names.cluster();
    let Some((update, sent)) = due(parameters, cluster)? else {
        return Ok(None);
    };
    let request = google.clusters.update_cluster().set_name(path(scope, names)).set_update(update);
    match Box::pin(request.send()).await.map_err(failed(action::UPDATE_CLUSTER, name)) {
        Ok(_) => Ok(Some(Sent { detail: format!("GKE cluster {name}: {}", sent.detail), ..sent })),
        Err(error) if error.is_busy() => {
            Ok(Some(Sent::new(format!("GKE cluster {name} works on something else: {error}"))))
        }
        Err(error) => Err(error),
    }
}

fn due(parameters: &Parameters, cluster: &Cluster) -> Result<Option<(ClusterUpdate, Sent)>> {
    let update = ClusterUpdate::new;
    if let Some(next) = next_version(&cluster.current_master_version, &parameters.kubernetes_version)? {
        let sent = Sent::new(format!("the control plane is being upgraded to Kubernetes {next}"));
        let sent = sent.field("currentMasterVersion", &next, &cluster.current_master_version);
        return Ok(Some((update().set_desired_master_version(next), sent)));
    }
    let wanted = endpoints(parameters);
    let present = cluster.control_plane_endpoints_config.as_ref();
    if access(present) != access(Some(&wanted)) {
        let sent = Sent::new("who may reach the control plane is being changed");
        let text = |config| access(config).to_string();
        let sent = sent.field("controlPlaneEndpointsConfig", text(Some(&wanted)), text(present));
        return Ok(Some((update().set_desired_control_plane_endpoints_config(wanted), sent)));
    }
    let key = &parameters.secrets_kms_key;
    if !key.is_empty() && cluster.database_encryption.as_ref().map(|e| e.key_name.as_str()) != Some(key) {
        return Err(invalid(
            "parameters.secrets_kms_key: the key of a cluster that exists cannot change; put the old value back or make a new tenant",
        ));
    }
    Ok(None)
}

/// Who may reach a control plane. A list that is off counts for nothing, and so does one of an endpoint that is not there.
#[derive(Debug, PartialEq)]
enum Access {
    Private,
    Anybody,
    Networks { blocks: BTreeSet<String>, google_cloud: bool },
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Anybody => f.write_str("public for everybody"),
            Self::Networks { blocks, google_cloud } => {
                let blocks: Vec<&str> = blocks.iter().map(String::as_str).collect();
                let machines = if *google_cloud { " and Google Cloud's public addresses" } else { "" };
                write!(f, "public for {}{machines}", blocks.join(" "))
            }
        }
    }
}

fn access(config: Option<&ControlPlaneEndpointsConfig>) -> Access {
    let by_address = config.and_then(|c| c.ip_endpoints_config.clone()).unwrap_or_default();
    let networks = by_address.authorized_networks_config.unwrap_or_default();
    match (by_address.enable_public_endpoint.unwrap_or(true), networks.enabled) {
        (false, _) => Access::Private,
        (true, false) => Access::Anybody,
        (true, true) => Access::Networks {
            google_cloud: networks.gcp_public_cidrs_access_enabled == Some(true),
            blocks: networks.cidr_blocks.into_iter().map(|b| b.cidr_block).collect(),
        },
    }
}

/// The next minor version; a class that names none leaves it to the release channel.
fn next_version(present: &str, wanted: &str) -> Result<Option<String>> {
    if wanted.is_empty() { Ok(None) } else { Ok(next_minor(present, wanted)?) }
}

#[cfg(test)]
mod tests {
    use super::{due, next_version};
    use crate::{cluster::endpoints, parameters::Parameters};
    use google_cloud_container_v1::model::Cluster;

    #[test]
    fn a_class_without_a_version_follows_the_channel() {
        assert_eq!(next_version("1.36.0-gke.1", "").expect("the channel's"), None);
        assert_eq!(next_version("1.33.5-gke.100", "1.35").expect("upwards").as_deref(), Some("1.34"));
    }

    fn parameters(cidrs: &[&str]) -> Parameters {
        let cidrs = cidrs.iter().map(|c| (*c).to_owned()).collect();
        Parameters { public_access_cidrs: Some(cidrs), ..Parameters::default() }
    }

    #[test]
    fn access_changes_only_when_it_differs() {
        let nets: [&[&str]; 4] = [&[], &["0.0.0.0/0"], &["203.0.113.0/24"], &["203.0.113.0/24", "198.51.100.0/24"]];
        for present in nets {
            let cluster = Cluster::new()
                .set_current_master_version("1.34.1-gke.1")
                .set_control_plane_endpoints_config(endpoints(&parameters(present)));
            for wanted in nets {
                let due = due(&parameters(wanted), &cluster).expect("valid");
                assert_eq!(due.is_some(), wanted != present, "{present:?} {wanted:?}");
            }
        }
        let narrow = parameters(&["203.0.113.0/24"]);
        let mut open = endpoints(&narrow);
        let by_address = open.ip_endpoints_config.as_mut().expect("by address");
        let networks = by_address.authorized_networks_config.as_mut().expect("a list");
        assert_eq!(networks.gcp_public_cidrs_access_enabled, Some(false), "stated, since Google's default is true");
        networks.gcp_public_cidrs_access_enabled = Some(true);
        let cluster =
            Cluster::new().set_current_master_version("1.34.1-gke.1").set_control_plane_endpoints_config(open);
        assert!(due(&narrow, &cluster).expect("valid").is_some(), "other customers' machines are shut out");
        let default = Cluster::new().set_current_master_version("1.34.1-gke.1");
        assert!(due(&parameters(&["0.0.0.0/0"]), &default).expect("valid").is_none(), "GKE's default is everybody");
    }
}
