//! A platform's release that Helm has no room for: applied by landlord itself, with one owner for each object.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Secret, Service},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use landlord_core::{
    AppName, ErrorKind, TenantUid,
    ports::{Apps as _, KubeCredentials, KubeIdentity, PlatformTarget, StageProgress},
};
use landlord_deploy::{StackApps, chart::ChartMirrors, platform, stack::Values};
use landlord_kube::client::Clients;
use landlord_test_kube::{Artifacts, ControlPlane, ControlPlaneOptions};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{done, eventually, shipped::artifacts};

const NAMESPACE: &str = "kinds";
/// Of each definition: two of them, in the chart and in what it renders to, are more than Helm's record may have, packed.
const DESCRIPTION_BYTES: usize = 500_000;

struct World {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
    plane: ControlPlane,
    client: Client,
}

impl World {
    async fn start() -> Result<Self> {
        let (folder, artifacts) = (tempfile::tempdir()?, artifacts()?);
        let mut options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster"));
        // No pod is made here.
        (options.scheduler, options.kwok) = (false, false);
        let plane = ControlPlane::start(options).await?;
        let client = plane.kube_client()?;
        Ok(Self { folder, artifacts, plane, client })
    }

    /// A daemon with a platform whose only release has these kinds.
    async fn apps(&self, name: &str, kinds: &[&str]) -> Result<StackApps> {
        let platforms = self.folder.path().join(name);
        write_platform(&platforms.join("test"), kinds)?;
        let options = landlord_deploy::DeployOptions {
            stacks: BTreeMap::new(),
            platforms: platform::load_all(&platforms, &Values::new(), &ChartMirrors::new())?,
            helm_path: self.artifacts.helm.clone(),
            helm_version: ">=4.3.0, <5.0.0".into(),
            state_dir: self.folder.path().join(format!("{name}-state")),
            helm_processes_max: 1,
            registries: landlord_deploy::Registries::default(),
            gateway_api_crds: None,
            checks: crate::support::checks(&self.folder.path().join(format!("{name}-state"))),
        };
        Ok(StackApps::open(options, Arc::new(Clients::default())).await?)
    }

    fn target(&self) -> PlatformTarget {
        PlatformTarget {
            kube: KubeCredentials {
                endpoint: self.plane.endpoint().into(),
                ca_pem: self.plane.ca_pem().into(),
                identity: KubeIdentity::Token(self.plane.admin_token().to_owned().into()),
                expire_time: None,
            },
            revision: None,
            stack_revision: None,
            installation: "test".into(),
            uid: TenantUid(uuid::Uuid::from_u128(7)),
            name: "hostClusters/shared".parse().unwrap(),
            cluster_name: "landlord-shared".into(),
            values: BTreeMap::new(),
            platform: "test".parse().unwrap(),
            domain: None,
            stack: None,
        }
    }

    async fn ensure(&self, apps: &StackApps) -> Result<()> {
        let (target, name) = (self.target(), release());
        done("kinds", async || Ok(apps.ensure_platform(&target, &name).await?)).await
    }

    async fn definition(&self, kind: &str) -> Result<Option<CustomResourceDefinition>> {
        let all: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        Ok(all.get_opt(&plural(kind)).await?.filter(|found| found.metadata.deletion_timestamp.is_none()))
    }

    fn objects(&self, kind: &str) -> Api<DynamicObject> {
        Api::default_namespaced_with(self.client.clone(), &resource(kind))
    }

    async fn make_one(&self, kind: &str) -> Result<()> {
        let object = DynamicObject::new("one", &resource(kind));
        self.objects(kind).create(&PostParams::default(), &object).await?;
        Ok(())
    }
}

fn release() -> AppName {
    "kinds".parse().unwrap()
}

fn plural(kind: &str) -> String {
    format!("{}s.example.com", kind.to_lowercase())
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", kind))
}

fn definition(kind: &str, description: &str) -> serde_json::Value {
    let names = json!({ "kind": kind, "plural": format!("{}s", kind.to_lowercase()) });
    let schema = json!({ "openAPIV3Schema": { "type": "object", "description": description } });
    let version = json!({ "name": "v1", "served": true, "storage": true, "schema": schema });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": plural(kind) },
        "spec": { "group": "example.com", "scope": "Namespaced", "names": names, "versions": [version] },
    })
}

