//! A real control plane from beginning to end. Its cloud is kept in memory here; everything else is real.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use axum::{Json, Router, extract::State, routing::post};
use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{Event, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Service},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use landlord_test_kube::{
    Artifacts, ControlPlane, ControlPlaneOptions, client_config,
    cloud::{
        CloudBackend, CloudControllers, CloudOptions, LoadBalancerRequest, NodeSpec, NodeTaint, StorageClassSpec,
        VolumeRequest, add_nodes, remove_nodes,
    },
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// For anything the cluster does by itself, on a machine that may be compiling meanwhile.
const TIMEOUT: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

fn artifacts() -> Result<Artifacts> {
    // The first run on a machine builds them, which takes minutes: say so.
    Ok(Artifacts::ensure(&mut |line| {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{line}");
    })?)
}

async fn eventually<T>(what: &str, mut observe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = observe().await.with_context(|| format!("searching for: {what}"))? {
            return Ok(found);
        }
        ensure!(started.elapsed() < TIMEOUT, "not within {TIMEOUT:?}: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// A cloud that keeps a list of what it was requested. A load balancer has its address only at the second time.
#[derive(Default)]
struct MemoryCloud {
    load_balancers: Mutex<BTreeMap<String, (LoadBalancerRequest, u32)>>,
    volumes: Mutex<BTreeMap<String, VolumeRequest>>,
    sizes: Mutex<BTreeMap<String, u64>>,
}

#[async_trait::async_trait]
impl CloudBackend for MemoryCloud {
    async fn ensure_load_balancer(&self, service: &LoadBalancerRequest) -> Result<Option<String>> {
        if service.annotations.contains_key("example.com/refuse") {
            bail!("quota of load balancers is used up");
        }
        let mut all = self.load_balancers.lock();
        let (_, requested) = all.entry(service.uid.clone()).or_insert_with(|| (service.clone(), 0));
        *requested += 1;
        Ok((*requested > 1).then(|| format!("{}.lb.example.com", service.name)))
    }

    async fn delete_load_balancer(&self, uid: &str) -> Result<bool> {
        Ok(self.load_balancers.lock().remove(uid).is_none())
    }

    async fn ensure_volume(&self, claim: &VolumeRequest) -> Result<Option<String>> {
        let id = format!("vol-{}", claim.uid);
        self.volumes.lock().insert(id.clone(), claim.clone());
        Ok(Some(id))
    }

    async fn resize_volume(&self, volume_id: &str, size_bytes: u64) -> Result<bool> {
        self.sizes.lock().insert(volume_id.into(), size_bytes);
        Ok(true)
    }

    async fn delete_volume(&self, volume_id: &str) -> Result<bool> {
        Ok(self.volumes.lock().remove(volume_id).is_none())
    }
}

/// Responds to `TokenReview` as a cloud's token service does: knows `good`, and nobody else.
async fn review(State(requested): State<Arc<Mutex<BTreeSet<String>>>>, Json(review): Json<Value>) -> Json<Value> {
    let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
    let status = if token == "good" {
        json!({ "authenticated": true, "user": { "username": "alice", "groups": ["system:masters"] } })
    } else {
        json!({ "authenticated": false })
    };
    requested.lock().insert(token);
    Json(json!({ "apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status }))
}

fn node(name: &str, taints: Vec<NodeTaint>) -> NodeSpec {
    let labels = [("example.com/pool".to_owned(), "main".to_owned())].into();
    NodeSpec { labels, taints, address: Some("10.0.1.7".into()), cpu: 4, memory_mib: 16_384, ..NodeSpec::named(name) }
}

struct Scene {
    artifacts: Artifacts,
    control_plane: ControlPlane,
    client: Client,
    cloud: Arc<MemoryCloud>,
    folder: tempfile::TempDir,
    /// Tokens that the webhook was asked to review.
    requested: Arc<Mutex<BTreeSet<String>>>,
    options: ControlPlaneOptions,
    controllers: CloudControllers,
    servers: tokio::task::JoinSet<std::io::Result<()>>,
}

impl Scene {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let artifacts = artifacts()?;
        let requested = Arc::<Mutex<BTreeSet<String>>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let webhook = format!("http://{}/token", listener.local_addr()?);
        let router = Router::new().route("/token", post(review)).with_state(Arc::clone(&requested));
        let mut servers = tokio::task::JoinSet::new();
        servers.spawn(async move { axum::serve(listener, router).await });

        let options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster"));
        let started = Instant::now();
        let control_plane = ControlPlane::start(options.clone().authentication_webhook(webhook)).await?;
        tracing_line(&format!("ready after {:?}, {}", started.elapsed(), memory(&control_plane)));
        let client = control_plane.kube_client()?;
        let cloud = Arc::new(MemoryCloud::default());
        let classes = vec![StorageClassSpec::new("fast", "disk.example.com")];
        let backend: Arc<dyn CloudBackend> = Arc::clone(&cloud) as _;
        let controllers = CloudControllers::start(client.clone(), backend, CloudOptions::new(classes)).await?;
        Ok(Self { artifacts, control_plane, client, cloud, folder, requested, options, controllers, servers })
    }
}

fn memory(control_plane: &ControlPlane) -> String {
    let bytes: u64 = control_plane.resident_bytes().iter().map(|(_, bytes)| bytes).sum();
    format!("{} MiB, {:?}", bytes >> 20, control_plane.resident_bytes())
}

mod a_cluster_works {
    use super::Scene;

    landlord_test_kube::steps! {
        scene = Scene::start().await?;
        finally super::tracing_line("every step is done");
        tokens_are_checked: super::tokens_are_checked(&scene, &scene.requested).await;
        a_chart_becomes_ready: super::a_chart_becomes_ready(&scene).await;
        gateway_api_is_accepted: super::gateway_api_is_accepted(&scene);
        load_balancers_come_and_go: super::load_balancers_come_and_go(&scene).await;
        volumes_grow_and_go: super::volumes_grow_and_go(&scene).await;
        nodes_leave: super::nodes_leave(&scene).await;
        it_stops_and_comes_back: super::stops_and_comes_back(scene).await;
    }
}

fn tracing_line(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

async fn tokens_are_checked(scene: &Scene, requested: &Mutex<BTreeSet<String>>) -> Result<()> {
    let may = async |token: &str| {
        // Trusts only the cluster's own authority, which proves that the certificate is right.
        let mut config = client_config(scene.control_plane.endpoint(), scene.control_plane.ca_pem())?;
        config.auth_info.token = Some(token.to_owned().into());
        let review = json!({ "spec": { "resourceAttributes": { "verb": "delete", "resource": "namespaces" } } });
        let review = serde_json::from_value::<SelfSubjectAccessReview>(review)?;
        let reviews: Api<SelfSubjectAccessReview> = Api::all(Client::try_from(config)?);
        anyhow::Ok(reviews.create(&PostParams::default(), &review).await)
    };
    let good = may("good").await??;
    ensure!(good.status.is_some_and(|status| status.allowed), "the good token is a master's");
    match may("bad").await? {
        Err(kube::Error::Api(status)) => ensure!(status.code == 401, "{status:?}"),
        other => bail!("a bad token was admitted: {other:?}"),
    }
    let admin = may(scene.control_plane.admin_token()).await??;
    ensure!(admin.status.is_some_and(|status| status.allowed), "the administrator is a master");
    let requested = requested.lock().clone();
    ensure!(requested == ["bad", "good"].map(String::from).into(), "reviews of {requested:?}");
    Ok(())
}

fn run(program: &Path, scene: &Scene, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", scene.control_plane.admin_kubeconfig_path())
        .env("HOME", scene.folder.path())
        .output()?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {arguments:?}: {shown}", program.display());
    Ok(shown)
}

const CHART: &str = "apiVersion: v2\nname: tiny\nversion: 0.1.0\n";
const TEMPLATES: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: app }
spec:
  serviceName: app
  replicas: 2
  selector: { matchLabels: { app: tiny } }
  template:
    metadata: { labels: { app: tiny } }
    spec:
      containers: [{ name: app, image: "example.com/app:1", volumeMounts: [{ name: data, mountPath: /data }] }]
  volumeClaimTemplates:
  - metadata: { name: data }
    spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1500Mi } } }
---
apiVersion: v1
kind: Service
metadata: { name: front }
spec: { type: LoadBalancer, selector: { app: tiny }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
"#;

async fn a_chart_becomes_ready(scene: &Scene) -> Result<()> {
    let tainted = vec![NodeTaint { key: "only".into(), value: "others".into(), effect: "NoSchedule".into() }];
    add_nodes(&scene.client, &[node("node-1", Vec::new()), node("node-2", tainted)]).await?;
    add_nodes(&scene.client, &[node("node-1", Vec::new())]).await.context("adding what is there already")?;
    let chart = scene.folder.path().join("tiny");
    std::fs::create_dir_all(chart.join("templates"))?;
    std::fs::write(chart.join("Chart.yaml"), CHART)?;
    std::fs::write(chart.join("templates/all.yaml"), TEMPLATES)?;
    let chart = chart.display().to_string();
    run(&scene.artifacts.helm, scene, &["install", "tiny", &chart, "-n", "shop", "--create-namespace"])?;
    ensure!(scene.artifacts.helm_version.starts_with("v4."), "{}", scene.artifacts.helm_version);

    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), "shop");
    eventually("two Ready pods on the node without a taint", async || {
        let ready = pods.list(&ListParams::default()).await?.items.into_iter().filter(|pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
            ready.next().is_some() && pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some("node-1"))
        });
        Ok((ready.count() == 2).then_some(()))
    })
    .await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(scene.client.clone(), "shop");
    let claim = claims.get("data-app-0").await?.status.context("the claim's status")?;
    ensure!(claim.phase.as_deref() == Some("Bound"), "{claim:?}");
    let volumes = scene.cloud.volumes.lock().clone();
    let volume = volumes.values().find(|volume| volume.claim == "data-app-0").context("the volume in the cloud")?;
    ensure!(volume.size_bytes == 2 << 30, "1500Mi are two whole GiB: {volume:?}");
    ensure!(volume.zone.as_deref() == Some("zone-a") && volume.namespace == "shop", "{volume:?}");
    Ok(())
}

