//! What changes on a cluster that is up: version, access to the API server, one at a time.

use std::collections::BTreeSet;

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
};

/// Begins the first change that is due, and says which. GKE takes one at a time.
pub(super) async fn begin(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    cluster: &Cluster,
) -> Result<Option<String>> {
    let name = names.cluster();
    let Some((update, detail)) = due(parameters, cluster)? else {
        return Ok(None);
    };
    let request = google.clusters.update_cluster().set_name(path(scope, names)).set_update(update);
    match request.send().await.map_err(failed(action::UPDATE_CLUSTER, name)) {
        Ok(_) => Ok(Some(format!("GKE cluster {name}: {detail}"))),
        Err(error) if error.is_busy() => Ok(Some(format!("GKE cluster {name} works on something else: {error}"))),
        Err(error) => Err(error),
    }
}

fn due(parameters: &Parameters, cluster: &Cluster) -> Result<Option<(ClusterUpdate, String)>> {
    let update = ClusterUpdate::new;
    if let Some(next) = next_version(&cluster.current_master_version, &parameters.kubernetes_version)? {
        let detail = format!("the control plane is being upgraded to Kubernetes {next}");
        return Ok(Some((update().set_desired_master_version(next), detail)));
    }
    let wanted = endpoints(parameters);
    if !same_access(cluster.control_plane_endpoints_config.as_ref(), &wanted) {
        let detail = "who may reach the control plane is being changed".to_owned();
        return Ok(Some((update().set_desired_control_plane_endpoints_config(wanted), detail)));
    }
    let key = &parameters.secrets_kms_key;
    if !key.is_empty() && cluster.database_encryption.as_ref().map(|e| e.key_name.as_str()) != Some(key) {
        return Err(invalid(
            "parameters.secrets_kms_key: the key of a cluster that exists cannot change; put the old value back or make a new tenant",
        ));
    }
    Ok(None)
}

fn same_access(present: Option<&ControlPlaneEndpointsConfig>, wanted: &ControlPlaneEndpointsConfig) -> bool {
    let facts = |config: Option<&ControlPlaneEndpointsConfig>| {
        let by_address = config.and_then(|c| c.ip_endpoints_config.clone()).unwrap_or_default();
        let public = by_address.enable_public_endpoint.unwrap_or(true);
        let networks = by_address.authorized_networks_config.unwrap_or_default();
        let google_cloud = networks.gcp_public_cidrs_access_enabled == Some(true);
        let blocks: BTreeSet<String> = networks.cidr_blocks.into_iter().map(|b| b.cidr_block).collect();
        // A list that is off counts for nothing, and so does one of an endpoint that is not there.
        (public, (networks.enabled && public).then_some((blocks, google_cloud)))
    };
    facts(present) == facts(Some(wanted))
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
        assert_eq!(networks.gcp_public_cidrs_access_enabled, Some(false), "said, since Google's default is true");
        networks.gcp_public_cidrs_access_enabled = Some(true);
        let cluster =
            Cluster::new().set_current_master_version("1.34.1-gke.1").set_control_plane_endpoints_config(open);
        assert!(due(&narrow, &cluster).expect("valid").is_some(), "other customers' machines are shut out");
        let default = Cluster::new().set_current_master_version("1.34.1-gke.1");
        assert!(due(&parameters(&["0.0.0.0/0"]), &default).expect("valid").is_none(), "GKE's default is everybody");
    }
}