/// Text that nothing packs well.
fn noise(seed: &str) -> String {
    let mut text = String::new();
    let mut round = 0;
    while text.len() < DESCRIPTION_BYTES {
        for byte in Sha256::digest(format!("{seed}{round}")) {
            let _ = write!(text, "{byte:02x}");
        }
        round += 1;
    }
    text
}

fn write_platform(folder: &Path, kinds: &[&str]) -> Result<()> {
    let templates = folder.join("chart/templates");
    fs::create_dir_all(&templates)?;
    let manifest = json!({
        "apiVersion": "landlord.dev/v1", "kind": "Platform",
        "releases": [{
            "name": "kinds", "namespace": NAMESPACE, "chart": "chart", "driver": "manifests", "expectedSeconds": 1,
        }],
    });
    fs::write(folder.join("platform.yaml"), manifest.to_string())?;
    fs::write(folder.join("chart/Chart.yaml"), "apiVersion: v2\nname: kinds\nversion: 1.0.0\n")?;
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" }, "data": {} });
    fs::write(templates.join("settings.yaml"), config.to_string())?;
    for kind in kinds {
        fs::write(templates.join(format!("{kind}.yaml")), definition(kind, &noise(kind)).to_string())?;
    }
    Ok(())
}

fn chart(world: &World, name: &str) -> PathBuf {
    world.folder.path().join(name).join("test/chart")
}

/// What landlord's isolation made for tenants of a host cluster is in no release; while it is there, nothing of the platform goes.
async fn the_shared_gateway_goes_first(world: &World, apps: &StackApps) -> Result<()> {
    let mut kind = definition("Gateway", "a Gateway");
    kind["metadata"] = json!({
        "name": "gateways.gateway.networking.k8s.io",
        "annotations": { "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api" },
    });
    kind["spec"]["group"] = json!("gateway.networking.k8s.io");
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    definitions.create(&PostParams::default(), &serde_json::from_value(kind)?).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"));
    let gateways: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), NAMESPACE, &resource);
    let gateway = |name: &str, labels: serde_json::Value| -> DynamicObject {
        // Its controller takes its time with the load balancer.
        let metadata = json!({ "name": name, "labels": labels, "finalizers": ["example.com/balancer"] });
        let value = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata });
        serde_json::from_value(value).unwrap()
    };
    let shared = gateway("shared", json!({ "landlord-installation": "test" }));
    eventually("Gateways are served", async || {
        Ok(gateways.create(&PostParams::default(), &shared).await.map(drop).map_err(|error| error.to_string()))
    })
    .await?;
    gateways.create(&PostParams::default(), &gateway("foreign", json!({}))).await?;
    let (progress, removed) = apps.remove_platform(&world.target(), &release()).await?;
    let StageProgress::Pending { detail, .. } = progress else { panic!("{progress:?}") };
    assert_eq!((detail.as_str(), removed.len()), ("waiting until Gateway shared is gone", 1));
    let settings: Api<ConfigMap> = Api::namespaced(world.client.clone(), NAMESPACE);
    assert!(settings.get_opt("settings").await?.is_some(), "the platform went before");
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    gateways.patch("shared", &PatchParams::default(), &free).await?;
    eventually("the Gateway is gone", async || {
        Ok(gateways.get_opt("shared").await?.map_or(Ok(()), |_| Err("it is there".to_owned())))
    })
    .await?;
    assert!(gateways.get("foreign").await?.metadata.deletion_timestamp.is_none());
    Ok(())
}

