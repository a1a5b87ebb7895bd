//! Cloud identities of service accounts: the right to change the tenant's own zone, for
//! ExternalDNS and cert-manager. Workload Identity Federation gives it to the cluster itself
//! (`principalSet://…/kubernetes.cluster/…`), in the zone's own policy, so no Google service
//! account is made, no key exists, and deleting the zone takes the right along.
//!
//! It is the cluster and not the service account's name that is given the right: all clusters of a
//! project share one pool of identities, in which `external-dns/external-dns` of one tenant's
//! cluster is the same principal as that of another's.
//! <https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#identity_sameness>

use google_cloud_dns_v1::model::ManagedZone;
use http::Method;
use landlord_provider_api::{MARKER_TENANT_UID, v1};
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

/// A policy, as far as it is inspected; the rest is handed back as it was read. The SDK's type
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

/// Where the tenant's cluster is that a member means, whatever the project's number; `None` for every other member.
fn location_of<'a>(scope: &v1::Scope, names: &Names, member: &'a str) -> Option<&'a str> {
    let (pool, path) = member.split_once("/kubernetes.cluster/https://container.googleapis.com/v1/")?;
    let path = path.strip_prefix(&format!("projects/{}/locations/", scope.account))?;
    let location = path.strip_suffix(&format!("/clusters/{}", names.cluster()))?;
    (pool.starts_with("principalSet://") && !location.contains('/')).then_some(location)
}

/// Whether a member is the tenant's cluster, in whatever location: a class's region may have changed.
fn is_cluster(scope: &v1::Scope, names: &Names, member: &str) -> bool {
    location_of(scope, names, member).is_some()
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
    let mut members = policy.bindings.iter().filter(|b| grants(b)).flat_map(|b| &b.members);
    if members.any(|m| location_of(scope, &names, m) == Some(scope.region.as_str())) {
        return Ok(progress::ready());
    }
    let response = google.projects.get().set_project(&scope.account).send().await;
    let project = response.map_err(failed(action::GET_PROJECT, &scope.account))?;
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

/// A zone's name, its policy, and the members of it that are the tenant's cluster; `None` if there are none.
async fn rights(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    zone: ManagedZone,
) -> Result<Option<(String, Policy, Vec<String>)>> {
    let name = zone.name.unwrap_or_default();
    let Some(policy) = read(google, scope, &name).await? else { return Ok(None) };
    let members = policy.bindings.iter().flat_map(|b| &b.members).filter(|m| is_cluster(scope, names, m));
    let members: Vec<String> = members.cloned().collect();
    Ok((!members.is_empty()).then_some((name, policy, members)))
}

/// The cluster's rights on the tenant's zones.
async fn list(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Vec<(String, Policy, Vec<String>)>> {
    let mut found = Vec::new();
    for zone in dns::find_own(google, scope, "").await? {
        found.extend(rights(google, scope, names, zone).await?);
    }
    Ok(found)
}

/// The inventory's view of what clusters may do with these zones, of whichever tenant each zone is. A zone's policy is read
/// by a call of its own: an inventory of the installation makes one for each tenant with a zone.
pub(crate) async fn inventory(
    google: &Google,
    scope: &v1::Scope,
    zones: Vec<ManagedZone>,
) -> Result<Vec<v1::OwnedObject>> {
    let mut objects = Vec::new();
    for zone in zones {
        let tenant_uid = zone.labels.get(MARKER_TENANT_UID).cloned().unwrap_or_default();
        let scope = v1::Scope { tenant_uid, ..scope.clone() };
        // A marker that somebody changed names no tenant, and no cluster either.
        let Ok(names) = Names::new(&scope) else { continue };
        if let Some((zone, _, members)) = rights(google, &scope, &names, zone).await? {
            objects.extend(members.iter().map(|m| owned(&scope, &zone, m)));
        }
    }
    Ok(objects)
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

/// Observes.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let found = list(google, scope, &names).await?;
    let outcome = if found.is_empty() { Outcome::Gone } else { progress::ready() };
    let objects = found.iter().flat_map(|(zone, _, members)| members.iter().map(|m| owned(scope, zone, m))).collect();
    Ok((outcome, objects))
}

#[cfg(test)]
mod tests {
    use super::{is_cluster, location_of, principal};
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
        let moved = Scope { region: "europe-north1".to_owned(), ..one.clone() };
        assert_eq!(location_of(&moved, &names, &member), Some("europe-west1"));
        assert!(!is_cluster(&Scope { account: "acme-test".to_owned(), ..one }, &names, &member));
        let two = scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1c");
        assert!(!is_cluster(&two, &Names::new(&two).expect("a good uid"), &member));
    }
}
