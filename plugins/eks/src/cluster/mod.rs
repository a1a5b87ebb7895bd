//! The EKS control plane. Its name carries the tenant's uid, so the name is the idempotency
//! key and the client token only guards the SDK's own repetition.

mod change;
mod removal;

pub(crate) use removal::{delete, observe};

use aws_sdk_eks::types::{
    AccessConfigResponse, AuthenticationMode, Cluster, ClusterStatus as Status, CreateAccessConfigRequest,
    EncryptionConfig, LogSetup, LogType, Logging, Provider as KeyProvider, VpcConfigRequest,
};
use base64::Engine as _;
use landlord_provider_api::v1;

use crate::{
    access, action,
    aws::Clients,
    error::{Absent as _, Owned as _, Result, failed, incomplete, invalid},
    health, logs,
    names::Names,
    parameters::{LOG_TYPES, Parameters},
    progress::{self, Outcome},
    tags,
};

/// Seconds between observations of a control plane under way.
const POLL_S: i64 = 15;
/// What EKS can encrypt with a key of the customer's.
const ENCRYPTED: &str = "secrets";

/// Describes the tenant's cluster; a foreign one of our name is an error.
pub(crate) async fn find(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<Cluster>> {
    let name = names.cluster();
    let response = aws.eks.describe_cluster().name(name).send().await;
    let response = response.map_err(failed(action::DESCRIBE_CLUSTER, name)).or_absent()?;
    let Some(cluster) = response.and_then(|a| a.cluster) else {
        return Ok(None);
    };
    if !tags::is_ours(scope, &cluster.tags()) {
        return Err(tags::name_taken("EKS cluster", name).into());
    }
    Ok(Some(cluster))
}

/// `None` for absent and for a foreign one, which a deletion leaves alone.
pub(crate) async fn find_own(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<Cluster>> {
    find(aws, scope, names).await.if_owned()
}

/// Describes the shared cluster that the tenant lives in: not the tenant's, so its markers are not
/// requested, and nothing but node groups may be made in it.
pub(crate) async fn find_shared(aws: &Clients, names: &Names) -> Result<Option<Cluster>> {
    let name = names.home();
    let response = aws.eks.describe_cluster().name(name).send().await;
    Ok(response.map_err(failed(action::DESCRIBE_CLUSTER, name)).or_absent()?.and_then(|a| a.cluster))
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
        logs::ensure(aws, scope, &names, parameters).await?;
        create(aws, scope, &names, parameters, network).await?;
        return pending(format!("EKS cluster {name} is being created"));
    };
    match cluster.status() {
        Some(Status::Active) => {}
        Some(Status::Failed) => {
            // A failed control plane never comes up; its name is freed for the next attempt.
            let error = health::cluster(&cluster);
            let response = aws.eks.delete_cluster().name(name).send().await;
            response.map(drop).map_err(failed(action::DELETE_CLUSTER, name)).or_absent()?;
            return Err(error.into());
        }
        Some(status) => return pending(format!("EKS cluster {name} is {status}")),
        None => return Err(incomplete(action::DESCRIBE_CLUSTER, "the status")),
    }
    logs::ensure(aws, scope, &names, parameters).await?;
    if let Some(sent) = change::begin(aws, &names, parameters, &cluster).await? {
        return Ok((sent.pending(POLL_S), None));
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
    // with the principal's true ARN, which a session's own view (STS) does not show for roles
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
        // Made in the meantime, perhaps by an earlier call of ours: the next observation decides.
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
