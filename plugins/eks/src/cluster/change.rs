//! What changes on a control plane that is up: version, endpoint, logs, one at a time.

use aws_sdk_eks::types::{Cluster, LogSetup, Logging, Provider as KeyProvider};

use landlord_provider_sdk::versions::next_minor;

use super::{logging, vpc_config};
use crate::{
    action,
    aws::Clients,
    error::{Result, failed, invalid},
    names::Names,
    parameters::Parameters,
    progress::Sent,
};

/// Begins the first change that is due, and names which. EKS takes one at a time.
pub(super) async fn begin(
    aws: &Clients,
    names: &Names,
    parameters: &Parameters,
    cluster: &Cluster,
) -> Result<Option<Sent>> {
    let name = names.cluster();
    if let Some(next) = next_minor(cluster.version().unwrap_or_default(), &parameters.kubernetes_version)? {
        let request = aws.eks.update_cluster_version().name(name).version(&next);
        let request = request.client_request_token(names.token("cluster-version", &next));
        request.send().await.map_err(failed(action::UPDATE_CLUSTER_VERSION, name))?;
        let sent = Sent::new(format!("EKS cluster {name} is being upgraded to Kubernetes {next}"));
        return Ok(Some(sent.field("version", &next, cluster.version().unwrap_or_default())));
    }
    if !endpoint_is_as_wanted(parameters, cluster) {
        let request = aws.eks.update_cluster_config().name(name).resources_vpc_config(vpc_config(parameters).build());
        request.send().await.map_err(failed(action::UPDATE_CLUSTER_CONFIG, name))?;
        let sent = Sent::new(format!("the endpoint of EKS cluster {name} is being changed"));
        let wanted = sorted(parameters.public_access_cidrs.clone().unwrap_or_default());
        return Ok(Some(sent.field("endpoint access", access(true, &wanted), present_access(cluster))));
    }
    if enabled_logs(cluster) != sorted(parameters.control_plane_logs.clone()) {
        let request = aws.eks.update_cluster_config().name(name).logging(logging(&parameters.control_plane_logs));
        request.send().await.map_err(failed(action::UPDATE_CLUSTER_CONFIG, name))?;
        let sent = Sent::new(format!("the logs of EKS cluster {name} are being changed"));
        let wanted = sorted(parameters.control_plane_logs.clone()).join(",");
        return Ok(Some(sent.field("logging", wanted, enabled_logs(cluster).join(","))));
    }
    if !parameters.secrets_kms_key_arn.is_empty() && !is_encrypted_with(cluster, &parameters.secrets_kms_key_arn) {
        return Err(invalid(
            "parameters.secrets_kms_key_arn: the key of a cluster that exists cannot change; put the old value back or make a new tenant",
        ));
    }
    Ok(None)
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

fn enabled_logs(cluster: &Cluster) -> Vec<String> {
    let setups = cluster.logging().map(Logging::cluster_logging).unwrap_or_default();
    let enabled = setups.iter().filter(|s| s.enabled() == Some(true));
    sorted(enabled.flat_map(LogSetup::types).map(|t| t.as_str().to_owned()).collect())
}

fn endpoint_is_as_wanted(parameters: &Parameters, cluster: &Cluster) -> bool {
    let Some(present) = cluster.resources_vpc_config() else {
        return true;
    };
    let wanted = sorted(parameters.public_access_cidrs.clone().unwrap_or_default());
    if !present.endpoint_private_access() || present.endpoint_public_access() == wanted.is_empty() {
        return false;
    }
    wanted.is_empty() || sorted(present.public_access_cidrs().to_vec()) == wanted
}

fn access(private: bool, public: &[String]) -> String {
    let private = if private { "private" } else { "not private" };
    if public.is_empty() { private.to_owned() } else { format!("{private}, public for {}", public.join(" ")) }
}

fn present_access(cluster: &Cluster) -> String {
    let Some(present) = cluster.resources_vpc_config() else { return String::new() };
    let public =
        if present.endpoint_public_access() { sorted(present.public_access_cidrs().to_vec()) } else { Vec::new() };
    access(present.endpoint_private_access(), &public)
}

fn is_encrypted_with(cluster: &Cluster, key: &str) -> bool {
    cluster.encryption_config().iter().any(|c| c.provider().and_then(KeyProvider::key_arn) == Some(key))
}
