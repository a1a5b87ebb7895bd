//! Takes away what Kubernetes made in the cloud while its controllers still run, then the
//! releases. For clusters that belong to one tenant: it inspects every namespace, since the
//! customer may have made load balancers and volumes anywhere.
//!
//! Order: apps stop (nothing makes new objects, nothing holds a volume) → load balancer Services,
//! Gateways, Ingresses, claims → wait until they and the claims' volumes are gone → releases →
//! the stack's namespace begins to end. The rest of the cluster's content goes with the cluster.

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod, PodTemplateSpec, Service},
    networking::v1::Ingress,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use landlord_core::{
    ports::{DeployTarget, StageProgress},
    stage::RemovedObject,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    driver::{Driver, ReleaseRef},
    stack::Stack,
};
use landlord_kube::{
    Doing as _, Result,
    absent::{PROVISIONED_BY, exactly, gone_is_fine, known, stuck},
    markers::is_ours,
    object::resource,
    progress::pending,
};

/// Blocking objects named in a detail line.
const NAMED_MAX: usize = 3;
/// Kubernetes' own namespaces: the controllers that release load balancers and volumes run there.
const SYSTEM_PREFIX: &str = "kube-";

/// What one call did and saw.
#[derive(Default)]
struct Sweep {
    removed: Vec<RemovedObject>,
    waiting: Vec<String>,
    stuck: Option<String>,
}

/// One step on the way down.
pub(crate) async fn teardown(
    client: &Client,
    driver: &dyn Driver,
    target: &DeployTarget,
    stack: &Stack,
) -> crate::Result<(StageProgress, Vec<RemovedObject>)> {
    let controllers = if needs_controllers(client).await? { Controllers::Run } else { Controllers::Stop };
    freeze(client, controllers).await?;
    let mut sweep = Sweep::default();
    sweep.services(client).await?;
    sweep.all::<Ingress>(client).await?;
    sweep.gateways(client).await?;
    sweep.claims(client).await?;
    sweep.volumes(client).await?;
    if let Some(what) = sweep.stuck {
        return Err(landlord_kube::Error::Stuck { what }.into());
    }
    if !sweep.waiting.is_empty() {
        let named = sweep.waiting.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        let detail = format!("waiting until {} objects are gone: {named}", sweep.waiting.len());
        return Ok((pending(detail), sweep.removed));
    }
    let mut removed = sweep.removed;
    let ending = remove_apps(client, driver, target, stack, &mut removed).await?;
    if ending.is_empty() {
        return Ok((StageProgress::Done, removed));
    }
    Ok((pending(format!("waiting until it is gone: {}", ending.join(", "))), removed))
}

/// Gateways; none if the cluster does not know them.
pub(crate) async fn gateways(client: &Client) -> Result<Vec<DynamicObject>> {
    let resource = resource("gateway.networking.k8s.io/v1", "Gateway");
    let gateways: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let found =
        known(gateways.list(&ListParams::default()).await).doing(|| "listing all objects of kind Gateway".into())?;
    Ok(found.map(|found| found.items).unwrap_or_default())
}

fn is_system(namespace: &str) -> bool {
    namespace.starts_with(SYSTEM_PREFIX)
}

async fn list<K>(client: &Client) -> Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    let found =
        api.list(&ListParams::default()).await.doing(|| format!("listing all objects of kind {}", K::kind(&())))?;
    Ok(found.items)
}

/// Whether workloads without volumes, which may be controllers, go on for now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Controllers {
    Run,
    Stop,
}

/// Finalizers of Kubernetes itself and of the clouds' own controllers, which nothing here stops.
const KEPT_BY_KUBERNETES: [&str; 5] = [
    "kubernetes.io/pvc-protection",
    "kubernetes.io/pv-protection",
    "service.kubernetes.io/load-balancer-cleanup",
    "foregroundDeletion",
    "orphan",
];

fn is_kept_by_others(meta: &ObjectMeta) -> bool {
    let finalizers = meta.finalizers.iter().flatten();
    finalizers.into_iter().any(|finalizer| !KEPT_BY_KUBERNETES.contains(&finalizer.as_str()))
}

