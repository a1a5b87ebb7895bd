//! Cloud identities of service accounts: EKS pod identity associations for ExternalDNS and
//! cert-manager. The roles may change any zone; each association carries a session policy that
//! narrows them to the tenant's own.

use aws_sdk_eks::types::PodIdentityAssociation;
use landlord_provider_api::v1;
use serde_json::json;

use crate::{
    action,
    aws::{self, Clients},
    cluster, dns,
    error::{Absent as _, Result, failed},
    names::Names,
    progress::{self, Outcome},
    tags,
};

/// What the associations are marked with.
const MARKER: &str = "identity";
/// Namespace, service account, network attribute that names the role.
const ACCOUNTS: [(&str, &str, &str); 2] = [
    ("external-dns", "external-dns", "external_dns_role_arn"),
    ("cert-manager", "cert-manager", "cert_manager_role_arn"),
];

/// `NAMESPACE/ACCOUNT` is one of them.
pub(crate) fn is_landlords(key: &str) -> bool {
    ACCOUNTS.iter().any(|(namespace, account, _)| key.split_once('/') == Some((*namespace, *account)))
}

/// What the tenant's DNS identities may do at most: change this zone, list to find it.
fn session_policy(region: &str, zone_id: &str) -> String {
    let partition = aws::partition(region);
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"],
                "Resource": format!("arn:{partition}:route53:::hostedzone/{zone_id}"),
            },
            {
                "Effect": "Allow",
                "Action": ["route53:ListHostedZones", "route53:ListHostedZonesByName", "route53:ListTagsForResources", "route53:GetChange"],
                "Resource": "*",
            },
        ],
    })
    .to_string()
}

pub(crate) async fn find(
    aws: &Clients,
    names: &Names,
    namespace: &str,
    account: &str,
) -> Result<Option<PodIdentityAssociation>> {
    let request = aws.eks.list_pod_identity_associations().cluster_name(names.cluster());
    let response = request.namespace(namespace).service_account(account).send().await;
    let response = response.map_err(failed(action::LIST_POD_IDENTITIES, account)).or_absent()?;
    let summary = response.and_then(|a| a.associations.unwrap_or_default().into_iter().next());
    match summary.and_then(|s| s.association_id) {
        Some(id) => describe(aws, names, &id).await,
        None => Ok(None),
    }
}

pub(crate) async fn describe(aws: &Clients, names: &Names, id: &str) -> Result<Option<PodIdentityAssociation>> {
    let request = aws.eks.describe_pod_identity_association().cluster_name(names.cluster()).association_id(id);
    let response = request.send().await.map_err(failed(action::DESCRIBE_POD_IDENTITY, id)).or_absent()?;
    Ok(response.and_then(|a| a.association))
}

/// Makes the associations be there.
pub(crate) async fn ensure(
    aws: &Clients,
    scope: &v1::Scope,
    network: &v1::NetworkStatus,
    zone: &v1::DnsZoneStatus,
) -> Result<Outcome> {
    let names = Names::new(scope)?;
    let policy = session_policy(&aws.region, dns::short_id(&zone.zone_id));
    for (namespace, account, role) in ACCOUNTS {
        let role = cluster::attribute(network, role)?;
        let Some(present) = find(aws, &names, namespace, account).await? else {
            let policy = Some(policy.as_str());
            let new = NewAssociation { namespace, account, role_arn: &role, policy, marker: MARKER, token: account };
            create(aws, scope, &names, new).await?;
            continue;
        };
        if !tags::is_ours(scope, &present.tags()) {
            return Err(tags::name_taken("pod identity association", &format!("{namespace}/{account}")).into());
        }
        let same_policy = present.policy().is_none_or(|p| p == policy);
        if present.role_arn() == Some(role.as_str()) && same_policy {
            continue;
        }
        let request = aws
            .eks
            .update_pod_identity_association()
            .cluster_name(names.cluster())
            .association_id(present.association_id().unwrap_or_default())
            .role_arn(&role)
            .disable_session_tags(true)
            .policy(&policy);
        request.send().await.map_err(failed(action::UPDATE_POD_IDENTITY, account))?;
    }
    Ok(progress::ready())
}

/// An association to be made.
pub(crate) struct NewAssociation<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) account: &'a str,
    pub(crate) role_arn: &'a str,
    /// What narrows the role.
    pub(crate) policy: Option<&'a str>,
    /// What it is marked with.
    pub(crate) marker: &'a str,
    /// What distinguishes its request from others of the marker.
    pub(crate) token: &'a str,
}

/// Makes one; that there is one by now is fine.
pub(crate) async fn create(aws: &Clients, scope: &v1::Scope, names: &Names, new: NewAssociation<'_>) -> Result<()> {
    let request = aws
        .eks
        .create_pod_identity_association()
        .cluster_name(names.cluster())
        .namespace(new.namespace)
        .service_account(new.account)
        .role_arn(new.role_arn)
        // A session policy and EKS's session tags exclude each other.
        .set_disable_session_tags(new.policy.map(|_| true))
        .set_policy(new.policy.map(str::to_owned))
        .client_request_token(names.token(new.marker, format_args!("{}/{}", new.token, scope.generation)))
        .set_tags(Some(tags::all(scope, new.marker).into_iter().collect()));
    match request.send().await.map_err(failed(action::CREATE_POD_IDENTITY, new.account)) {
        Ok(_) => Ok(()),
        Err(error) if error.code() == "ResourceInUseException" => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes those, which are all marked the same; what they were.
pub(crate) async fn remove(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    (associations, marker): (Vec<PodIdentityAssociation>, &str),
) -> Result<Vec<v1::OwnedObject>> {
    let mut removed = Vec::new();
    for association in associations {
        let id = association.association_id().unwrap_or_default();
        let request = aws.eks.delete_pod_identity_association().cluster_name(names.cluster()).association_id(id);
        request.send().await.map(drop).map_err(failed(action::DELETE_POD_IDENTITY, id)).or_absent()?;
        removed.push(owned(scope, &association, marker));
    }
    Ok(removed)
}

async fn list(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Vec<PodIdentityAssociation>> {
    let mut found = Vec::new();
    if cluster::find_own(aws, scope, names).await?.is_none() {
        return Ok(found);
    }
    for (namespace, account, _) in ACCOUNTS {
        let present = find(aws, names, namespace, account).await?;
        found.extend(present.filter(|a| tags::is_ours(scope, &a.tags())));
    }
    Ok(found)
}

pub(crate) fn owned(scope: &v1::Scope, association: &PodIdentityAssociation, role: &str) -> v1::OwnedObject {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    v1::OwnedObject {
        r#type: "AWS::EKS::PodIdentityAssociation".to_owned(),
        id: text(association.association_arn()),
        name: format!("{}/{}", text(association.namespace()), text(association.service_account())),
        role: role.to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// Makes the associations be absent.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let associations = list(aws, scope, &names).await?;
    Ok((Outcome::Gone, remove(aws, scope, &names, (associations, MARKER)).await?))
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let found = list(aws, scope, &names).await?;
    let outcome = match found.len() {
        0 => Outcome::Gone,
        n if n == ACCOUNTS.len() => progress::ready(),
        _ => progress::pending(5, "pod identities are missing"),
    };
    Ok((outcome, found.iter().map(|a| owned(scope, a, MARKER)).collect()))
}