fn gateway_api_is_accepted(scene: &Scene) -> Result<()> {
    let crds = scene.artifacts.gateway_crds.display().to_string();
    run(&scene.artifacts.kubebox, scene, &["kubectl", "apply", "--server-side", "-f", &crds])?;
    let route = scene.folder.path().join("route.yaml");
    std::fs::write(
        &route,
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r, namespace: shop }\n\
         spec: { parentRefs: [{ name: g }], rules: [{ backendRefs: [{ name: front, port: 80 }] }] }\n",
    )?;
    let wait = ["kubectl", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    run(&scene.artifacts.kubebox, scene, &wait)?;
    run(&scene.artifacts.kubebox, scene, &["kubectl", "apply", "-f", &route.display().to_string()])?;
    Ok(())
}

async fn load_balancers_come_and_go(scene: &Scene) -> Result<()> {
    let services: Api<Service> = Api::namespaced(scene.client.clone(), "shop");
    let hostname = |service: &Service| -> Option<String> {
        let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
        balancer.ingress.as_ref()?.first()?.hostname.clone()
    };
    let service = eventually("an address", async || {
        let service = services.get("front").await?;
        Ok(hostname(&service).is_some().then_some(service))
    })
    .await?;
    ensure!(hostname(&service).as_deref() == Some("front.lb.example.com"));
    let finalizers = service.metadata.finalizers.unwrap_or_default();
    ensure!(finalizers == ["service.kubernetes.io/load-balancer-cleanup"], "{finalizers:?}");
    {
        let all = scene.cloud.load_balancers.lock();
        let (request, _) = all.values().next().context("the load balancer in the cloud")?;
        ensure!(request.ports[0].port == 80 && request.ports[0].node_port.is_some(), "{request:?}");
    }
    // Another type: the load balancer goes, the Service stays.
    let patch = Patch::Merge(json!({ "spec": { "type": "ClusterIP" } }));
    services.patch("front", &PatchParams::default(), &patch).await?;
    eventually("the Service without an address", async || {
        let service = services.get("front").await?;
        let freed = service.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
        Ok((freed && hostname(&service).is_none()).then_some(()))
    })
    .await?;
    ensure!(scene.cloud.load_balancers.lock().is_empty());
    // Back again, and deleted.
    let patch = Patch::Merge(json!({ "spec": { "type": "LoadBalancer" } }));
    services.patch("front", &PatchParams::default(), &patch).await?;
    eventually("an address again", async || Ok(hostname(&services.get("front").await?))).await?;
    services.delete("front", &DeleteParams::default()).await?;
    eventually("no Service", async || Ok(services.get_opt("front").await?.is_none().then_some(()))).await?;
    ensure!(scene.cloud.load_balancers.lock().is_empty(), "it went before the Service did");
    refusals_are_reported(scene, &services).await
}