/// Whether something that has to go carries a finalizer which a controller in the cluster takes off: stopped, it would never
/// do so.
async fn needs_controllers(client: &Client) -> Result<bool> {
    let balanced = |service: &Service| {
        service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
            && is_kept_by_others(&service.metadata)
    };
    Ok(list::<Service>(client).await?.iter().any(balanced)
        || list::<Ingress>(client).await?.iter().any(|object| is_kept_by_others(&object.metadata))
        || list::<PersistentVolumeClaim>(client).await?.iter().any(|object| is_kept_by_others(&object.metadata))
        || list::<PersistentVolume>(client).await?.iter().any(|object| is_kept_by_others(&object.metadata))
        || gateways(client).await?.iter().any(|object| is_kept_by_others(&object.metadata)))
}

fn mounts_a_claim(template: &PodTemplateSpec) -> bool {
    let volumes = template.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.into_iter().any(|volume| volume.persistent_volume_claim.is_some())
}

/// Nothing is made any more, and nothing holds a volume. Controllers that a finalizer needs run until it is off.
async fn freeze(client: &Client, controllers: Controllers) -> Result<()> {
    let zero = json!({ "spec": { "replicas": 0 } });
    let suspend = json!({ "spec": { "suspend": true } });
    for object in list::<Deployment>(client).await? {
        let stops = controllers == Controllers::Stop || mounts_a_claim(&object.spec.template);
        if stops && object.spec.replicas != Some(0) {
            patch(client, &object, &zero).await?;
        }
    }
    for object in list::<StatefulSet>(client).await? {
        let claims = object.spec.volume_claim_templates.as_ref().is_some_and(|claims| !claims.is_empty());
        let stops = controllers == Controllers::Stop || claims || mounts_a_claim(&object.spec.template);
        if stops && object.spec.replicas != Some(0) {
            patch(client, &object, &zero).await?;
        }
    }
    for object in list::<CronJob>(client).await? {
        if object.spec.suspend != Some(true) {
            patch(client, &object, &suspend).await?;
        }
    }
    for object in list::<Job>(client).await? {
        let ended = object.status.as_ref().is_some_and(|status| status.completion_time.is_some());
        if !ended && object.spec.as_ref().and_then(|spec| spec.suspend) != Some(true) {
            patch(client, &object, &suspend).await?;
        }
    }
    for pod in list::<Pod>(client).await? {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let holds = volumes.into_iter().any(|volume| volume.persistent_volume_claim.is_some());
        if holds && pod.metadata.deletion_timestamp.is_none() && !is_system(&pod.namespace().unwrap_or_default()) {
            delete(client, &pod).await?;
        }
    }
    Ok(())
}

async fn patch<K>(client: &Client, object: &K, change: &Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    if is_system(&namespace) {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    gone_is_fine(api.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await)
        .doing(|| format!("stopping {} {namespace}/{name}", K::kind(&())))
}

async fn delete<K>(client: &Client, object: &K) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    gone_is_fine(api.delete(&name, &exactly(object.uid())).await)
        .doing(|| format!("deleting {} {namespace}/{name}", K::kind(&())))
}

