//! Cloud identities of service accounts: the right to change the tenant's own zone, for
//! ExternalDNS and cert-manager. Workload Identity Federation gives it to the cluster itself
//! (`principalSet://…/kubernetes.cluster/…`), in the zone's own policy, so no Google service
//! account is made, no key exists, and deleting the zone takes the right along.
//!
//! It is the cluster and not the service account's name that is given the right: all clusters of a
//! project share one pool of identities, in which `external-dns/external-dns` of one tenant's
//! cluster is the same principal as that of another's.
//! <https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#identity_sameness>

use http::Method;
use landlord_provider_api::v1;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    action::{self, Action},
    cluster, dns,
    error::{Absent as _, Result, failed, incomplete},
    google::Google,
    names::Names,
    operation,
    progress::{self, Outcome},
    rest::Ask,
};

/// Changes record sets and lists them; granted on the zone alone.
const ROLE: &str = "roles/dns.admin";
/// Type in the inventory: a binding is no asset of its own.
const TYPE_NAME: &str = "dns.googleapis.com/ManagedZone.IamBinding";
/// Of the policy's format: 3 keeps conditions that others set.
const POLICY_VERSION: i32 = 3;

/// A policy, as far as it is looked at; the rest is handed back as it was read. The SDK's type
/// reads the etag as base64 of one alphabet, and services use both: it is kept as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Policy {
    #[serde(default)]
    bindings: Vec<Binding>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Binding {
    #[serde(default)]
    role: String,
    #[serde(default)]
    members: Vec<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn resource(scope: &v1::Scope, zone: &str) -> String {
    format!("projects/{}/managedZones/{zone}", scope.account)
}

/// Every pod of the tenant's cluster.
/// <https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#principal-id-examples>
fn principal(scope: &v1::Scope, names: &Names, project_number: u64) -> String {
    let pool = cluster::workload_pool(scope);
    let cluster =
        format!("https://container.googleapis.com/v1/{}/clusters/{}", operation::parent(scope), names.cluster());
    format!(
        "principalSet://iam.googleapis.com/projects/{project_number}/locations/global/workloadIdentityPools/{pool}/kubernetes.cluster/{cluster}"
    )
}

/// Whether a member is this cluster, whatever the project's number.
fn is_cluster(scope: &v1::Scope, names: &Names, member: &str) -> bool {
    let suffix = format!(
        "/kubernetes.cluster/https://container.googleapis.com/v1/{}/clusters/{}",
        operation::parent(scope),
        names.cluster()
    );
    member.starts_with("principalSet://") && member.ends_with(&suffix)
}

async fn call(
    google: &Google,
    scope: &v1::Scope,
    zone: &str,
    action: Action,
    verb: &str,
    body: &Value,
) -> Result<Policy> {
    let path = format!("/dns/v1/{}:{verb}", resource(scope, zone));
    let body = Some(body);
    google.policies.call(Ask { action, method: Method::POST, path, query: &[], body, subject: zone }).await
}

async fn read(google: &Google, scope: &v1::Scope, zone: &str) -> Result<Option<Policy>> {
    let body = json!({ "options": { "requestedPolicyVersion": POLICY_VERSION } });
    call(google, scope, zone, action::GET_ZONE_POLICY, "getIamPolicy", &body).await.or_absent()
}

/// Replaces the policy; the etag it was read with keeps a change of others from being lost.
async fn write(google: &Google, scope: &v1::Scope, zone: &str, policy: &Policy) -> Result<()> {
    let body = json!({ "policy": policy });
    call(google, scope, zone, action::SET_ZONE_POLICY, "setIamPolicy", &body).await.map(drop)
}

/// Whether it is the role's own binding, without a condition that others set.
fn grants(binding: &Binding) -> bool {
    binding.role == ROLE && !binding.rest.contains_key("condition")
}

/// Makes the cluster be able to change the tenant's zone.
pub(crate) async fn ensure(google: &Google, scope: &v1::Scope, zone: &v1::DnsZoneStatus) -> Result<Outcome> {
    let names = Names::new(scope)?;
    let zone = zone.zone_id.as_str();
    let Some(mut policy) = read(google, scope, zone).await? else {
        return Ok(progress::pending(5, format!("managed zone {zone} is not there yet")));
    };
    let has =
        policy.bindings.iter().filter(|b| grants(b)).flat_map(|b| &b.members).any(|m| is_cluster(scope, &names, m));
    if has {
        return Ok(progress::ready());
    }
    let answer = google.projects.get().set_project(&scope.account).send().await;
    let project = answer.map_err(failed(action::GET_PROJECT, &scope.account))?;
    let number = project.number.ok_or_else(|| incomplete(action::GET_PROJECT, "the project's number"))?;
    let member = principal(scope, &names, number);
    match policy.bindings.iter_mut().find(|b| grants(b)) {
        Some(binding) => binding.members.push(member),
        None => {
            let binding = Binding { role: ROLE.to_owned(), members: vec![member], rest: Map::new() };
            policy.bindings.push(binding);
        }
    }
    policy.rest.insert("version".to_owned(), POLICY_VERSION.into());
    write(google, scope, zone, &policy).await?;
    Ok(progress::ready())
}

fn owned(scope: &v1::Scope, zone: &str, member: &str) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: TYPE_NAME.to_owned(),
        id: format!("{}:{ROLE}:{member}", resource(scope, zone)),
        name: zone.to_owned(),
        role: "identity".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// The cluster's rights on the tenant's zones: the zone's name, its policy, the members.
async fn list(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Vec<(String, Policy, Vec<String>)>> {
    let mut found = Vec::new();
    for zone in dns::find_own(google, scope, "").await? {
        let name = zone.name.unwrap_or_default();
        let Some(policy) = read(google, scope, &name).await? else { continue };
        let members = policy.bindings.iter().flat_map(|b| &b.members).filter(|m| is_cluster(scope, names, m));
        let members: Vec<String> = members.cloned().collect();
        if !members.is_empty() {
            found.push((name, policy, members));
        }
    }
    Ok(found)
}

/// Takes the cluster's rights away.
pub(crate) async fn delete(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let mut removed = Vec::new();
    for (zone, mut policy, members) in list(google, scope, &names).await? {
        for binding in &mut policy.bindings {
            binding.members.retain(|m| !is_cluster(scope, &names, m));
        }
        policy.bindings.retain(|b| !b.members.is_empty());
        write(google, scope, &zone, &policy).await.or_absent()?;
        removed.extend(members.iter().map(|m| owned(scope, &zone, m)));
    }
    Ok((Outcome::Gone, removed))
}

/// Looks.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let found = list(google, scope, &names).await?;
    let outcome = if found.is_empty() { Outcome::Gone } else { progress::ready() };
    let objects = found.iter().flat_map(|(zone, _, members)| members.iter().map(|m| owned(scope, zone, m))).collect();
    Ok((outcome, objects))
}

#[cfg(test)]
mod tests {
    use super::{is_cluster, principal};
    use crate::names::Names;
    use landlord_provider_api::v1::Scope;

    #[test]
    fn the_right_is_the_clusters_alone() {
        let scope = |uid: &str| Scope {
            tenant_uid: uid.to_owned(),
            account: "acme-prod".to_owned(),
            region: "europe-west1".to_owned(),
            ..Scope::default()
        };
        let one = scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b");
        let names = Names::new(&one).expect("a good uid");
        let member = principal(&one, &names, 123);
        assert_eq!(
            member,
            "principalSet://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/acme-prod.svc.id.goog/kubernetes.cluster/https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west1/clusters/landlord-0192f0c12d3ea4b8c5d6e7f80910a1b"
        );
        assert!(is_cluster(&one, &names, &member));
        let two = scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1c");
        assert!(!is_cluster(&two, &Names::new(&two).expect("a good uid"), &member));
    }
}
