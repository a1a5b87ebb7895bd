//! What Kubernetes made in Azure for a tenant outside the nodes' resource group, and left when
//! its cluster went: public addresses and load balancers of Services that name another group,
//! disks and snapshots of claims whose class does, with what hangs on them.
//!
//! Two things prove that an object is such a leftover. AKS hands the cluster's tags, our markers
//! among them, on to what its controllers make
//! (<https://learn.microsoft.com/azure/aks/use-tags>); and the controllers put tags of their own
//! on it (<https://cloud-provider-azure.sigs.k8s.io/topics/tagging-resources/>), which prove it
//! within the tenant's own group only, since every AKS cluster calls itself "kubernetes".

use std::collections::BTreeMap;

use landlord_provider_api::{MARKER_TENANT_UID, v1};

use crate::{
    api::{self, Kind},
    error::{Result, conflict},
    group,
    names::Call,
    object::{Object, Plain, State, group_of},
    progress::{Outcome, pending, ready},
};

/// Seconds between rounds.
const POLL_S: i64 = 5;
/// The types that are removed, in this order: what hangs on another thing comes after it.
static TYPES: [&Kind; 7] =
    [&api::BALANCER, &api::ENDPOINT, &api::INTERFACE, &api::ADDRESS, &api::SECURITY_GROUP, &api::SNAPSHOT, &api::DISK];
/// Beginnings of the tags that Kubernetes' controllers for Azure write.
const TAGS: [&str; 4] = ["k8s-azure-", "kubernetes.io-created-for-", "kubernetes-dns-label-service", "aks-managed-"];
/// The cluster that an object was made for, when its name is the tenant's.
const CLUSTER_TAGS: [&str; 3] = ["k8s-azure-cluster-name", "kubernetes-cluster-name", "aks-managed-cluster-name"];

/// Something left.
struct Leftover {
    object: Object<Plain>,
    kind: Option<&'static Kind>,
}

fn is_by_kubernetes(object: &Object<Plain>) -> bool {
    object.tags().keys().any(|key| TAGS.iter().any(|prefix| key.starts_with(prefix)))
}

fn is_for(call: &Call<'_>, object: &Object<Plain>) -> bool {
    let cluster = call.names.group();
    CLUSTER_TAGS.iter().any(|key| object.tags().get(*key).is_some_and(|v| v.eq_ignore_ascii_case(cluster)))
}

/// Everything left, each once, in the order of removal.
async fn find(call: &Call<'_>) -> Result<Vec<Leftover>> {
    let mut found: BTreeMap<String, Object<Plain>> = BTreeMap::new();
    let mut add = |object: Object<Plain>| found.insert(object.id().to_ascii_lowercase(), object);
    let path = format!("{}/resources", call.names.subscription_id());
    let by_tag = |key: &str, value: &str| format!("tagName eq '{key}' and tagValue eq '{value}'");
    let ours = by_tag(MARKER_TENANT_UID, &call.scope.tenant_uid);
    for object in call.arm.list::<Plain>(&api::RESOURCE, &path, Some(&ours)).await? {
        if object.is_ours(call.scope) {
            add(object);
        }
    }
    let by_cluster = by_tag(CLUSTER_TAGS[0], call.names.group());
    for object in call.arm.list::<Plain>(&api::RESOURCE, &path, Some(&by_cluster)).await? {
        if is_for(call, &object) {
            add(object);
        }
    }
    if group::find_own(call, call.names.group()).await?.is_some() {
        for object in group::contents(call, call.names.group()).await? {
            if is_by_kubernetes(&object) {
                add(object);
            }
        }
    }
    let own = call.names.own_ids();
    let (nodes, dns) = (call.names.nodes_group(), call.names.dns_group());
    let keeps = |object: &Object<Plain>| {
        let id = object.id();
        let group = group_of(id).unwrap_or_default();
        let elsewhere = !group.eq_ignore_ascii_case(&nodes) && !group.eq_ignore_ascii_case(&dns);
        let is_own =
            own.iter().any(|o| o.eq_ignore_ascii_case(id)) || id.eq_ignore_ascii_case(&call.names.cluster_id());
        elsewhere && !is_own
    };
    let of = |object: &Object<Plain>| TYPES.iter().copied().find(|k| k.name.eq_ignore_ascii_case(object.kind()));
    let mut left: Vec<Leftover> =
        found.into_values().filter(keeps).map(|object| Leftover { kind: of(&object), object }).collect();
    left.sort_by_key(|l| TYPES.iter().position(|k| Some(*k) == l.kind).unwrap_or(TYPES.len()));
    Ok(left)
}

fn owned(call: &Call<'_>, object: &Object<Plain>) -> v1::OwnedObject {
    let mut owned = object.owned(call.scope);
    "leftover".clone_into(&mut owned.role);
    owned
}

/// Makes leftovers be absent: requests what can go now, Pending while anything is there. The
/// list lags behind; each is inspected before it is counted.
pub(crate) async fn delete(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let (mut removed, mut kept, mut unknown, mut going) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for Leftover { object, kind } in find(call).await? {
        let Some(kind) = kind else {
            unknown.push(object.id().to_owned());
            continue;
        };
        let Some(present) = call.arm.get::<Plain>(kind, object.id()).await? else { continue };
        going += 1;
        if present.state() == State::Deleting {
            continue;
        }
        match call.arm.delete(kind, object.id()).await {
            Ok(_) => removed.push(owned(call, &object)),
            Err(error) if error.is_busy() => kept.push(object.id().to_owned()),
            Err(error) => return Err(error),
        }
    }
    if going > 0 {
        let detail = if kept.is_empty() {
            format!("{going} leftovers of the cluster are going")
        } else {
            format!("leftovers of the cluster are still in use: {}", kept.join(", "))
        };
        return Ok((pending(POLL_S, detail), removed));
    }
    if !unknown.is_empty() {
        return Err(conflict(
            format!("the cluster left objects of types that landlord does not remove: {}", unknown.join(", ")),
            "remove them by hand, or take the landlord tags off them to keep them; landlord tries again by itself",
        ));
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut objects = Vec::new();
    for Leftover { object, kind } in find(call).await? {
        let exists = match kind {
            Some(kind) => call.arm.get::<Plain>(kind, object.id()).await?.is_some(),
            None => true,
        };
        if exists {
            objects.push(owned(call, &object));
        }
    }
    let outcome = if objects.is_empty() { Outcome::Gone } else { ready() };
    Ok((outcome, objects))
}
