//! What Kubernetes made in the project for this tenant's cluster and GKE forgot when the cluster
//! went: load balancers in their parts, disks of claims and their snapshots, firewall rules. Found by what carries the
//! cluster's name, hence the tenant's uid, by lying in the tenant's own network under a name that
//! a controller gives, or by belonging to one of those; nothing else is touched.
//!
//! What stays and why:
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/deleting-a-cluster#overview>.

mod kinds;
mod matching;

pub(crate) use matching::by_controller;

use landlord_provider_api::v1;

use self::{
    kinds::{KINDS, Kind},
    matching::{Candidate, Matcher},
};
use crate::{
    action, cluster,
    error::Result,
    google::Google,
    names::Names,
    progress::{self, Outcome},
};

/// Seconds between observations.
const POLL_S: i64 = 10;
/// Leftovers remembered from one call to the next; some 100 bytes each, of a checkpoint's 16 KiB.
const REMEMBERED_MAX: usize = 120;

fn object(scope: &v1::Scope, candidate: &Candidate) -> v1::OwnedObject {
    let link = &candidate.object.self_link;
    let id = link.split("/compute/v1/").nth(1).unwrap_or(link);
    v1::OwnedObject {
        r#type: candidate.kind.type_name.to_owned(),
        id: id.to_owned(),
        name: candidate.object.name.clone(),
        role: "leftover".to_owned(),
        tenant_uid: String::new(),
        region: scope.region.clone(),
    }
}

async fn list(google: &Google, scope: &v1::Scope, kind: &'static Kind, cluster: &str) -> Result<Vec<Candidate>> {
    // Disks and snapshots are many and all have the label; everything else is distinguished by more than one mark.
    let filter = if kind.is_labelled { format!("labels.goog-k8s-cluster-name={cluster}") } else { String::new() };
    let found = google.compute.list(action::LIST_LEFTOVERS, &scope.account, &kind.list_path(), &filter).await?;
    let found = found.into_iter().filter(|object| !kind.is_of_pool(object));
    Ok(found.map(|object| Candidate { kind, object }).collect())
}

/// The tenant's leftovers, what uses others before what is used. `known`: paths of leftovers found
/// before; one that named another may be gone by now.
async fn find(google: &Google, scope: &v1::Scope, known: &[String]) -> Result<Vec<Candidate>> {
    let names = Names::new(scope)?;
    if cluster::is_foreign(google, scope, &names).await? {
        // What bears its name was made for it.
        return Ok(Vec::new());
    }
    let lists = KINDS.iter().map(|kind| list(google, scope, kind, names.cluster()));
    let all: Vec<Candidate> = futures::future::try_join_all(lists).await?.into_iter().flatten().collect();
    Ok(Matcher::new(scope, &names).select(all, known))
}

/// Makes leftovers be absent: requests what can go now, Pending while anything is there.
pub(crate) async fn delete(
    google: &Google,
    scope: &v1::Scope,
    checkpoint: &[u8],
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let known: Vec<String> = serde_json::from_slice(checkpoint).unwrap_or_default();
    let found = find(google, scope, &known).await?;
    if found.is_empty() {
        return Ok((Outcome::Gone, Vec::new()));
    }
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for candidate in &found {
        // The firewall rules show whose the nameless rest is: they go when nothing else is left.
        let others = found.iter().any(|c| !c.kind.is_firewall());
        if candidate.kind.is_firewall() && others {
            kept.push(candidate.object.name.as_str());
            continue;
        }
        let path = candidate.kind.path(&candidate.object);
        match google.compute.delete(action::DELETE_LEFTOVER, &scope.account, &path).await {
            Ok(_) => removed.push(object(scope, candidate)),
            Err(error) if error.is_absent() => removed.push(object(scope, candidate)),
            Err(error) if error.is_busy() => kept.push(candidate.object.name.as_str()),
            Err(error) => return Err(error),
        }
    }
    let detail = if kept.is_empty() {
        format!("{} leftovers of the cluster are going", found.len())
    } else {
        format!("leftovers of the cluster are still in use: {}", kept.join(", "))
    };
    let mut outcome = progress::pending(POLL_S, detail);
    if let Outcome::Pending(pending) = &mut outcome {
        let paths: Vec<&str> = found.iter().map(|c| matching::path(&c.object.self_link)).take(REMEMBERED_MAX).collect();
        pending.checkpoint = serde_json::to_vec(&paths).unwrap_or_default();
    }
    Ok((outcome, removed))
}

/// Observes.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let found = find(google, scope, &[]).await?;
    let outcome = if found.is_empty() { Outcome::Gone } else { progress::ready() };
    Ok((outcome, found.iter().map(|c| object(scope, c)).collect()))
}