impl Sweep {
    /// Notes an object that has to go; returns whether its removal still has to be requested.
    fn note(&mut self, kind: &str, meta: &ObjectMeta) -> bool {
        let name = match (&meta.namespace, &meta.name) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (_, name) => name.clone().unwrap_or_default(),
        };
        self.waiting.push(format!("{kind} {name}"));
        let Some(since) = &meta.deletion_timestamp else {
            self.removed.push(RemovedObject {
                r#type: kind.to_owned(),
                id: meta.uid.clone().unwrap_or_default(),
                name,
            });
            return true;
        };
        let finalizers = meta.finalizers.clone().unwrap_or_default().join(", ");
        self.note_stuck(&format!("{kind} {name}"), since, &format!("its finalizers: {finalizers}"));
        false
    }

    fn note_stuck(&mut self, what: &str, started: &Time, why: &str) {
        if self.stuck.is_none() {
            self.stuck = stuck(what, started, why);
        }
    }

    async fn services(&mut self, client: &Client) -> Result<()> {
        for service in list::<Service>(client).await? {
            let balanced = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
            if balanced && self.note("Service", &service.metadata) {
                delete(client, &service).await?;
            }
        }
        Ok(())
    }

    async fn all<K>(&mut self, client: &Client) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        for object in list::<K>(client).await? {
            if self.note(&K::kind(&()), object.meta()) {
                delete(client, &object).await?;
            }
        }
        Ok(())
    }

    /// Gateways, if the cluster knows them.
    async fn gateways(&mut self, client: &Client) -> Result<()> {
        let resource = resource("gateway.networking.k8s.io/v1", "Gateway");
        for gateway in gateways(client).await? {
            if self.note("Gateway", &gateway.metadata) {
                let api: Api<DynamicObject> =
                    Api::namespaced_with(client.clone(), &gateway.namespace().unwrap_or_default(), &resource);
                gone_is_fine(api.delete(&gateway.name_any(), &exactly(gateway.uid())).await)
                    .doing(|| format!("deleting Gateway {}", gateway.name_any()))?;
            }
        }
        Ok(())
    }

    /// Claims go, and with them their volumes: a volume that was to be retained would stay in the
    /// account for ever.
    async fn claims(&mut self, client: &Client) -> Result<()> {
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        for volume in list::<PersistentVolume>(client).await? {
            let retained = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref())
                == Some("Retain");
            if retained && volume.annotations().contains_key(PROVISIONED_BY) {
                let change = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
                let patched = volumes.patch(&volume.name_any(), &PatchParams::default(), &Patch::Merge(change)).await;
                gone_is_fine(patched).doing(|| format!("releasing volume {}", volume.name_any()))?;
            }
        }
        self.all::<PersistentVolumeClaim>(client).await
    }

    /// Volumes are deleted by their provisioner once their claim is gone.
    async fn volumes(&mut self, client: &Client) -> Result<()> {
        for volume in list::<PersistentVolume>(client).await? {
            if volume.annotations().contains_key(PROVISIONED_BY) {
                self.note_volume(&volume);
            }
        }
        Ok(())
    }

    fn note_volume(&mut self, volume: &PersistentVolume) {
        self.waiting.push(format!("PersistentVolume {}", volume.name_any()));
        let object = RemovedObject {
            r#type: "PersistentVolume".into(),
            id: volume.uid().unwrap_or_default(),
            name: volume.name_any(),
        };
        self.removed.push(object);
        // A volume has no end of its own: it is released, and its provisioner deletes it.
        let status = volume.status.clone().unwrap_or_default();
        let ending = matches!(status.phase.as_deref(), Some("Released" | "Failed"));
        if let Some(since) = status.last_phase_transition_time.filter(|_| ending) {
            let why = status.message.unwrap_or_else(|| "its provisioner does not delete it".into());
            self.note_stuck(&format!("PersistentVolume {}", volume.name_any()), &since, &why);
        }
    }
}

/// The releases in reverse order, then the namespace. Gives what of a release is still ending: the rest waits for it.
async fn remove_apps(
    client: &Client,
    driver: &dyn Driver,
    target: &DeployTarget,
    stack: &Stack,
    removed: &mut Vec<RemovedObject>,
) -> crate::Result<Vec<String>> {
    let name = stack.manifest.namespace.as_str();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces.get_opt(name).await.doing(|| format!("reading namespace {name}"))?;
    let Some(found) = found.filter(|found| is_ours(found.metadata.labels.as_ref(), target)) else {
        return Ok(Vec::new());
    };
    for release in stack.manifest.releases.iter().rev() {
        let app = release.name.as_str();
        if driver.delivered(client, name, app).await?.is_none() {
            continue;
        }
        let release = ReleaseRef { access: &target.kube, namespace: name, release: app };
        let ending = driver.remove(client, release).await?.ending;
        if !ending.is_empty() {
            return Ok(ending);
        }
        removed.push(RemovedObject { r#type: "HelmRelease".into(), id: format!("{name}/{app}"), name: app.to_owned() });
    }
    if found.metadata.deletion_timestamp.is_none() {
        gone_is_fine(namespaces.delete(name, &exactly(found.metadata.uid.clone())).await)
            .doing(|| format!("deleting namespace {name}"))?;
        removed.push(RemovedObject {
            r#type: "Namespace".into(),
            id: found.metadata.uid.unwrap_or_default(),
            name: name.to_owned(),
        });
    }
    Ok(Vec::new())
}