async fn refusals_are_reported(scene: &Scene, services: &Api<Service>) -> Result<()> {
    let service = serde_json::from_value(json!({
        "metadata": { "name": "refused", "annotations": { "example.com/refuse": "yes" } },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
    }))?;
    services.create(&PostParams::default(), &service).await?;
    let events: Api<Event> = Api::namespaced(scene.client.clone(), "shop");
    eventually("an event with the cloud's words", async || {
        let all = events.list(&ListParams::default().fields("involvedObject.name=refused")).await?;
        let shown = |event: &Event| event.message.as_deref() == Some("quota of load balancers is used up");
        Ok(all.items.iter().any(shown).then_some(()))
    })
    .await?;
    services.delete("refused", &DeleteParams::default()).await?;
    Ok(())
}

async fn volumes_grow_and_go(scene: &Scene) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(scene.client.clone(), "shop");
    let patch = Patch::Merge(json!({ "spec": { "resources": { "requests": { "storage": "5Gi" } } } }));
    claims.patch("data-app-0", &PatchParams::default(), &patch).await?;
    eventually("a larger claim", async || {
        let claim = claims.get("data-app-0").await?;
        let size = claim.status.and_then(|status| Some(status.capacity?.get("storage")?.0.clone()));
        Ok((size.as_deref() == Some("5Gi")).then_some(()))
    })
    .await?;
    ensure!(scene.cloud.sizes.lock().values().collect::<Vec<_>>() == [&(5 << 30)]);

    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces.delete("shop", &DeleteParams::default()).await?;
    eventually("no namespace", async || Ok(namespaces.get_opt("shop").await?.is_none().then_some(()))).await?;
    let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
    eventually("no volumes", async || Ok(volumes.list(&ListParams::default()).await?.items.is_empty().then_some(())))
        .await?;
    ensure!(scene.cloud.volumes.lock().is_empty(), "the cloud's volumes went too");
    Ok(())
}

