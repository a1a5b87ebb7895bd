//! The EKS control plane. Its name carries the tenant's uid, so the name is the idempotency
//! key and the client token only guards the SDK's own repetition.

use aws_sdk_eks::types::{
    AccessConfigResponse, AuthenticationMode, Cluster, ClusterStatus as Status, CreateAccessConfigRequest,
    EncryptionConfig, LogSetup, LogType, Logging, Provider as KeyProvider, SupportType, UpgradePolicyRequest,
    VpcConfigRequest,
};
use base64::Engine as _;
use landlord_provider_api::{ErrorKind, ProviderError, v1};

use crate::{
    access, action,
    aws::Clients,
    error::{Absent as _, Result, failed, incomplete, invalid},
    health,
    names::Names,
    node_pool,
    parameters::{LOG_TYPES, Parameters},
    progress::{self, Outcome},
    tags,
};

/// Seconds between looks at a control plane under way.
const POLL_S: i64 = 15;
/// What EKS can encrypt with a key of the customer's.
const ENCRYPTED: &str = "secrets";

/// Describes the tenant's cluster; a stranger's of our name is an error.
pub(crate) async fn find(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<Cluster>> {
    let name = names.cluster();
    let answer = aws.eks.describe_cluster().name(name).send().await;
    let answer = answer.map_err(failed(action::DESCRIBE_CLUSTER, name)).or_absent()?;
    let Some(cluster) = answer.and_then(|a| a.cluster) else { return Ok(None) };
    if !tags::map_is_ours(scope, cluster.tags()) {
        return Err(tags::name_taken("EKS cluster", name).into());
    }
    Ok(Some(cluster))
}

/// Makes the control plane be as the parameters say.
pub(crate) async fn ensure(
    aws: &Clients,
    scope: &v1::Scope,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    own_role: Option<&str>,
) -> Result<(Outcome, Option<v1::ClusterStatus>)> {
    let names = Names::new(scope)?;
    let name = names.cluster();
    let pending = |detail: String| Ok((progress::pending(POLL_S, detail), None));
    let Some(cluster) = find(aws, scope, &names).await? else {
        create(aws, scope, &names, parameters, network).await?;
        return pending(format!("EKS cluster {name} is being created"));
    };
    match cluster.status() {
        Some(Status::Active) => {}
        Some(Status::Failed) => {
            // A failed control plane never comes up; its name is freed for the next attempt.
            let error = health::cluster(&cluster);
            let answer = aws.eks.delete_cluster().name(name).send().await;
            answer.map(drop).map_err(failed(action::DELETE_CLUSTER, name)).or_absent()?;
            return Err(error.into());
        }
        Some(status) => return pending(format!("EKS cluster {name} is {status}")),
        None => return Err(incomplete(action::DESCRIBE_CLUSTER, "the status")),
    }
    if let Some(detail) = change(aws, &names, parameters, &cluster).await? {
        return pending(detail);
    }
    access::ensure(aws, scope, &names, parameters, own_role).await?;
    Ok((progress::ready(), Some(status(&cluster)?)))
}

async fn create(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
) -> Result<()> {
    let name = names.cluster();
    let subnets = network.private_subnet_ids.iter().chain(&network.public_subnet_ids).cloned().collect();
    let vpc = vpc_config(parameters)
        .set_subnet_ids(Some(subnets))
        .security_group_ids(attribute(network, "control_plane_security_group_id")?)
        .build();
    // Whoever creates the cluster administers it from its first second: EKS writes the entry
    // with the principal's true ARN, which a session's own view (STS) does not tell for roles
    // with a path. Access entries only; no aws-auth ConfigMap.
    let access = CreateAccessConfigRequest::builder()
        .authentication_mode(AuthenticationMode::Api)
        .bootstrap_cluster_creator_admin_permissions(true)
        .build();
    let mut request = aws
        .eks
        .create_cluster()
        .name(name)
        .role_arn(attribute(network, "cluster_role_arn")?)
        .version(&parameters.kubernetes_version)
        .resources_vpc_config(vpc)
        .access_config(access)
        .logging(logging(&parameters.control_plane_logs))
        // The add-ons come as EKS add-ons, all of them.
        .bootstrap_self_managed_addons(false)
        .upgrade_policy(UpgradePolicyRequest::builder().support_type(SupportType::Standard).build())
        .deletion_protection(false)
        .client_request_token(names.token("cluster", scope.generation))
        .set_tags(Some(tags::all(scope, "cluster").into_iter().collect()));
    if !parameters.secrets_kms_key_arn.is_empty() {
        let key = KeyProvider::builder().key_arn(&parameters.secrets_kms_key_arn).build();
        let resources = Some(vec![ENCRYPTED.to_owned()]);
        #[expect(deprecated, reason = "EKS documents the field as required still")]
        let encryption = EncryptionConfig::builder().set_resources(resources).provider(key).build();
        request = request.encryption_config(encryption);
    }
    match request.send().await.map_err(failed(action::CREATE_CLUSTER, name)) {
        Ok(_) => Ok(()),
        // Made in the meantime, perhaps by an earlier call of ours: the next look decides.
        Err(error) if error.code() == "ResourceInUseException" => find(aws, scope, names).await.map(drop),
        Err(error) => Err(error),
    }
}

fn vpc_config(parameters: &Parameters) -> aws_sdk_eks::types::builders::VpcConfigRequestBuilder {
    let cidrs = parameters.public_access_cidrs.clone().unwrap_or_default();
    let public = !cidrs.is_empty();
    VpcConfigRequest::builder()
        .endpoint_private_access(true)
        .endpoint_public_access(public)
        .set_public_access_cidrs(public.then_some(cidrs))
}

fn logging(wanted: &[String]) -> Logging {
    let setup = |enabled: bool| {
        let types: Vec<LogType> =
            LOG_TYPES.iter().filter(|t| wanted.iter().any(|w| w == *t) == enabled).map(|t| LogType::from(*t)).collect();
        (!types.is_empty()).then(|| LogSetup::builder().set_types(Some(types)).enabled(enabled).build())
    };
    Logging::builder().set_cluster_logging(Some([setup(true), setup(false)].into_iter().flatten().collect())).build()
}

/// A value that the network stage hands over.
pub(crate) fn attribute(network: &v1::NetworkStatus, name: &str) -> Result<String> {
    let value = network.attributes.get(name).filter(|v| !v.is_empty());
    value.cloned().ok_or_else(|| invalid(format!("the network's status lacks {name}; run its stage again")))
}

/// Begins the first change that is due, and says which. EKS takes one at a time.
async fn change(aws: &Clients, names: &Names, parameters: &Parameters, cluster: &Cluster) -> Result<Option<String>> {
    let name = names.cluster();
    if let Some(next) = next_version(cluster.version().unwrap_or_default(), &parameters.kubernetes_version)? {
        let request = aws.eks.update_cluster_version().name(name).version(&next);
        let request = request.client_request_token(names.token("cluster-version", &next));
        request.send().await.map_err(failed(action::UPDATE_CLUSTER_VERSION, name))?;
        return Ok(Some(format!("EKS cluster {name} is being upgraded to Kubernetes {next}")));
    }
    if !endpoint_is_as_wanted(parameters, cluster) {
        let request = aws.eks.update_cluster_config().name(name).resources_vpc_config(vpc_config(parameters).build());
        request.send().await.map_err(failed(action::UPDATE_CLUSTER_CONFIG, name))?;
        return Ok(Some(format!("the endpoint of EKS cluster {name} is being changed")));
    }
    if enabled_logs(cluster) != sorted(parameters.control_plane_logs.clone()) {
        let request = aws.eks.update_cluster_config().name(name).logging(logging(&parameters.control_plane_logs));
        request.send().await.map_err(failed(action::UPDATE_CLUSTER_CONFIG, name))?;
        return Ok(Some(format!("the logs of EKS cluster {name} are being changed")));
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
    let Some(present) = cluster.resources_vpc_config() else { return true };
    let wanted = sorted(parameters.public_access_cidrs.clone().unwrap_or_default());
    if !present.endpoint_private_access() || present.endpoint_public_access() == wanted.is_empty() {
        return false;
    }
    wanted.is_empty() || sorted(present.public_access_cidrs().to_vec()) == wanted
}

fn is_encrypted_with(cluster: &Cluster, key: &str) -> bool {
    cluster.encryption_config().iter().any(|c| c.provider().and_then(KeyProvider::key_arn) == Some(key))
}

/// The next minor version on the way; `None`: it is there.
pub(crate) fn next_version(present: &str, wanted: &str) -> Result<Option<String>> {
    let (Some(p), Some(w)) = (minor(present), minor(wanted)) else {
        return Err(invalid(format!("parameters.kubernetes_version: cannot compare {present:?} with {wanted:?}")));
    };
    match w.cmp(&p) {
        std::cmp::Ordering::Equal => Ok(None),
        std::cmp::Ordering::Greater => Ok(Some(format!("1.{}", p + 1))),
        std::cmp::Ordering::Less => Err(invalid(format!(
            "parameters.kubernetes_version: the cluster runs {present} and cannot go back to {wanted}"
        ))),
    }
}

/// `36` of `1.36`.
pub(crate) fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

/// The contract's view of an active cluster.
pub(crate) fn status(cluster: &Cluster) -> Result<v1::ClusterStatus> {
    let data = cluster.certificate_authority().and_then(|c| c.data());
    let data = data.ok_or_else(|| incomplete(action::DESCRIBE_CLUSTER, "the certificate authority"))?;
    let pem = base64::engine::general_purpose::STANDARD
        .decode(data.trim())
        .map_err(|_| incomplete(action::DESCRIBE_CLUSTER, "a readable certificate authority"))?;
    let get = |value: Option<&str>, what: &str| {
        value.map(str::to_owned).ok_or_else(|| incomplete(action::DESCRIBE_CLUSTER, what))
    };
    let vpc = cluster.resources_vpc_config();
    let group = vpc.and_then(|v| v.cluster_security_group_id()).unwrap_or_default();
    let mode = cluster.access_config().and_then(AccessConfigResponse::authentication_mode);
    Ok(v1::ClusterStatus {
        name: get(cluster.name(), "the name")?,
        endpoint: get(cluster.endpoint(), "the endpoint")?,
        // Whether it is a certificate is for whoever connects to judge.
        ca_pem: String::from_utf8_lossy(&pem).into_owned(),
        kubernetes_version: cluster.version().unwrap_or_default().to_owned(),
        attributes: [
            ("arn", cluster.arn().unwrap_or_default()),
            ("cluster_security_group_id", group),
            ("vpc_id", vpc.and_then(|v| v.vpc_id()).unwrap_or_default()),
            ("authentication_mode", mode.map_or("", AuthenticationMode::as_str)),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect(),
    })
}

/// The inventory's view.
pub(crate) fn owned(scope: &v1::Scope, cluster: &Cluster) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: "AWS::EKS::Cluster".to_owned(),
        id: cluster.arn().unwrap_or_default().to_owned(),
        name: cluster.name().unwrap_or_default().to_owned(),
        role: "cluster".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// `None` for absent and for a stranger's, which a deletion leaves alone.
pub(crate) async fn find_own(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<Cluster>> {
    match find(aws, scope, names).await {
        Err(error) => match ProviderError::from(error) {
            stated if stated.kind == ErrorKind::NameTaken => Ok(None),
            stated => Err(stated.into()),
        },
        found => found,
    }
}

/// Makes the control plane be absent, its node groups first.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let name = names.cluster();
    let Some(cluster) = find_own(aws, scope, &names).await? else { return Ok((Outcome::Gone, Vec::new())) };
    let waiting = |detail: String| Ok((progress::pending(POLL_S, detail), Vec::new()));
    match cluster.status() {
        Some(Status::Deleting) => return waiting(format!("EKS cluster {name} is being deleted")),
        Some(status @ (Status::Creating | Status::Updating | Status::Pending)) => {
            return waiting(format!("EKS cluster {name} is {status} and can be deleted after that"));
        }
        _ => {}
    }
    let (pools, removed) = node_pool::delete_all(aws, scope, &names).await?;
    if pools.is_pending() {
        return Ok((pools, removed));
    }
    let answer = aws.eks.delete_cluster().name(name).send().await;
    match answer.map_err(failed(action::DELETE_CLUSTER, name)) {
        Ok(_) => Ok((
            progress::pending(POLL_S, format!("EKS cluster {name} is being deleted")),
            vec![owned(scope, &cluster)],
        )),
        Err(error) if error.is_absent() => Ok((Outcome::Gone, vec![owned(scope, &cluster)])),
        Err(error) if error.is_busy() => waiting(format!("EKS cluster {name} cannot be deleted yet: {error}")),
        Err(error) => Err(error),
    }
}

/// Looks.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let Some(cluster) = find_own(aws, scope, &names).await? else { return Ok((Outcome::Gone, Vec::new())) };
    let outcome = match cluster.status() {
        Some(Status::Active) => progress::ready(),
        status => {
            let status = status.map_or("of unknown state", Status::as_str);
            progress::pending(POLL_S, format!("EKS cluster {} is {status}", names.cluster()))
        }
    };
    Ok((outcome, vec![owned(scope, &cluster)]))
}

#[cfg(test)]
mod tests {
    use super::next_version;

    #[test]
    fn versions_rise_one_minor_at_a_time_and_never_fall() {
        assert_eq!(next_version("1.34", "1.36").expect("upwards").as_deref(), Some("1.35"));
        assert_eq!(next_version("1.36", "1.36").expect("there"), None);
        assert!(next_version("1.36", "1.35").is_err());
        assert!(next_version("1.36", "latest").is_err());
    }
}
