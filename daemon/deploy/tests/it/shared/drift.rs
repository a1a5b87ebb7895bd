//! What somebody else changed is reconciled, and only that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use landlord_core::{
    ErrorKind, TenantUid,
    isolation::SharedTarget,
    ports::{DeployTarget, Isolation as _, TargetCluster},
};
use serde_json::{Value, json};

use super::{
    support::{done, eventually},
    world::{World, place},
};

/// A change, and the place where it shows; `None`: the object is deleted.
struct Change {
    group: &'static str,
    kind: &'static str,
    name: &'static str,
    pointer: &'static str,
    patch: Option<Value>,
}

fn change(group: &'static str, kind: &'static str, name: &'static str, pointer: &'static str, patch: Value) -> Change {
    Change { group, kind, name, pointer, patch: Some(patch) }
}

fn changes() -> Vec<Change> {
    let admission = "admissionregistration.k8s.io";
    let rbac = "rbac.authorization.k8s.io";
    let network = "networking.k8s.io";
    let anywhere = json!({ "spec": { "ingress": [{ "from": [{ "podSelector": {}, "namespaceSelector": {} }] }] } });
    let role = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let everybody = json!([{ "apiGroup": rbac, "kind": "Group", "name": "system:authenticated" }]);
    vec![
        change(
            "",
            "Namespace",
            "",
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
            json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "privileged" } } }),
        ),
        change(
            "",
            "Namespace",
            "",
            "/metadata/labels/landlord.dev~1tenant",
            json!({ "metadata": { "labels": { "landlord.dev/tenant": "another" } } }),
        ),
        change("", "ResourceQuota", "landlord", "/spec/hard/pods", json!({ "spec": { "hard": { "pods": "9k" } } })),
        change(
            "",
            "ResourceQuota",
            "landlord",
            "/spec",
            json!({ "spec": { "hard": { "count/widgets.example.com": "1" } } }),
        ),
        change("", "LimitRange", "landlord", "/spec", json!({ "spec": { "limits": [] } })),
        change(
            "",
            "ServiceAccount",
            "landlord-deployer",
            "/automountServiceAccountToken",
            json!({ "automountServiceAccountToken": true }),
        ),
        change(
            "",
            "ServiceAccount",
            "default",
            "/automountServiceAccountToken",
            json!({ "automountServiceAccountToken": null }),
        ),
        change(network, "NetworkPolicy", "landlord-same-tenant", "/spec", anywhere),
        change(network, "NetworkPolicy", "landlord-internet", "/spec", json!({ "spec": { "egress": [{}] } })),
        Change { group: network, kind: "NetworkPolicy", name: "default-deny", pointer: "/spec", patch: None },
        change(rbac, "Role", "landlord-customer", "/rules", json!({ "rules": role })),
        change(rbac, "RoleBinding", "landlord-customer", "/subjects", json!({ "subjects": everybody })),
        change(
            rbac,
            "RoleBinding",
            "landlord-deployer",
            "/metadata/labels/landlord-tenant-uid",
            json!({ "metadata": { "labels": null } }),
        ),
        change(
            admission,
            "ValidatingAdmissionPolicy",
            "landlord-test-tenant-services",
            "/spec",
            json!({ "spec": { "failurePolicy": "Ignore" } }),
        ),
        change(
            admission,
            "ValidatingAdmissionPolicyBinding",
            "landlord-test-tenant-pods",
            "/spec",
            json!({ "spec": { "validationActions": ["Audit"] } }),
        ),
        Change {
            group: admission,
            kind: "ValidatingAdmissionPolicy",
            name: "landlord-test-tenant-pods",
            pointer: "/spec",
            patch: None,
        },
        Change {
            group: admission,
            kind: "MutatingAdmissionPolicyBinding",
            name: "landlord-test-tenant-placement",
            pointer: "/spec",
            patch: None,
        },
    ]
}

