//! Takes one tenant away from a shared cluster, and nothing else.
//!
//! The namespace goes with everything in it: Kubernetes' own controllers delete the content, the cloud's release load
//! balancers and volumes, since on a host cluster they keep running. What stands in the way is named from the first
//! observation on. After [`REMOVAL_TIMEOUT`] it is dealt with:
//!
//! - a finalizer that nobody serves is taken off, unless the object may hold something in the cloud: that would be
//!   leaked, so the stage fails with the object's name instead;
//! - an aggregated API that does not respond keeps Kubernetes from ending any namespace. Once nothing is left in every
//!   API that does respond, the namespace is ended without it. What such an API keeps elsewhere is not ours.
//!
//! Waiting is measured by the namespace's own deletion time, so a restart of the daemon changes nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use landlord_core::{
    isolation::SharedTarget,
    ports::{DeployTarget, StageProgress},
    stage::RemovedObject,
};
use serde_json::{Value, json};

use crate::gateway;
use landlord_kube::{
    Doing as _, Error, Result,
    absent::{PROVISIONED_BY, exactly, gone_is_fine, since},
    content::content,
    markers::is_ours,
    progress::pending,
};

/// How long an ending namespace is left to Kubernetes. A load balancer takes a minute or two to go, volumes seconds; longer
/// than this, nobody serves what is left.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(300);
/// Objects named in a detail line.
const NAMED_MAX: usize = 3;
/// Set on claims by Kubernetes' own controllers and its CSI sidecars; they protect a volume that is in use, or copied from.
/// By name, since a customer may write finalizers too.
const OWN_FINALIZERS: [&str; 3] = [
    "kubernetes.io/pvc-protection",
    "snapshot.storage.kubernetes.io/pvc-as-source-protection",
    "provisioner.storage.kubernetes.io/cloning-protection",
];
/// What a tenant's pods get to end in, whatever they ask for. Kubernetes' own default.
const GRACE_S: u32 = 30;

/// One step on the way down.
pub(crate) async fn remove(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    timeout: Duration,
) -> Result<(StageProgress, Vec<RemovedObject>)> {
    let name = place.namespace.as_str();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut removed = gateway::remove_elsewhere(client, target, place).await?;
    let found = namespaces.get_opt(name).await.doing(|| format!("reading namespace {name}"))?;
    let found = match found {
        Some(found) if !is_ours(found.metadata.labels.as_ref(), target) => {
            // Anybody may have taken the labels off: whether it was the tenant's, the journal knows.
            return Err(Error::NameTaken { what: format!("namespace {name}") });
        }
        other => other,
    };
    let Some(found) = found else {
        let progress = match volume_left(client, name, timeout).await? {
            Some(detail) => pending(detail),
            None => StageProgress::Done,
        };
        return Ok((progress, removed));
    };
    let Some(ending) = found.metadata.deletion_timestamp.clone() else {
        removed.extend(begin(client, &namespaces, &found, name).await?);
        return Ok((pending(format!("namespace {name} is ending")), removed));
    };
    let waited = since(&ending);
    let conditions = blocking(&found);
    end_pods(client, name, waited > timeout).await?;
    if waited <= timeout {
        return Ok((pending(format!("namespace {name} is ending{conditions}")), removed));
    }
    let detail = unblock(client, &found, name, timeout).await?;
    Ok((pending(format!("namespace {name} has been ending for {} s: {detail}{conditions}", waited.as_secs())), removed))
}

/// Notes what goes, lets volumes go with their claims, and requests the end of exactly this namespace.
async fn begin(
    client: &Client,
    namespaces: &Api<Namespace>,
    found: &Namespace,
    name: &str,
) -> Result<Vec<RemovedObject>> {
    let mut removed = inventory(client, name).await?;
    release_volumes(client, name).await?;
    gone_is_fine(namespaces.delete(name, &exactly(found.metadata.uid.clone())).await)
        .doing(|| format!("deleting namespace {name}"))?;
    removed.push(RemovedObject {
        r#type: "Namespace".into(),
        id: found.metadata.uid.clone().unwrap_or_default(),
        name: name.to_owned(),
    });
    Ok(removed)
}

/// A pod ends when Kubernetes deletes it, not when it likes: until then it runs on, before Kubernetes 1.33 without the namespace's
/// network policies (CVE-2024-7598). `at_once`: nobody ends it, its node may be gone.
async fn end_pods(client: &Client, name: &str, at_once: bool) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let grace_s = if at_once { 0 } else { GRACE_S };
    for pod in pods.list(&ListParams::default()).await.doing(|| format!("listing the pods of {name}"))? {
        let requested = pod.metadata.deletion_grace_period_seconds;
        if pod.metadata.deletion_timestamp.is_none()
            || requested.is_none_or(|requested| requested <= i64::from(grace_s))
        {
            continue;
        }
        tracing::warn!(
            pod = format!("{name}/{}", pod.name_any()),
            requested,
            grace_s,
            "is ended sooner than it requests"
        );
        let params = DeleteParams { grace_period_seconds: Some(grace_s), ..DeleteParams::default() };
        gone_is_fine(pods.delete(&pod.name_any(), &params).await)
            .doing(|| format!("ending pod {name}/{}", pod.name_any()))?;
    }
    Ok(())
}

