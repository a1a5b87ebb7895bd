//! Claims and volumes, as a CSI driver with its provisioner and resizer treats them.
//!
//! Binding is Kubernetes' own: here volumes are only made, grown and deleted.

use std::{collections::BTreeMap, path::Path};

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    backend::VolumeRequest,
    context::{Context, FIELD_MANAGER, Observation},
    event, local, quantity,
};

// All names are Kubernetes' own.
/// Set by the binding controller when it is the provisioner's turn.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// Set by the scheduler for classes that wait for their first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Keeps a PersistentVolume until its volume is gone.
const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Whether the backend has to be requested again.
type Waiting = bool;

/// Inspects every claim and every volume once.
pub(super) async fn observe(context: &Context) -> Result<Observation, kube::Error> {
    let claims: Api<PersistentVolumeClaim> = Api::all(context.client.clone());
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    let claims = claims.list(&ListParams::default()).await?;
    let volumes = volumes.list(&ListParams::default()).await?;
    let by_name: BTreeMap<String, &PersistentVolume> =
        volumes.items.iter().map(|volume| (volume.name_any(), volume)).collect();
    let mut waiting = false;
    for claim in &claims.items {
        let volume = by_name.get(&volume_name(claim)).copied();
        waiting |= settle(treat_claim(context, claim, volume).await)?;
    }
    for volume in &volumes.items {
        waiting |= settle(treat_volume(context, volume).await)?;
    }
    let versions = [claims.metadata.resource_version, volumes.metadata.resource_version];
    Ok(Observation { waiting, versions: versions.map(Option::unwrap_or_default).to_vec() })
}

/// What changed or went meanwhile is inspected again.
fn settle(treated: Result<Waiting, kube::Error>) -> Result<Waiting, kube::Error> {
    match treated {
        Err(kube::Error::Api(status))
            if status.is_conflict() || status.is_not_found() || status.is_already_exists() =>
        {
            Ok(true)
        }
        other => other,
    }
}

async fn treat_claim(
    context: &Context,
    claim: &PersistentVolumeClaim,
    volume: Option<&PersistentVolume>,
) -> Result<Waiting, kube::Error> {
    let Some(provisioner) = claim.annotations().get(PROVISIONER) else {
        return Ok(false);
    };
    if claim.metadata.deletion_timestamp.is_some() || !context.provisioners.contains(provisioner) {
        return Ok(false);
    }
    match volume {
        Some(volume) => grow(context, claim, volume).await,
        None if claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_some()) => Ok(false),
        None => provision(context, claim, provisioner).await,
    }
}

async fn provision(
    context: &Context,
    claim: &PersistentVolumeClaim,
    provisioner: &str,
) -> Result<Waiting, kube::Error> {
    let Some(class) = storage_class(context, claim).await? else {
        return Ok(true);
    };
    let node = claim.annotations().get(SELECTED_NODE);
    if class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") && node.is_none() {
        return Ok(false);
    }
    let Some(size_bytes) = requested_bytes(claim) else {
        return Ok(false);
    };
    let node = match node {
        Some(node) => Api::<Node>::all(context.client.clone()).get_opt(node).await?,
        None => None,
    };
    let zone = node.as_ref().and_then(|node| node.labels().get(ZONE).cloned());
    let request = VolumeRequest {
        namespace: claim.namespace().unwrap_or_default(),
        claim: claim.name_any(),
        uid: claim.uid().unwrap_or_default(),
        persistent_volume: volume_name(claim),
        size_bytes,
        storage_class: class.name_any(),
        parameters: class.parameters.clone().unwrap_or_default(),
        zone,
    };
    match context.backend.ensure_volume(&request).await {
        Ok(Some(volume_id)) => {
            let mut body = persistent_volume(claim, &class, provisioner, &request, &volume_id);
            if let (Some(local), Some(node)) = (&context.local, node.filter(local::is_real)) {
                match local.ensure(&request.persistent_volume, &request.claim) {
                    Ok(path) => on_node(&mut body, &node.name_any(), &path, &volume_id),
                    Err(problem) => {
                        event::warn(&context.client, claim, "ProvisioningFailed", &problem.into()).await;
                        return Ok(true);
                    }
                }
            }
            let volume = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
            let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
            volumes.create(&PostParams::default(), &volume).await?;
            Ok(false)
        }
        Ok(None) => Ok(true),
        Err(problem) => {
            event::warn(&context.client, claim, "ProvisioningFailed", &problem).await;
            Ok(true)
        }
    }
}

