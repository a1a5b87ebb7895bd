//! What an update would change, as a real API server says in a dry run: values, fields that go, what comes and goes whole, and of a
//! Secret nothing but the names of its keys.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::{
    Api, Resource,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    AppName, TenantUid,
    isolation::{IsolationSettings, SharedTarget},
    ports::{AppDiff as _, Apps as _, DeployTarget, Isolation as _, ObjectDiff, TargetCluster},
};
use landlord_test_kube::{
    cloud::{CloudControllers, NodeSpec, add_nodes},
    steps,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{Deployer, Scene, done};

/// The stack, its release and its namespace.
const DESK: &str = "desk";
/// Of every Secret's value here.
const PASSWORD: &str = "hunter";

fn encoded(value: &str) -> String {
    BASE64_STANDARD.encode(format!("{PASSWORD}-{value}"))
}

fn config_map(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn secret(data: Value, written_plainly: &str) -> Value {
    let plainly = json!({ "plain": format!("{PASSWORD}-{written_plainly}") });
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": DESK }, "data": data, "stringData": plainly })
}

fn service(port: u16) -> Value {
    let ports = json!([{ "name": "http", "port": port }]);
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": DESK }, "spec": { "selector": { "app": DESK }, "ports": ports } })
}

/// What tenants run.
fn before() -> Vec<Value> {
    vec![
        config_map(DESK, json!({ "kept": "same", "changed": "old", "dropped": "gone" })),
        config_map("leaves", json!({ "a": "b" })),
        secret(json!({ "kept": encoded("kept"), "changed": encoded("old"), "dropped": encoded("gone") }), "plain-old"),
        service(80),
    ]
}

/// What lies on disk.
fn after() -> Vec<Value> {
    vec![
        config_map(DESK, json!({ "kept": "same", "changed": "new", "more": "added" })),
        config_map("comes", json!({ "a": "b" })),
        secret(json!({ "kept": encoded("kept"), "changed": encoded("new"), "more": encoded("more") }), "plain-new"),
        service(8080),
    ]
}

/// A stack with one release of these objects.
fn write_stack(folder: &Path, objects: &[Value]) -> Result<()> {
    let chart = folder.join(DESK).join("charts").join(DESK);
    fs::create_dir_all(chart.join("templates"))?;
    let manifest = format!(
        "apiVersion: landlord.dev/v1\nkind: Stack\nnamespace: {DESK}\nreleases:\n\
         - {{ name: {DESK}, chart: charts/{DESK}, expectedSeconds: 1 }}\n"
    );
    fs::write(folder.join(DESK).join("stack.yaml"), manifest)?;
    fs::write(chart.join("Chart.yaml"), format!("apiVersion: v2\nname: {DESK}\nversion: 1.0.0\n"))?;
    for (number, object) in objects.iter().enumerate() {
        fs::write(chart.join("templates").join(format!("{number}.yaml")), object.to_string())?;
    }
    Ok(())
}

struct World {
    scene: Scene,
    controllers: CloudControllers,
    running: Deployer,
    offering: Deployer,
}

impl World {
    async fn start() -> Result<Self> {
        let scene = Scene::start(Duration::from_secs(20)).await?;
        let controllers = scene.controllers().await?;
        add_nodes(&scene.client, &[NodeSpec::named("shared-1")]).await?;
        let running = deployer(&scene, "running", &before()).await?;
        let offering = deployer(&scene, "offering", &after()).await?;
        Ok(Self { scene, controllers, running, offering })
    }

    async fn stop(self) {
        self.controllers.stop().await;
        self.scene.control_plane.stop().await;
    }

    fn target(&self) -> DeployTarget {
        DeployTarget { stack: DESK.parse().ok(), ..self.scene.target(10, &json!({})) }
    }

    async fn in_a_cluster_of_its_own(&self) -> Result<()> {
        let target = self.target();
        let namespaces: Api<Namespace> = Api::all(self.scene.client.clone());
        let namespace = serde_json::from_value(json!({ "metadata": { "name": DESK } }))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        self.compares(&target, DESK).await
    }

    /// There the tenant's deployer asks, with its rights alone.
    async fn in_a_namespace_of_a_shared_one(&self) -> Result<()> {
        let uid = TenantUid(uuid::Uuid::new_v4());
        let settings = IsolationSettings::default();
        let cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(uid, settings)));
        let target = DeployTarget { uid, cluster, ..self.target() };
        done("isolation", async || Ok(self.running.isolation.ensure(&target).await?)).await?;
        let namespace = target.cluster.shared().context("a place")?.namespace.as_str().to_owned();
        self.compares(&target, &namespace).await
    }

    async fn compares(&self, target: &DeployTarget, namespace: &str) -> Result<()> {
        let app: AppName = DESK.parse()?;
        done(DESK, async || Ok(self.running.apps.ensure_release(target, &app).await?)).await?;
        let same = self.running.apps.diff(target).await?;
        ensure!(same.is_empty(), "what the API server fills in is no difference: {same:?}");
        // Somebody's edit is what is there, and the update takes it back.
        let maps: Api<ConfigMap> = Api::namespaced(self.scene.client.clone(), namespace);
        let edit = Patch::Merge(json!({ "data": { "kept": "by hand" } }));
        maps.patch(DESK, &PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() }, &edit)
            .await?;

        let versions = self.versions(namespace).await?;
        let found = self.offering.apps.diff(target).await?;
        let unchanged = self.versions(namespace).await?;
        ensure!(unchanged == versions, "a comparison changed something: {versions:?} {unchanged:?}");
        ensure!(found.iter().all(|object| object.app == DESK), "{found:?}");
        let expected = [
            ("ConfigMap comes", ("added", vec![])),
            (
                "ConfigMap desk",
                (
                    "changed",
                    vec![
                        ["data.changed", "\"old\"", "\"new\""],
                        ["data.dropped", "\"gone\"", ""],
                        ["data.kept", "\"by hand\"", "\"same\""],
                        ["data.more", "", "\"added\""],
                    ],
                ),
            ),
            ("ConfigMap leaves", ("removed", vec![])),
            (
                "Secret desk",
                (
                    "changed",
                    vec![
                        ["data.changed", "***", "***"],
                        ["data.dropped", "***", ""],
                        ["data.more", "", "***"],
                        ["data.plain", "***", "***"],
                    ],
                ),
            ),
            (
                "Service desk",
                ("changed", vec![["spec.ports.0.port", "80", "8080"], ["spec.ports.0.targetPort", "80", "8080"]]),
            ),
        ];
        let seen = by_object(&found);
        let expected = expected.map(|(object, (change, fields))| (object.to_owned(), (change.to_owned(), fields)));
        let owned = |fields: Vec<[&str; 3]>| fields.into_iter().map(|field| field.map(str::to_owned)).collect();
        let expected: Changes =
            expected.into_iter().map(|(object, (change, fields))| (object, (change, owned(fields)))).collect();
        ensure!(seen == expected, "{seen:#?} instead of {expected:#?}");
        // Neither as it was written, nor as it is kept.
        let text = format!("{found:?}");
        let values = ["kept", "old", "new", "gone", "more", "plain-old", "plain-new"].map(encoded);
        let shown = values.iter().map(String::as_str).chain([PASSWORD]).find(|value| text.contains(*value));
        ensure!(shown.is_none(), "a secret is shown: {text}");
        Ok(())
    }

    /// All that could be written in a namespace, Helm's records among it.
    async fn versions(&self, namespace: &str) -> Result<BTreeMap<String, String>> {
        let mut all = self.versions_of::<ConfigMap>(namespace).await?;
        all.extend(self.versions_of::<Secret>(namespace).await?);
        all.extend(self.versions_of::<Service>(namespace).await?);
        Ok(all)
    }

    async fn versions_of<K>(&self, namespace: &str) -> Result<BTreeMap<String, String>>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let all: Api<K> = Api::namespaced(self.scene.client.clone(), namespace);
        let found = all.list(&ListParams::default()).await?.items;
        let version = |object: &K| {
            let meta = object.meta();
            let name = meta.name.clone().unwrap_or_default();
            (format!("{} {name}", K::kind(&())), meta.resource_version.clone().unwrap_or_default())
        };
        Ok(found.iter().map(version).collect())
    }
}

/// Kind of change and fields with what is there and what would be, by object.
type Changes = BTreeMap<String, (String, Vec<[String; 3]>)>;

fn by_object(found: &[ObjectDiff]) -> Changes {
    let fields = |object: &ObjectDiff| {
        object.fields.iter().map(|field| [field.path.clone(), field.live.clone(), field.offered.clone()]).collect()
    };
    found
        .iter()
        .map(|object| (format!("{} {}", object.kind, object.name), (object.change.clone(), fields(object))))
        .collect()
}

/// A daemon on whose disk the stack has these objects.
async fn deployer(scene: &Scene, name: &str, objects: &[Value]) -> Result<Deployer> {
    let folder = scene.folder.path().join(name);
    write_stack(&folder, objects)?;
    scene.another_deployer(&format!("{name}-state"), folder, scene.artifacts.gateway_crds.clone()).await
}

steps! {
    world = World::start().await?;
    finally world.stop().await;
    in_a_cluster_of_its_own: world.in_a_cluster_of_its_own().await;
    in_a_namespace_of_a_shared_one: world.in_a_namespace_of_a_shared_one().await;
}