/// What the end of the namespace takes along, as far as people ask for it: releases, load balancers, volumes' claims.
async fn inventory(client: &Client, name: &str) -> Result<Vec<RemovedObject>> {
    let mut removed = Vec::new();
    let mut note = |kind: &str, id: Option<String>, object: String| {
        removed.push(RemovedObject { r#type: kind.into(), id: id.unwrap_or_default(), name: object });
    };
    let doing = || format!("listing what is in namespace {name}");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), name);
    let records = ListParams::default().labels("owner=helm,status=deployed");
    for record in secrets.list(&records).await.doing(doing)? {
        if let Some(release) = record.labels().get("name") {
            note("HelmRelease", Some(format!("{name}/{release}")), release.clone());
        }
    }
    let services: Api<Service> = Api::namespaced(client.clone(), name);
    for service in services.list(&ListParams::default()).await.doing(doing)? {
        if service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer") {
            note("Service", service.uid(), format!("{name}/{}", service.name_any()));
        }
    }
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), name);
    for claim in claims.list(&ListParams::default()).await.doing(doing)? {
        note("PersistentVolumeClaim", claim.uid(), format!("{name}/{}", claim.name_any()));
    }
    Ok(removed)
}

/// The volumes that were provisioned for claims of the namespace.
async fn volumes(client: &Client, name: &str) -> Result<Vec<PersistentVolume>> {
    let api: Api<PersistentVolume> = Api::all(client.clone());
    let all = api.list(&ListParams::default()).await.doing(|| "listing volumes".into())?;
    let of_ours = |volume: &PersistentVolume| {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let provisioned = volume.annotations().contains_key(PROVISIONED_BY);
        provisioned && claim.and_then(|claim| claim.namespace.as_deref()) == Some(name)
    };
    Ok(all.items.into_iter().filter(of_ours).collect())
}

/// A volume that was to be retained would stay in the account for ever.
async fn release_volumes(client: &Client, name: &str) -> Result<()> {
    let api: Api<PersistentVolume> = Api::all(client.clone());
    let change = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
    for volume in volumes(client, name).await? {
        let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if policy == Some("Retain") {
            let patched = api.patch(&volume.name_any(), &PatchParams::default(), &Patch::Merge(&change)).await;
            gone_is_fine(patched).doing(|| format!("releasing volume {}", volume.name_any()))?;
        }
    }
    Ok(())
}

/// A volume that outlives its namespace: its provisioner deletes it, seconds later.
async fn volume_left(client: &Client, name: &str, timeout: Duration) -> Result<Option<String>> {
    // Also here: the daemon may have been away between the two.
    release_volumes(client, name).await?;
    let left = volumes(client, name).await?;
    let Some(first) = left.first() else { return Ok(None) };
    let status = first.status.clone().unwrap_or_default();
    let waited = status.last_phase_transition_time.as_ref().map(since).unwrap_or_default();
    if waited > timeout {
        let why = status.message.unwrap_or_else(|| "its provisioner does not delete it".into());
        let what = format!(
            "PersistentVolume {} of {name} has been ending for {} s; {why}",
            first.name_any(),
            waited.as_secs()
        );
        return Err(Error::Stuck { what });
    }
    Ok(Some(format!("waiting until {} volumes of {name} are gone, first {}", left.len(), first.name_any())))
}

/// What Kubernetes says keeps the namespace from ending.
fn blocking(namespace: &Namespace) -> String {
    let conditions = namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let conditions: Vec<String> = conditions
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| condition.message.clone())
        .collect();
    if conditions.is_empty() { String::new() } else { format!("; {}", conditions.join("; ")) }
}