/// A Gateway of another release that has yet to go, with the load balancer that its controller made for it.
async fn a_gateway_stands_elsewhere(world: &World) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let namespace = json!({ "metadata": { "name": "edge", "labels": { "landlord-role": "platform" } } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"));
    let gateways: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "edge", &resource);
    let gateway = gateways.create(&PostParams::default(), &DynamicObject::new("edge", &resource)).await?;
    let owner = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "edge", "uid": gateway.metadata.uid,
    });
    let service = json!({
        "metadata": { "name": "edge", "ownerReferences": [owner] },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
    });
    let services: Api<Service> = Api::namespaced(world.client.clone(), "edge");
    services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_too_large_for_helm_are_applied_have_one_owner_and_stay_while_they_are_used() -> Result<()> {
    let world = World::start().await?;
    let both = world.apps("both", &["Door", "Window"]).await?;
    let mut helm = std::process::Command::new(&world.artifacts.helm);
    helm.env("KUBECONFIG", world.plane.admin_kubeconfig_path()).env("HOME", world.folder.path());
    let refused = helm.args(["install", "kinds", "--namespace", "default"]).arg(chart(&world, "both")).output()?;
    ensure!(!refused.status.success(), "Helm has room for it, so this test shows nothing");

    // Somebody else's definition: nothing at all is applied.
    let all: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let other: CustomResourceDefinition = serde_json::from_value(definition("Window", "somebody else's"))?;
    all.create(&PostParams::default(), &other).await?;
    let refused = both.ensure_platform(&world.target(), &release()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NameTaken, "{refused:?}");
    assert!(world.definition("Door").await?.is_none());
    all.delete(&plural("Window"), &DeleteParams::default()).await?;
    eventually("the other definition is gone", async || {
        Ok(match all.get_opt(&plural("Window")).await? {
            Some(_) => Err("it is there".to_owned()),
            None => Ok(()),
        })
    })
    .await?;

    world.ensure(&both).await?;
    let made = world.definition("Window").await?.unwrap();
    let settings: Api<ConfigMap> = Api::namespaced(world.client.clone(), NAMESPACE);
    assert!(settings.get_opt("settings").await?.is_some());
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), NAMESPACE);
    assert!(secrets.list(&ListParams::default().labels("owner=helm")).await?.items.is_empty());

    // What stands as it shall is left alone; what is gone comes back.
    settings.delete("settings", &DeleteParams::default()).await?;
    world.ensure(&both).await?;
    assert!(settings.get_opt("settings").await?.is_some());
    assert_eq!(world.definition("Window").await?.unwrap().metadata.uid, made.metadata.uid);

    // What the chart has no longer goes; not while it is used.
    world.make_one("Window").await?;
    world.ensure(&world.apps("one", &["Door"]).await?).await?;
    assert!(world.definition("Window").await?.is_some());
    world.objects("Window").delete("one", &DeleteParams::default()).await?;
    world.ensure(&both).await?;
    let one = world.apps("again", &["Door"]).await?;
    world.ensure(&one).await?;
    assert!(world.definition("Window").await?.is_none());

    // A record that can't be read is no empty one, and an object is known by its uid when its mark was taken off.
    let change = async |name: &str, change: serde_json::Value| {
        settings.patch(name, &PatchParams::default(), &Patch::Merge(change)).await
    };
    change("settings", json!({ "metadata": { "annotations": { "landlord.dev/release": null } } })).await?;
    let record = "landlord-release-kinds";
    let readable = settings.get(record).await?.data.unwrap_or_default()["release"].clone();
    change(record, json!({ "data": { "release": "{" } })).await?;
    let refused = one.remove_platform(&world.target(), &release()).await.unwrap_err();
    assert!(refused.kind == ErrorKind::Conflict && refused.message.contains(record), "{refused:?}");
    assert!(settings.get_opt("settings").await?.is_some());
    change(record, json!({ "data": { "release": readable } })).await?;

    the_shared_gateway_goes_first(&world, &one).await?;
    // Who removes that one waits for this release, so this one must not wait for it.
    a_gateway_stands_elsewhere(&world).await?;
    world.make_one("Door").await?;
    let (progress, removed) = one.remove_platform(&world.target(), &release()).await?;
    let StageProgress::Pending { detail, .. } = progress else { panic!("{progress:?}") };
    assert!(detail.contains("doors.example.com (1 of its objects exist)"), "{detail}");
    assert_eq!(removed.len(), 1);
    assert_eq!(one.remove_platform(&world.target(), &release()).await?, (StageProgress::Done, Vec::new()));
    assert!(settings.get_opt("settings").await?.is_none());
    assert!(world.objects("Door").get_opt("one").await?.is_some(), "somebody else's object is gone");
    world.plane.stop().await;
    Ok(())
}