async fn nodes_leave(scene: &Scene) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), "default");
    let pod = serde_json::from_value(json!({
        "metadata": { "name": "alone" },
        "spec": { "containers": [{ "name": "app", "image": "example.com/app:1" }] },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    eventually("a node for the pod", async || Ok(pods.get("alone").await?.spec.and_then(|spec| spec.node_name)))
        .await?;
    let names = ["node-1".to_owned(), "node-2".to_owned(), "never-there".to_owned()];
    remove_nodes(&scene.client, &names).await?;
    eventually("no pod", async || Ok(pods.get_opt("alone").await?.is_none().then_some(()))).await?;
    remove_nodes(&scene.client, &names).await.context("removing what is gone already")?;
    Ok(())
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn stops_and_comes_back(scene: Scene) -> Result<()> {
    let Scene { control_plane, client, options, controllers, folder, servers, .. } = scene;
    controllers.stop().await;
    tracing_line(&memory(&control_plane));
    let names: Api<Namespace> = Api::all(client);
    names.create(&PostParams::default(), &serde_json::from_value(json!({ "metadata": { "name": "kept" } }))?).await?;
    let (endpoint, ca, pids) =
        (control_plane.endpoint().to_owned(), control_plane.ca_pem().to_owned(), control_plane.pids());
    ensure!(control_plane.is_alive() && pids.len() == 5, "{pids:?}");
    let started = Instant::now();
    control_plane.stop().await;
    tracing_line(&format!("stopped after {:?}", started.elapsed()));
    ensure!(pids.iter().all(|pid| !exists(*pid)), "left behind: {pids:?}");

    let again = ControlPlane::start(options).await?;
    ensure!(again.ca_pem() == ca, "the same cluster has the same authority");
    ensure!(again.endpoint() == endpoint, "and its port, which nobody has taken");
    Api::<Namespace>::all(again.kube_client()?).get("kept").await?;
    let pids = again.pids();
    drop(again);
    ensure!(pids.iter().all(|pid| !exists(*pid)), "left behind by dropping: {pids:?}");
    drop((folder, servers));
    Ok(())
}

/// Where the parent of the next test writes its children's ids.
const PIDS_FILE: &str = "LANDLORD_TEST_KUBE_PIDS_FILE";

/// Not a test of its own: the process that `nothing_survives_a_killed_parent` kills. Run with all that is ignored it does nothing.
#[test]
#[ignore = "run by nothing_survives_a_killed_parent in a process of its own"]
fn parent_to_be_killed() -> Result<()> {
    let Some(file) = std::env::var_os(PIDS_FILE) else { return Ok(()) };
    let folder = Path::new(&file).with_file_name("cluster");
    let artifacts = artifacts()?;
    // The runtime ends before the parent does: children must belong to a thread that stays.
    let runtime = tokio::runtime::Runtime::new()?;
    let control_plane = runtime.block_on(ControlPlane::start(ControlPlaneOptions::new(artifacts, folder)))?;
    drop(runtime);
    ensure!(control_plane.is_alive(), "a runtime's end ended the control plane");
    let unfinished = Path::new(&file).with_extension("unfinished");
    std::fs::write(&unfinished, serde_json::to_vec(&control_plane.pids())?)?;
    std::fs::rename(unfinished, file)?;
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn nothing_survives_a_killed_parent() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pids");
    artifacts()?;
    let mut parent = Command::new(std::env::current_exe()?)
        .args(["--exact", "control_plane::parent_to_be_killed", "--ignored"])
        .env(PIDS_FILE, &file)
        .spawn()?;
    let pids = eventually("the ids of the control plane's processes", async || {
        ensure!(parent.try_wait()?.is_none(), "the parent ended by itself");
        Ok(std::fs::read(&file).ok())
    })
    .await;
    let running = pids.and_then(|pids| Ok(serde_json::from_slice::<Vec<u32>>(&pids)?));
    let seen_alive = running.as_ref().is_ok_and(|pids| pids.iter().all(|pid| exists(*pid)));
    parent.kill()?;
    parent.wait()?;
    let pids = running?;
    ensure!(seen_alive && pids.len() == 5, "{pids:?}");
    eventually("none of them", async || Ok(pids.iter().all(|pid| !exists(*pid)).then_some(()))).await
}