/// Takes off what nobody serves, and ends the namespace where only a silent API keeps it. Says what was done.
async fn unblock(client: &Client, namespace: &Namespace, name: &str, timeout: Duration) -> Result<String> {
    let found = content(client, name).await?;
    let mut freed = Vec::new();
    for (resource, object) in &found.objects {
        let finalizers = object.finalizers();
        // Kubernetes deletes the rest only when the pods are gone: what it has just begun with is not stuck.
        let ending = object.metadata.deletion_timestamp.as_ref().is_some_and(|at| since(at) > timeout);
        if finalizers.is_empty() || !ending {
            continue;
        }
        let what = format!("{} {name}/{}", resource.kind, object.name_any());
        let kept = kept_finalizers(resource, object);
        if kept.len() == finalizers.len() {
            let what = format!("{what} does not end; its finalizers: {}", finalizers.join(", "));
            return Err(Error::Stuck { what });
        }
        tracing::warn!(object = what, finalizers = finalizers.join(", "), "nobody serves its finalizers; taken off");
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), name, resource);
        let change = json!({ "metadata": { "finalizers": kept, "uid": object.metadata.uid } });
        let patched = api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&change)).await;
        gone_is_fine(patched).doing(|| format!("taking the finalizers off {what}"))?;
        freed.push(what);
    }
    if !freed.is_empty() {
        let named = freed.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        return Ok(format!("finalizers that nobody serves were taken off {} objects: {named}", freed.len()));
    }
    if !found.objects.is_empty() {
        let named: Vec<String> =
            found.objects.iter().take(NAMED_MAX).map(|(r, o)| format!("{} {}", r.kind, o.name_any())).collect();
        return Ok(format!("{} objects are left: {}", found.objects.len(), named.join(", ")));
    }
    let dead = dead_apis(client).await?;
    let silent = !found.silent.is_empty() || is_undiscoverable(namespace);
    if silent && !dead.is_empty() && found.silent.iter().all(|version| dead.contains(version)) {
        finalize(client, namespace, name).await?;
        return Ok(format!("it is empty and was ended without the APIs that do not respond: {}", dead.join(", ")));
    }
    Ok("nothing is left in it".into())
}

/// Finalizers that are not ours to take off: what holds something in the cloud is released by whoever made it.
fn kept_finalizers(resource: &ApiResource, object: &DynamicObject) -> Vec<String> {
    let balanced = object.data.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
    let all = object.finalizers().to_vec();
    match resource.kind.as_str() {
        "Service" if balanced => all,
        "Gateway" | "Ingress" | "VolumeSnapshot" => all,
        "PersistentVolumeClaim" => {
            all.into_iter().filter(|finalizer| OWN_FINALIZERS.contains(&finalizer.as_str())).collect()
        }
        _ => Vec::new(),
    }
}

fn is_undiscoverable(namespace: &Namespace) -> bool {
    let conditions = namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == "NamespaceDeletionDiscoveryFailure" && c.status == "True")
}

/// Group and version of aggregated APIs whose server does not respond.
async fn dead_apis(client: &Client) -> Result<Vec<String>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService"));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let all = api.list(&ListParams::default()).await.doing(|| "listing aggregated APIs".into())?;
    let dead = |service: DynamicObject| {
        let text = |pointer: &str| service.data.pointer(pointer).and_then(Value::as_str);
        let aggregated = service.data.pointer("/spec/service").is_some_and(|service| !service.is_null());
        let conditions = service.data.pointer("/status/conditions").and_then(Value::as_array);
        let available = conditions.into_iter().flatten().any(|c| c["type"] == "Available" && c["status"] == "True");
        (aggregated && !available).then(|| Some(format!("{}/{}", text("/spec/group")?, text("/spec/version")?)))?
    };
    Ok(all.items.into_iter().filter_map(dead).collect())
}

/// Ends an empty namespace that Kubernetes can't end.
async fn finalize(client: &Client, namespace: &Namespace, name: &str) -> Result<()> {
    tracing::warn!(namespace = name, "is empty, but an API that does not respond keeps it; it is ended without");
    let body = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": name, "uid": namespace.metadata.uid, "resourceVersion": namespace.metadata.resource_version,
        },
        "spec": { "finalizers": [] },
    });
    let request = http::Request::put(format!("/api/v1/namespaces/{name}/finalize"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes());
    let request = request.map_err(|_| Error::Stuck { what: format!("namespace {name} can't be ended") })?;
    match client.request::<Value>(request).await {
        // Changed since it was read: the next observation decides again.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
        other => other.map(drop).doing(|| format!("ending namespace {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_something_in_the_cloud_keeps_its_finalizers() {
        let kept = |kind: &str, spec: Value| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
            let mut object = DynamicObject::new("a", &resource).data(json!({ "spec": spec }));
            let all = ["kubernetes.io/pvc-protection", "example.com/hold", "x.kubernetes.io/hold"];
            object.metadata.finalizers = Some(all.map(Into::into).into());
            kept_finalizers(&resource, &object)
        };
        assert_eq!(kept("Service", json!({ "type": "LoadBalancer" })).len(), 3);
        assert_eq!(kept("Gateway", json!({})).len(), 3);
        assert_eq!(kept("Service", json!({})).len(), 0);
        assert_eq!(kept("ConfigMap", json!({})).len(), 0);
        assert_eq!(kept("PersistentVolumeClaim", json!({})), ["kubernetes.io/pvc-protection"]);
    }
}
