//! What of the cloud a release leaves when it goes: load balancers, claims and volumes in the platform's namespaces. Controllers take
//! away what they made; what a StatefulSet claimed, and what its class retains, nobody does.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Service},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use landlord_core::stage::RemovedObject;
use landlord_kube::{
    Doing as _,
    absent::{PROVISIONED_BY, exactly, gone_is_fine, stuck},
    markers::ROLE,
};
use serde_json::json;

use crate::{driver::manifests::RELEASE, error::Result, teardown::gateways};

/// Helm's mark on the objects of a release, and landlord's own, `namespace/release`.
const HELM_RELEASE: &str = "meta.helm.sh/release-name";
/// Label of charts on what belongs to an installed release.
const INSTANCE: &str = "app.kubernetes.io/instance";
const SERVICE: &str = "Service";
const GATEWAY: &str = "Gateway";
const CLAIM: &str = "PersistentVolumeClaim";
const VOLUME: &str = "PersistentVolume";
const RETAIN: &str = "Retain";
/// What a namespace of the platform is for.
pub(super) const PLATFORM_ROLE: &str = "platform";

/// A load balancer, a claim or a volume that is still there.
pub(super) struct Left {
    kind: &'static str,
    namespace: String,
    name: String,
    uid: String,
    /// Since when it has been ending, and what holds it.
    ending: Option<(Time, String)>,
    /// A claim that a StatefulSet of the release has left: Kubernetes keeps it, and nobody else removes it.
    is_abandoned: bool,
    /// A volume that stays when its claim has gone, unless somebody says otherwise.
    is_retained: bool,
}

impl Left {
    fn new(kind: &'static str, meta: ObjectMeta, release: &str) -> Self {
        let is_of_it = meta.labels.as_ref().and_then(|labels| labels.get(INSTANCE)).is_some_and(|of| of == release);
        let finalizers = meta.finalizers.unwrap_or_default().join(", ");
        Self {
            kind,
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            is_abandoned: kind == CLAIM && is_of_it && meta.deletion_timestamp.is_none(),
            ending: meta.deletion_timestamp.map(|since| (since, format!("its finalizers: {finalizers}"))),
            is_retained: false,
        }
    }

    /// A volume whose claim has gone: its provisioner deletes it, if it is not retained. It has no end of its own.
    fn volume(volume: PersistentVolume) -> Self {
        let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        let is_retained = policy == Some(RETAIN);
        let status = volume.status.unwrap_or_default();
        let since = status.last_phase_transition_time.filter(|_| !is_retained);
        let why = status.message.unwrap_or_else(|| "its provisioner does not delete it".into());
        Self {
            kind: VOLUME,
            namespace: String::new(),
            name: volume.metadata.name.unwrap_or_default(),
            uid: volume.metadata.uid.unwrap_or_default(),
            is_abandoned: false,
            ending: since.map(|since| (since, why)),
            is_retained,
        }
    }

