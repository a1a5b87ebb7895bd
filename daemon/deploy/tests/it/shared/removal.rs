//! One tenant goes, with everything that can stand in its way; the others are compared object by object.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    ErrorKind,
    ports::{Apps as _, DeployTarget, Isolation as _, StageProgress},
    stage::RemovedObject,
};
use landlord_test_kube::{differences, everything};
use serde_json::{Value, json};

use super::{
    refused::pod,
    support::{done, eventually},
    world::{World, place},
};

/// An API whose server is not there; a client would wait for it.
const DEAD_GROUP: &str = "dead.example.com";

impl World {
    /// Every object of the cluster outside of one namespace, as it is.
    async fn everything_but(&self, namespace: &str) -> Result<BTreeMap<String, Value>> {
        let of_it = |kind: &str, object: &DynamicObject| {
            let spec = &object.data["spec"];
            // What Kubernetes keeps elsewhere for what is in the namespace.
            let kept_for_it = match kind {
                "PersistentVolume" => spec["claimRef"]["namespace"] == namespace,
                "IPAddress" => spec["parentRef"]["namespace"] == namespace,
                _ => false,
            };
            object.namespace().as_deref() == Some(namespace) || object.name_any() == namespace || kept_for_it
        };
        Ok(everything(&self.scene.client, &[DEAD_GROUP], of_it).await?)
    }