impl World {
    pub(crate) async fn drift_is_repaired(&self) -> Result<()> {
        let tenant = &self.tenants[0];
        for change in changes() {
            let what = format!("{} {} {}", change.kind, change.name, change.pointer);
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(change.group, "v1", change.kind));
            let own = place(tenant).namespace.as_str();
            let name = if change.kind == "Namespace" { own } else { change.name };
            let cluster = change.group.starts_with("admission") || change.kind == "Namespace";
            let client = self.scene.client.clone();
            let api: Api<DynamicObject> =
                if cluster { Api::all_with(client, &resource) } else { Api::namespaced_with(client, own, &resource) };
            let read = async || -> Result<Option<Value>> {
                let found = api.get_opt(name).await?.map(serde_json::to_value).transpose()?;
                Ok(found.and_then(|found| found.pointer(change.pointer).cloned()))
            };
            let before = read().await?.with_context(|| what.clone())?;
            match &change.patch {
                Some(patch) => drop(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?),
                None => drop(api.delete(name, &DeleteParams::default()).await?),
            }
            ensure!(read().await?.as_ref() != Some(&before), "{what}: nothing was changed");
            done(&what, async || Ok(self.scene.deployer.isolation.ensure(tenant).await?)).await?;
            let after = read().await?;
            ensure!(after.as_ref() == Some(&before), "{what}: {before} became {after:?}");
        }
        self.applying_again_writes_nothing().await
    }

    /// A class that no longer allows something: what opened it goes, and comes back with it.
    pub(crate) async fn doors_are_closed_again(&self) -> Result<()> {
        let tenant = &self.tenants[0];
        let own = place(tenant);
        let mut closed = tenant.clone();
        let settings = serde_json::from_value(json!({ "internet_egress": false }))?;
        closed.cluster = TargetCluster::Shared(Box::new(SharedTarget { settings, ..own.clone() }));
        let names = async || -> Result<BTreeSet<String>> {
            let mut all = BTreeSet::new();
            for (group, kind) in [("networking.k8s.io", "NetworkPolicy"), ("gateway.networking.k8s.io", "ListenerSet")]
            {
                let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
                let client = self.scene.client.clone();
                let api: Api<DynamicObject> = Api::namespaced_with(client, own.namespace.as_str(), &resource);
                let found = api.list(&ListParams::default()).await?.items;
                all.extend(found.into_iter().map(|object| format!("{kind} {}", object.name_any())));
            }
            Ok(all)
        };
        let before = names().await?;
        done("closed", async || Ok(self.scene.deployer.isolation.ensure(&closed).await?)).await?;
        let gone: Vec<String> = before.difference(&names().await?).cloned().collect();
        ensure!(gone == ["ListenerSet landlord", "NetworkPolicy landlord-internet"], "{gone:?}");
        done("open", async || Ok(self.scene.deployer.isolation.ensure(tenant).await?)).await?;
        ensure!(names().await? == before, "{before:?}");
        Ok(())
    }

    /// The engine drops a call that loses its fence or its time, and a daemon may be killed in it: the next finds out.
    pub(crate) async fn calls_may_be_dropped_anywhere(&self) -> Result<()> {
        let mut target = self.tenants[2].clone();
        target.uid = TenantUid(uuid::Uuid::new_v4());
        target.cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(target.uid, Default::default())));
        let deployer = &self.scene.deployer;
        for delay_ms in [5, 15, 30, 50, 80, 120, 200] {
            let _ = tokio::time::timeout(Duration::from_millis(delay_ms), deployer.isolation.ensure(&target)).await;
        }
        done("isolation", async || Ok(deployer.isolation.ensure(&target).await?)).await?;
        let own = |versions: &BTreeMap<String, String>, target: &DeployTarget| {
            let name = format!("{}/", place(target).namespace);
            versions.keys().filter(|key| key.contains(&name)).map(|key| key.replace(&name, "")).collect::<BTreeSet<_>>()
        };
        let versions = self.versions().await?;
        let made = own(&versions, &target);
        let mut expected = own(&versions, &self.tenants[2]);
        // The chart's, and what this class does not allow.
        expected.remove("NetworkPolicy landlord-load-balancers");
        ensure!(made == expected, "{made:?} {expected:?}");
        let mut removed = Vec::new();
        for delay_ms in [5, 15, 30, 50, 80] {
            let call = deployer.isolation.remove(&target);
            if let Ok(done) = tokio::time::timeout(Duration::from_millis(delay_ms), call).await {
                removed.extend(done?.1);
            }
        }
        done("removed", async || {
            let (progress, objects) = deployer.isolation.remove(&target).await?;
            removed.extend(objects);
            Ok(progress)
        })
        .await?;
        ensure!(own(&self.versions().await?, &target).is_empty(), "something is left");
        Ok(())
    }

    /// A namespace of the tenant's name that somebody else made stays as it is.
    pub(crate) async fn namespaces_not_owned_by_landlord_are_left_alone(&self) -> Result<()> {
        let mut target = self.tenants[2].clone();
        let uid = TenantUid(uuid::Uuid::new_v4());
        target.uid = uid;
        target.cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(uid, Default::default())));
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.scene.client.clone());
        let name = place(&target).namespace.to_string();
        let made = namespaces
            .create(&Default::default(), &serde_json::from_value(json!({ "metadata": { "name": name } }))?)
            .await?;
        let taken = self.scene.deployer.isolation.ensure(&target).await.unwrap_err();
        ensure!(taken.kind == ErrorKind::NameTaken, "{taken:?}");
        let taken = self.scene.deployer.isolation.remove(&target).await.unwrap_err();
        ensure!(taken.kind == ErrorKind::NameTaken, "{taken:?}");
        let found = namespaces.get(&name).await?;
        ensure!(found.metadata.uid == made.metadata.uid && found.metadata.deletion_timestamp.is_none(), "{found:?}");
        namespaces.delete(&name, &DeleteParams::default()).await?;
        eventually("it is gone again", async || {
            Ok(namespaces.get_opt(&name).await?.map_or(Ok(()), |found| Err(format!("{:?}", found.status))))
        })
        .await
    }
}