    /// Has what nobody else takes away go.
    pub(super) async fn release(&self, client: &Client) -> Result<Option<RemovedObject>> {
        if self.is_abandoned {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &self.namespace);
            gone_is_fine(claims.delete(&self.name, &exactly(Some(self.uid.clone()))).await)
                .doing(|| format!("deleting {}", self.what()))?;
        } else if self.is_retained {
            let volumes: Api<PersistentVolume> = Api::all(client.clone());
            let change = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
            gone_is_fine(volumes.patch(&self.name, &PatchParams::default(), &Patch::Merge(change)).await)
                .doing(|| format!("releasing {}", self.what()))?;
        } else {
            return Ok(None);
        }
        Ok(Some(RemovedObject { r#type: self.kind.into(), id: self.uid.clone(), name: self.name.clone() }))
    }

    pub(super) fn what(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }

    /// Why it will not go; `None`: it may.
    pub(super) fn stuck(&self) -> Option<String> {
        let (time, why) = self.ending.as_ref()?;
        stuck(&self.what(), time, why)
    }
}

/// Whether an object belongs to another release, by the marks of Helm and of landlord, or by the label that a StatefulSet of one of
/// the platform's `releases` gave its claims: it goes with that one, which may wait for this.
fn is_anothers(meta: &ObjectMeta, release: &str, releases: &[&str]) -> bool {
    let annotations = meta.annotations.as_ref();
    let mark = |key: &str| annotations.and_then(|annotations| annotations.get(key)).map(String::as_str);
    let owner = mark(HELM_RELEASE).or_else(|| mark(RELEASE).map(|owner| owner.rsplit('/').next().unwrap_or(owner)));
    let instance = meta.labels.as_ref().and_then(|labels| labels.get(INSTANCE)).map(String::as_str);
    let owner = owner.or(instance.filter(|instance| releases.contains(instance)));
    owner.is_some_and(|owner| owner != release)
}

/// Whether an object belongs to a Gateway that nobody has deleted yet: it goes when the release does that has the Gateway, which waits
/// for it then, and may wait for this one before.
fn is_of_a_standing_gateway(meta: &ObjectMeta, standing: &BTreeSet<String>) -> bool {
    let owners = meta.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.kind == GATEWAY && standing.contains(&owner.uid))
}

/// Load balancers and volumes in namespaces of the platform, but those of other releases. Controllers take away what they made
/// when a release goes. `own` is the release's namespace.
pub(super) async fn of_the_cloud(client: &Client, release: &str, own: &str, releases: &[&str]) -> Result<Vec<Left>> {
    let selector = ListParams::default().labels(&format!("{ROLE}={PLATFORM_ROLE}"));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespaces = namespaces.list_metadata(&selector).await.doing(|| "listing the platform's namespaces".into())?;
    let namespaces: Vec<String> = namespaces.items.into_iter().filter_map(|found| found.metadata.name).collect();
    let mut left = volumes(client, &namespaces).await?;
    let gateways = gateways(client).await?.into_iter().filter(|gateway| gateway.metadata.deletion_timestamp.is_none());
    let elsewhere = gateways.filter(|gateway| gateway.namespace().as_deref() != Some(own));
    let standing: BTreeSet<String> = elsewhere.filter_map(|gateway| gateway.uid()).collect();
    for namespace in &namespaces {
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let services =
            services.list(&ListParams::default()).await.doing(|| format!("listing services in {namespace}"))?;
        let balanced =
            |service: &Service| service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        let services = services.items.into_iter().filter(balanced).map(|service| (SERVICE, service.metadata));
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let claims =
            claims.list_metadata(&ListParams::default()).await.doing(|| format!("listing claims in {namespace}"))?;
        let claims = claims.items.into_iter().map(|claim| (CLAIM, claim.metadata));
        let is_other =
            |meta: &ObjectMeta| is_anothers(meta, release, releases) || is_of_a_standing_gateway(meta, &standing);
        let found = services.chain(claims).filter(|(_, meta)| !is_other(meta));
        left.extend(found.map(|(kind, meta)| Left::new(kind, meta, release)));
    }
    Ok(left)
}

/// Volumes that were made for claims of these namespaces, and whose claims have gone.
async fn volumes(client: &Client, namespaces: &[String]) -> Result<Vec<Left>> {
    let api: Api<PersistentVolume> = Api::all(client.clone());
    let all = api.list(&ListParams::default()).await.doing(|| "listing volumes".into())?;
    Ok(all.items.into_iter().filter(|volume| is_left(volume, namespaces)).map(Left::volume).collect())
}

fn is_left(volume: &PersistentVolume, namespaces: &[String]) -> bool {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let is_of_them = claim.and_then(|claim| claim.namespace.as_ref()).is_some_and(|own| namespaces.contains(own));
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    is_of_them && volume.annotations().contains_key(PROVISIONED_BY) && matches!(phase, Some("Released" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_release_waits_for_its_own_and_what_nobody_owns_but_not_for_others() {
        let cases = [
            (json!({}), false),
            (json!({ "annotations": { HELM_RELEASE: "gateway" } }), false),
            (json!({ "annotations": { HELM_RELEASE: "monitoring" } }), true),
            (json!({ "annotations": { RELEASE: "ns/gateway" } }), false),
            (json!({ "annotations": { RELEASE: "ns/monitoring" } }), true),
            // What a StatefulSet claimed bears its labels only.
            (json!({ "labels": { INSTANCE: "gateway" } }), false),
            (json!({ "labels": { INSTANCE: "monitoring" } }), true),
            (json!({ "labels": { INSTANCE: "somebody" } }), false),
        ];
        for (object, anothers) in cases {
            let releases = ["gateway", "monitoring"];
            assert_eq!(is_anothers(&meta(object.clone()), "gateway", &releases), anothers, "{object}");
        }
    }

    #[test]
    fn a_load_balancer_of_a_gateway_that_stands_is_waited_for_by_who_removes_the_gateway() {
        let service = meta(json!({ "name": "landlord", "ownerReferences": [{
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "landlord", "uid": "g1",
        }] }));
        let standing = |uid: &str| BTreeSet::from([uid.to_owned()]);
        assert!(is_of_a_standing_gateway(&service, &standing("g1")));
        assert!(!is_of_a_standing_gateway(&service, &standing("g2")), "that one has gone or is going");
        assert!(!is_of_a_standing_gateway(&ObjectMeta::default(), &standing("g1")));
    }

    #[test]
    fn what_holds_a_removal_is_named_and_what_a_stateful_set_left_goes() {
        let left = |value| Left::new(CLAIM, meta(value), "gateway");
        let of_set = json!({ "name": "data-0", "namespace": "n", "labels": { INSTANCE: "gateway" } });
        assert!(left(of_set.clone()).is_abandoned);
        assert!(!left(json!({ "name": "a", "labels": { INSTANCE: "other" } })).is_abandoned);
        assert!(!Left::new(SERVICE, meta(of_set), "gateway").is_abandoned);
        let old = json!({ "name": "a", "namespace": "n", "deletionTimestamp": "2020-01-01T00:00:00Z", "finalizers": ["f/x"] });
        let stuck = left(old).stuck().unwrap();
        assert!(
            stuck.starts_with("PersistentVolumeClaim n/a has been ending for") && stuck.ends_with("f/x"),
            "{stuck}"
        );
        assert_eq!(left(json!({ "name": "a" })).stuck(), None);
    }

    #[test]
    fn a_volume_whose_claim_has_gone_is_left_and_may_be_retained() {
        let volume = |policy: &str, phase: &str, namespace: &str| -> PersistentVolume {
            serde_json::from_value(json!({
                "metadata": { "name": "pv-1", "annotations": { PROVISIONED_BY: "ebs.csi.aws.com" } },
                "spec": { "persistentVolumeReclaimPolicy": policy, "claimRef": { "namespace": namespace, "name": "data-0" } },
                "status": { "phase": phase, "lastPhaseTransitionTime": "2020-01-01T00:00:00Z" },
            }))
            .unwrap()
        };
        let namespaces = ["monitoring".to_owned()];
        assert!(is_left(&volume(RETAIN, "Released", "monitoring"), &namespaces));
        assert!(!is_left(&volume(RETAIN, "Bound", "monitoring"), &namespaces), "another release uses it");
        assert!(!is_left(&volume(RETAIN, "Released", "elsewhere"), &namespaces));
        let retained = Left::volume(volume(RETAIN, "Released", "monitoring"));
        assert!(retained.is_retained && retained.stuck().is_none(), "it waits for nobody but landlord");
        let stuck = Left::volume(volume("Delete", "Failed", "monitoring")).stuck().unwrap();
        assert!(
            stuck.starts_with("PersistentVolume pv-1 has been ending for") && stuck.contains("provisioner"),
            "{stuck}"
        );
    }
}