    /// Finalizers that nobody serves, a volume to be retained, and an aggregated API whose server is dead.
    pub(crate) async fn one_tenant_goes(&self) -> Result<()> {
        let tenant = &self.tenants[1];
        let name = place(tenant).namespace.as_str();
        self.obstacles(name).await?;
        self.a_pod_that_nobody_ends(tenant).await?;
        let dead = self.a_dead_api().await?;
        let before = self.everything_but(name).await?;
        ensure!(before.len() > 300, "{} objects", before.len());

        let mut removed = Vec::new();
        let mut reported = Vec::new();
        let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), name);
        let mut graces = Vec::new();
        done("removed", async || {
            let (progress, objects) = self.scene.deployer.isolation.remove(tenant).await?;
            let slow = pods.get_opt("slow").await?;
            graces.extend(slow.and_then(|pod| pod.metadata.deletion_grace_period_seconds));
            removed.extend(objects);
            if let StageProgress::Pending { detail, .. } = &progress {
                reported.push(detail.clone());
            }
            Ok(progress)
        })
        .await?;

        ensure!(graces.contains(&30), "the slow pod got what it requested: {graces:?}");
        let reported = reported.join("\n");
        for part in [
            "finalizers that nobody serves",
            "ConfigMap",
            "ended without the APIs that do not respond: dead.example.com/v1",
        ] {
            ensure!(reported.contains(part), "{part} was not reported: {reported}");
        }
        self.nothing_is_left(tenant, &removed, 4).await?;
        let after = self.everything_but(name).await?;
        let changed = differences(&before, &after);
        ensure!(changed.is_empty(), "{changed:#?}");
        dead.0.delete(&dead.1, &DeleteParams::default()).await?;

        let (progress, removed) = self.scene.deployer.isolation.remove(tenant).await?;
        ensure!(progress == StageProgress::Done && removed.is_empty(), "a second time: {progress:?} {removed:?}");
        for other in [&self.tenants[0], &self.tenants[2]] {
            done("the others response", async || Ok(self.scene.deployer.apps.verify(other).await?.progress)).await?;
        }
        Ok(())
    }

    /// A load balancer that its controller does not release is named, and never given up.
    pub(crate) async fn a_stuck_load_balancer_is_named(&self) -> Result<()> {
        let tenant = &self.tenants[2];
        let name = place(tenant).namespace.as_str();
        let services: Api<Service> = Api::namespaced(self.scene.client.clone(), name);
        let finalizers = services.get("sftpgo-sftp").await?.metadata.finalizers.unwrap_or_default();
        let held: Vec<String> = finalizers.into_iter().chain(["example.com/hold".into()]).collect();
        let hold = json!({ "metadata": { "finalizers": held } });
        services.patch("sftpgo-sftp", &PatchParams::default(), &Patch::Merge(hold)).await?;
        let mut removed = Vec::new();
        eventually("it is named", async || match self.scene.deployer.isolation.remove(tenant).await {
            Ok((progress, objects)) => {
                removed.extend(objects);
                Ok(Err(format!("{progress:?}")))
            }
            Err(failure) if failure.kind == ErrorKind::Conflict => {
                let reported = failure.message.contains("sftpgo-sftp") && failure.message.contains("example.com/hold");
                ensure!(reported && !failure.remedy.is_empty(), "{failure:?}");
                Ok(Ok(()))
            }
            Err(failure) => bail!("{failure:?}"),
        })
        .await?;
        services
            .patch("sftpgo-sftp", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "finalizers": null } })))
            .await?;
        done("removed", async || {
            let (progress, objects) = self.scene.deployer.isolation.remove(tenant).await?;
            removed.extend(objects);
            Ok(progress)
        })
        .await?;
        ensure!(removed.iter().any(|object| object.r#type == "Service"), "{removed:?}");
        self.nothing_is_left(tenant, &removed, 4).await
    }

    async fn obstacles(&self, name: &str) -> Result<()> {
        let hold = json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] } });
        let configs: Api<ConfigMap> = Api::namespaced(self.scene.client.clone(), name);
        configs.create(&PostParams::default(), &serde_json::from_value(hold)?).await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.scene.client.clone(), name);
        let held = json!({ "metadata": { "finalizers": ["kubernetes.io/pvc-protection", "example.com/hold"] } });
        claims.patch("qdrant", &PatchParams::default(), &Patch::Merge(held)).await?;
        let volume = claims.get("sftpgo").await?.spec.and_then(|spec| spec.volume_name).context("no volume")?;
        let volumes: Api<PersistentVolume> = Api::all(self.scene.client.clone());
        let retain = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
        volumes.patch(&volume, &PatchParams::default(), &Patch::Merge(retain)).await?;
        Ok(())
    }

    /// It requests ten minutes to end in, on a node whose kubelet does nothing any more.
    async fn a_pod_that_nobody_ends(&self, tenant: &DeployTarget) -> Result<()> {
        let pool = place(tenant).pool().context("no pool")?;
        let nodes: Api<Node> = Api::all(self.scene.client.clone());
        let node = json!({ "metadata": { "name": "mute", "labels": { "kubernetes.io/hostname": "mute", "landlord.dev/tenant": pool } } });
        nodes.create(&PostParams::default(), &serde_json::from_value(node)?).await?;
        let has = json!({ "cpu": "1", "memory": "2Gi", "ephemeral-storage": "20Gi", "pods": "9" });
        let ready = json!({ "status": {
            "capacity": has, "allocatable": has,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "" }],
        } });
        nodes.patch_status("mute", &PatchParams::default(), &Patch::Merge(ready)).await?;
        let mut slow = pod(&json!({
            "nodeSelector": { "kubernetes.io/hostname": "mute", "landlord.dev/tenant": pool },
            "tolerations": [
                { "key": "landlord.dev/tenant", "operator": "Equal", "value": pool, "effect": "NoSchedule" },
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists" },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists" },
            ],
            "terminationGracePeriodSeconds": 600,
        }));
        slow["metadata"] = json!({ "name": "slow" });
        let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), place(tenant).namespace.as_str());
        pods.create(&PostParams::default(), &serde_json::from_value(slow)?).await?;
        eventually("the slow pod is on its node", async || {
            let found = pods.get("slow").await?;
            let on = found.spec.and_then(|spec| spec.node_name);
            Ok(if on.as_deref() == Some("mute") { Ok(()) } else { Err(format!("{:?}", found.status)) })
        })
        .await
    }

    /// An aggregated API without a server: Kubernetes then ends no namespace at all.
    async fn a_dead_api(&self) -> Result<(Api<DynamicObject>, String)> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService"));
        let api: Api<DynamicObject> = Api::all_with(self.scene.client.clone(), &kind);
        let name = format!("v1.{DEAD_GROUP}");
        let body = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": { "name": name },
            "spec": {
                "group": DEAD_GROUP, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": { "name": "nobody", "namespace": "default", "port": 443 },
            },
        });
        api.create(&PostParams::default(), &serde_json::from_value(body)?).await?;
        Ok((api, name))
    }

    /// Neither in the cluster nor in the cloud, and the inventory agrees.
    async fn nothing_is_left(&self, tenant: &DeployTarget, removed: &[RemovedObject], claims: usize) -> Result<()> {
        let name = place(tenant).namespace.as_str();
        let namespaces: Api<Namespace> = Api::all(self.scene.client.clone());
        ensure!(namespaces.get_opt(name).await?.is_none(), "the namespace is left");
        let volumes: Api<PersistentVolume> = Api::all(self.scene.client.clone());
        for volume in volumes.list(&ListParams::default()).await? {
            let claim = volume.spec.and_then(|spec| spec.claim_ref).and_then(|claim| claim.namespace);
            ensure!(claim.as_deref() != Some(name), "a volume is left");
        }
        let left = self.scene.cloud.left();
        ensure!(!left.iter().any(|object| object.contains(name)), "left in the cloud: {left:?}");
        let count = |kind: &str| removed.iter().filter(|object| object.r#type == kind).count();
        ensure!(count("Namespace") == 1 && count("HelmRelease") == 4, "{removed:?}");
        ensure!(count("PersistentVolumeClaim") == claims, "{removed:?}");
        Ok(())
    }
}