fn persistent_volume(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    provisioner: &str,
    request: &VolumeRequest,
    volume_id: &str,
) -> serde_json::Value {
    let spec = claim.spec.clone().unwrap_or_default();
    let affinity = request.zone.as_ref().map(|zone| {
        json!({ "required": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": ZONE, "operator": "In", "values": [zone] }] }
        ] } })
    });
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": request.persistent_volume,
            "annotations": { PROVISIONED_BY: provisioner },
            "finalizers": [FINALIZER],
        },
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": { "storage": quantity::of_gib(request.size_bytes) },
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": request.namespace,
                "name": request.claim,
                "uid": request.uid,
                "resourceVersion": claim.resource_version(),
            },
            "csi": { "driver": provisioner, "volumeHandle": volume_id, "fsType": "ext4" },
            "nodeAffinity": affinity,
            "persistentVolumeReclaimPolicy": class.reclaim_policy.clone().unwrap_or_else(|| "Delete".into()),
            "storageClassName": request.storage_class,
            "volumeMode": spec.volume_mode,
        },
    })
}

/// The volume as a folder of a node instead of a disk.
fn on_node(body: &mut serde_json::Value, node: &str, path: &Path, volume_id: &str) {
    body["metadata"]["annotations"][local::VOLUME_ID] = json!(volume_id);
    if let Some(spec) = body["spec"].as_object_mut() {
        spec.remove("csi");
        spec.insert("local".into(), json!({ "path": path }));
        let on = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
        let affinity = json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [on] }] } });
        spec.insert("nodeAffinity".into(), affinity);
    }
}

async fn grow(
    context: &Context,
    claim: &PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> Result<Waiting, kube::Error> {
    let has = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage").map(|size| size.0.clone()));
    let shown =
        claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage").map(|size| size.0.clone()));
    let bound = claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let (Some(wanted_bytes), Some(volume_id), true) = (requested_bytes(claim), volume_id(volume), bound) else {
        return Ok(false);
    };
    let capacity = json!({ "storage": quantity::of_gib(wanted_bytes) });
    if has.as_deref().and_then(quantity::whole_gib_bytes) < Some(wanted_bytes) {
        match context.backend.resize_volume(volume_id, wanted_bytes).await {
            Ok(true) => {}
            Ok(false) => return Ok(true),
            Err(problem) => {
                event::warn(&context.client, claim, "VolumeResizeFailed", &problem).await;
                return Ok(true);
            }
        }
        let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
        let patch = Patch::Merge(json!({ "spec": { "capacity": capacity } }));
        volumes.patch(&volume.name_any(), &parameters(), &patch).await?;
    }
    if shown.as_deref().and_then(quantity::whole_gib_bytes) < Some(wanted_bytes) {
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(context.client.clone(), &claim.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({ "status": { "capacity": capacity } }));
        claims.patch_status(&claim.name_any(), &parameters(), &patch).await?;
    }
    Ok(false)
}

/// Deletes what was released, and what somebody deletes by hand.
async fn treat_volume(context: &Context, volume: &PersistentVolume) -> Result<Waiting, kube::Error> {
    let ours = volume.annotations().get(PROVISIONED_BY).is_some_and(|by| context.provisioners.contains(by));
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let deleted = volume.metadata.deletion_timestamp.is_some();
    let free = matches!(phase, Some("Released" | "Failed")) || (deleted && phase != Some("Bound"));
    if !ours || !free || policy != Some("Delete") {
        return Ok(false);
    }
    if let Some(volume_id) = volume_id(volume) {
        match context.backend.delete_volume(volume_id).await {
            Ok(true) => {}
            Ok(false) => return Ok(true),
            Err(problem) => {
                event::warn(&context.client, volume, "VolumeFailedDelete", &problem).await;
                return Ok(true);
            }
        }
    }
    if let Err(problem) = local::forget(volume) {
        event::warn(&context.client, volume, "VolumeFailedDelete", &problem.into()).await;
        return Ok(true);
    }
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    if !deleted {
        volumes.delete(&volume.name_any(), &DeleteParams::default()).await?;
    }
    // Read again: the deletion above changed it, and others keep finalizers here too.
    let volume = volumes.get(&volume.name_any()).await?;
    let others: Vec<&String> = volume.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    let patch = json!({ "metadata": { "finalizers": others, "resourceVersion": volume.resource_version() } });
    volumes.patch(&volume.name_any(), &parameters(), &Patch::Merge(patch)).await?;
    Ok(false)
}

async fn storage_class(context: &Context, claim: &PersistentVolumeClaim) -> Result<Option<StorageClass>, kube::Error> {
    let Some(name) = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()) else {
        return Ok(None);
    };
    Api::<StorageClass>::all(context.client.clone()).get_opt(name).await
}

fn requested_bytes(claim: &PersistentVolumeClaim) -> Option<u64> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    quantity::whole_gib_bytes(&requests.get("storage")?.0)
}

fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

fn volume_id(volume: &PersistentVolume) -> Option<&str> {
    let disk = volume.spec.as_ref()?.csi.as_ref().map(|csi| csi.volume_handle.as_str());
    disk.or_else(|| volume.annotations().get(local::VOLUME_ID).map(String::as_str))
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}
