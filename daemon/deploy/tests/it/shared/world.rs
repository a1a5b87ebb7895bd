//! The cluster, its tenants, and clients with their rights.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use landlord_core::{
    TenantUid,
    isolation::{IsolationSettings, SharedTarget},
    ports::{Apps as _, DeployTarget, Isolation as _, StageProgress, TargetCluster},
};
use landlord_test_kube::cloud::{CloudControllers, NodeSpec, NodeTaint, add_nodes};
use serde_json::json;

use super::support::{Scene, done, eventually};

pub(crate) struct World {
    pub(crate) scene: Scene,
    controllers: CloudControllers,
    /// Two at the level NODE, one at NAMESPACE, which may have a load balancer.
    pub(crate) tenants: [DeployTarget; 3],
}

/// What nobody serves is given up after this; long enough for what the cluster's own controllers do.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// What a class could say: the customer's people, and what the cluster is made of.
fn settings(customer: &str) -> IsolationSettings {
    // One certificate of its own, one of the operator's, and no Gateway of ours.
    let gateway = match customer {
        "acme" => json!({ "class": "example", "certificate": { "cluster_issuer": "letsencrypt" } }),
        "globex" => json!({ "class": "example", "certificate": { "secret": "wildcard" } }),
        _ => json!(null),
    };
    serde_json::from_value(json!({
        "customer_group": format!("oidc:{customer}"),
        "load_balancers": u32::from(customer == "initech"),
        "gateway": gateway,
        "quota": { "services": 12, "config_maps": 12, "objects": 12 },
        "blocked_cidrs": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"],
    }))
    .unwrap()
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let scene = Scene::start(REMOVAL_TIMEOUT).await?;
        let controllers = scene.controllers().await?;
        let tenants = ["acme", "globex", "initech"].map(|customer| (customer, TenantUid(uuid::Uuid::new_v4())));
        let tenants = tenants.map(|(customer, uid)| {
            let settings = settings(customer);
            let place = if customer == "initech" {
                SharedTarget::namespace(uid, settings)
            } else {
                SharedTarget::node(uid, settings)
            };
            let mut target = scene.target(10, &json!({}));
            target.uid = uid;
            target.name = format!("customers/{customer}/tenants/prod").parse().unwrap();
            target.cluster = TargetCluster::Shared(Box::new(place));
            target
        });
        let world = Self { scene, controllers, tenants };
        world.add_nodes().await?;
        Ok(world)
    }

    pub(crate) async fn stop(self) {
        self.controllers.stop().await;
        self.scene.control_plane.stop().await;
    }

    /// One node for everybody, and one for each tenant with a pool.
    async fn add_nodes(&self) -> Result<()> {
        let mut nodes = vec![NodeSpec::named("shared-1")];
        for (number, tenant) in self.tenants.iter().enumerate() {
            if let Some(pool) = place(tenant).pool() {
                let mut own = NodeSpec::named(&format!("pool-{number}"));
                own.labels.insert("landlord.dev/tenant".into(), pool.to_string());
                let (key, effect) = ("landlord.dev/tenant".into(), "NoSchedule".into());
                own.taints.push(NodeTaint { key, value: pool.to_string(), effect });
                nodes.push(own);
            }
        }
        Ok(add_nodes(&self.scene.client, &nodes).await?)
    }

    pub(crate) async fn tenants_are_isolated(&self) -> Result<()> {
        for tenant in &self.tenants {
            done("isolation", async || Ok(self.scene.deployer.isolation.ensure(tenant).await?)).await?;
        }
        Ok(())
    }

    /// The stack as the tenant's own deployer, until it responds.
    pub(crate) async fn apps_run(&self, tenant: &DeployTarget) -> Result<()> {
        let deployer = &self.scene.deployer;
        done("base", async || Ok(deployer.apps.ensure_base(tenant).await?)).await?;
        self.scene.releases_ready(tenant).await?;
        done("verified", async || Ok(deployer.apps.verify(tenant).await?.progress)).await
    }

    /// Every policy was understood by the API server's type checker, which only warns.
    pub(crate) async fn policies_are_understood(&self) -> Result<()> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy");
        let api: Api<DynamicObject> = Api::all_with(self.scene.client.clone(), &ApiResource::from_gvk(&kind));
        let ours = ListParams::default().labels("landlord-installation=test");
        eventually("the policies are checked", async || {
            let all = api.list(&ours).await?.items;
            ensure!(all.len() == 7, "{} policies", all.len());
            let unchecked = all.iter().find(|policy| policy.data.pointer("/status/typeChecking").is_none());
            Ok(unchecked.map_or(Ok(()), |policy| Err(format!("{:?}", policy.metadata.name))))
        })
        .await?;
        for policy in api.list(&ours).await? {
            let warnings = &policy.data["status"]["typeChecking"]["expressionWarnings"];
            ensure!(warnings.is_null(), "{:?}: {warnings}", policy.metadata.name);
        }
        Ok(())
    }

    /// Versions of everything that the isolation consists of.
    pub(crate) async fn versions(&self) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for (group, kind) in [
            ("", "Namespace"),
            ("", "ResourceQuota"),
            ("", "LimitRange"),
            ("", "ServiceAccount"),
            ("networking.k8s.io", "NetworkPolicy"),
            ("rbac.authorization.k8s.io", "Role"),
            ("rbac.authorization.k8s.io", "RoleBinding"),
            ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
            ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
            ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
            ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(self.scene.client.clone(), &resource);
            for object in api.list(&ListParams::default().labels("landlord-installation=test")).await? {
                let meta = object.metadata;
                let name = format!("{kind} {}/{}", meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default());
                // The quota's status is counted again with every object; its generation would show it, but it has none.
                let version = if kind == "ResourceQuota" {
                    object.data["spec"].to_string()
                } else {
                    meta.resource_version.unwrap_or_default()
                };
                all.insert(name, version);
            }
        }
        Ok(all)
    }

    pub(crate) async fn applying_again_writes_nothing(&self) -> Result<()> {
        let before = self.versions().await?;
        ensure!(before.len() > 50, "{} objects", before.len());
        let calls = self.apply_calls().await?;
        for tenant in &self.tenants {
            ensure!(self.scene.deployer.isolation.ensure(tenant).await? == StageProgress::Done, "a second time");
        }
        let after = self.versions().await?;
        let changed: Vec<&String> = after.iter().filter(|(k, v)| before.get(*k) != Some(v)).map(|(k, _)| k).collect();
        ensure!(changed.is_empty(), "written again: {changed:?}");
        // An apply that changes nothing costs a call all the same.
        let more = self.apply_calls().await? - calls;
        ensure!(more < 1.0, "applied again: {more} calls");
        Ok(())
    }

    /// Server-side applies that the API server has responded; nobody else here makes any.
    pub(crate) async fn apply_calls(&self) -> Result<f64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.scene.client.request_text(request).await?;
        let lines = text.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        let applies = lines.filter(|line| line.contains("verb=\"APPLY\""));
        let counts: Vec<f64> = applies.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        ensure!(!counts.is_empty(), "the API server counts no applies");
        Ok(counts.iter().sum())
    }
}

pub(crate) fn place(target: &DeployTarget) -> &SharedTarget {
    target.cluster.shared().unwrap()
}
