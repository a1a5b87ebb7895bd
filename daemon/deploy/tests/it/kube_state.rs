//! What the rules over tenants read: the real kube-state-metrics, with the chart's arguments and the token of the account that the
//! chart gives it, on a real control plane with namespaces as landlord makes them. The real Prometheus scrapes it, and an app of a
//! tenant that has no pods is an alert at the receiver, by its customer.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    authentication::v1::TokenRequest,
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{Namespace, Node, Pod, Secret, ServiceAccount},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    TenantUid,
    isolation::{IsolationSettings, SharedTarget},
    ports::{Apps as _, DeployTarget, Isolation as _, KubeCredentials, KubeIdentity, TargetCluster},
};
use landlord_kube::object::resource;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    monitoring::{Outside, Program, Targets, configure, free_address, get, platform, rendered},
    support::{NAMESPACE, Scene, client_of, done, eventually, shipped::environment},
};

const OF_METRICS: &str = "landlord-metrics";
/// Of the chart, rendered as the release `metrics`.
const KUBE_STATE: &str = "metrics-kube-state";
const PROMETHEUS: &str = "metrics-prometheus";

async fn create<K>(api: Api<K>, body: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(body)?).await?;
    Ok(())
}

/// Accounts and rights of the chart, and the namespaces that they are for.
async fn grant(client: &Client, objects: &[Value]) -> Result<()> {
    for name in [OF_METRICS, "cert-manager", "envoy-gateway-system", "landlord-gateway"] {
        let labels = json!({ "landlord-installation": "test", "landlord-role": "platform" });
        create(Api::<Namespace>::all(client.clone()), json!({ "metadata": { "name": name, "labels": labels } }))
            .await?;
    }
    for object in objects {
        let (kind, version) = (object["kind"].as_str().unwrap_or_default(), object["apiVersion"].as_str());
        let of = resource(version.unwrap_or_default(), kind);
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(OF_METRICS);
        let api: Api<DynamicObject> = match kind {
            "ServiceAccount" | "Role" | "RoleBinding" => Api::namespaced_with(client.clone(), namespace, &of),
            "ClusterRole" | "ClusterRoleBinding" => Api::all_with(client.clone(), &of),
            _ => continue,
        };
        create(api, object.clone()).await.with_context(|| format!("{kind} {}", object["metadata"]["name"]))?;
    }
    Ok(())
}

/// As a pod of the account has it.
async fn token(client: &Client, account: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), OF_METRICS);
    let made = accounts.create_token_request(account, &PostParams::default(), &TokenRequest::default()).await?;
    made.status.and_then(|status| status.token).context("no token")
}

/// Kube-state-metrics with the chart's arguments, but for where it listens, and with the account's own token.
fn start(program: &Path, scene: &Scene, objects: &[Value], token: &str, ports: [&str; 2]) -> Result<Program> {
    let named = |object: &&Value| object["kind"] == "Deployment" && object["metadata"]["name"] == KUBE_STATE;
    let deployment = objects.iter().find(named).context("no Deployment")?;
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("no args")?;
    let kept = arguments.iter().filter_map(Value::as_str).filter(|argument| !argument.starts_with("--port="));
    let admin = scene.control_plane.admin_kubeconfig_yaml();
    let kubeconfig = scene.folder.path().join("kube-state.kubeconfig");
    std::fs::write(&kubeconfig, admin.replace(scene.control_plane.admin_token(), token))?;
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let child = Command::new(program)
        .args(kept)
        .args(["--host=127.0.0.1", "--telemetry-host=127.0.0.1"])
        .args([format!("--port={}", port(ports[0])), format!("--telemetry-port={}", port(ports[1]))])
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log(scene))?)
        .spawn()?;
    Ok(Program(child))
}

fn log(scene: &Scene) -> PathBuf {
    scene.folder.path().join("kube-state-metrics.log")
}

/// Names of kube-state-metrics' series that rules and dashboards ask for.
fn asked_for() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in ["charts/metrics/files/rules.yaml", "dashboards/environments.grafana.json"] {
        let text = std::fs::read_to_string(platform().join(file))?;
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        names.extend(words.filter(|word| word.starts_with("kube_")).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    ensure!(names.len() > 8, "{names:?}");
    Ok(names)
}

/// A tenant of a cluster for many.
fn neighbour(scene: &Scene) -> (DeployTarget, String) {
    let mut target = scene.target(10, &json!({}));
    target.uid = TenantUid(uuid::Uuid::from_u128(8));
    target.name = "customers/globex/tenants/prod".parse().unwrap();
    let place = SharedTarget::namespace(target.uid, IsolationSettings::default());
    let namespace = place.namespace.to_string();
    target.cluster = TargetCluster::Shared(Box::new(place));
    (target, namespace)
}

/// Both tenants' namespaces as landlord makes them, and an app in the first one's whose pod finds no node.
async fn tenants(scene: &Scene) -> Result<String> {
    let default = json!({
        "metadata": { "name": "fast", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "disk.example.com",
    });
    create(Api::<StorageClass>::all(scene.client.clone()), default).await?;
    let own = scene.target(10, &json!({}));
    done("base", async || Ok(scene.deployer.apps.ensure_base(&own).await?)).await?;
    let (shared, namespace) = neighbour(scene);
    done("isolation", async || Ok(scene.deployer.isolation.ensure(&shared).await?)).await?;
    let labels = json!({ "app": "chat" });
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "i:1" }] } });
    let spec = json!({ "selector": { "matchLabels": labels }, "template": template });
    let app = json!({ "metadata": { "name": "chat" }, "spec": &spec });
    create(Api::<Deployment>::namespaced(scene.client.clone(), NAMESPACE), app).await?;
    // It says nothing of a kind of which there is none.
    let mut of_node = json!({ "metadata": { "name": "of-node" }, "spec": spec });
    of_node["spec"]["template"]["spec"]["nodeSelector"] = json!({ "none": "has-it" });
    create(Api::<DaemonSet>::namespaced(scene.client.clone(), OF_METRICS), of_node).await?;
    let mut numbered = json!({ "metadata": { "name": "numbered" }, "spec": spec });
    numbered["spec"]["replicas"] = json!(0);
    numbered["spec"]["serviceName"] = json!("numbered");
    create(Api::<StatefulSet>::namespaced(scene.client.clone(), OF_METRICS), numbered).await?;
    let node =
        json!({ "metadata": { "name": "full" }, "spec": { "taints": [{ "key": "full", "effect": "NoSchedule" }] } });
    create(Api::<Node>::all(scene.client.clone()), node).await?;
    restarted(&scene.client).await?;
    Ok(namespace)
}

/// A pod that ran and began again, as a kubelet would report it.
async fn restarted(client: &Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), OF_METRICS);
    let container = json!({ "name": "c", "image": "i:1" });
    let spec = json!({ "nodeName": "full", "automountServiceAccountToken": false, "containers": [container] });
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "restarted" }, "spec": spec }))?;
    eventually("its namespace has a default account", async || {
        Ok(pods.create(&PostParams::default(), &pod).await.map(drop).map_err(|error| error.to_string()))
    })
    .await?;
    let began = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
    let of_container =
        json!({ "name": "c", "image": "i:1", "imageID": "i", "ready": true, "restartCount": 2, "state": began });
    let status = json!({ "status": { "phase": "Running", "containerStatuses": [of_container] } });
    pods.patch_status("restarted", &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// What the chart lets Prometheus read, tried with its token: nodes, pods of the platform, and nothing of a tenant's.
async fn prometheus_reads_the_platform_and_no_tenant(scene: &Scene, tenant: &str) -> Result<()> {
    let access = KubeCredentials {
        endpoint: scene.control_plane.endpoint().into(),
        ca_pem: scene.control_plane.ca_pem().into(),
        identity: KubeIdentity::Token(token(&scene.client, PROMETHEUS).await?.into()),
        expire_time: None,
    };
    let client = client_of(&access)?;
    Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    for namespace in [OF_METRICS, "cert-manager", "envoy-gateway-system", "landlord-gateway"] {
        Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default()).await?;
    }
    for namespace in [NAMESPACE, tenant] {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default()).await;
        ensure!(matches!(pods, Err(kube::Error::Api(ref status)) if status.code == 403), "{namespace}: {pods:?}");
    }
    let secrets = Api::<Secret>::namespaced(client.clone(), OF_METRICS).list(&ListParams::default()).await;
    ensure!(matches!(secrets, Err(kube::Error::Api(ref status)) if status.code == 403), "{secrets:?}");
    let scrape = json!({ "resourceAttributes": { "verb": "get", "resource": "nodes", "subresource": "metrics" } });
    let review: SelfSubjectAccessReview = serde_json::from_value(json!({ "metadata": {}, "spec": scrape }))?;
    let judged = Api::<SelfSubjectAccessReview>::all(client).create(&PostParams::default(), &review).await?;
    ensure!(judged.status.as_ref().is_some_and(|status| status.allowed), "{judged:?}");
    Ok(())
}

/// Whose the namespaces are, by what kube-state-metrics says of their labels.
fn named(metrics: &str, namespace: &str, labels: &[(&str, &str)]) -> Result<(), String> {
    let of = format!("kube_namespace_labels{{namespace=\"{namespace}\"");
    let line = metrics.lines().find(|line| line.starts_with(&of)).ok_or_else(|| format!("nothing of {namespace}"))?;
    let lacks = |(key, value): &&(&str, &str)| !line.contains(&format!("{key}=\"{value}\""));
    labels.iter().find(lacks).map_or(Ok(()), |missing| Err(format!("{missing:?} is missing: {line}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo xtask test --long"]
async fn long_an_app_without_pods_is_an_alert_by_its_customer_from_the_cluster_to_the_receiver() -> Result<()> {
    let program = tokio::task::spawn_blocking(|| landlord_test_kube::kube_state_metrics(&mut |_| {})).await??;
    let programs = tokio::task::spawn_blocking(landlord_test_kube::prometheus).await??;
    let scene = Scene::start(Duration::from_secs(5)).await?;
    let objects = rendered("metrics", &json!({ "environment": environment() }))?;
    grant(&scene.client, &objects).await?;
    let tenant = tenants(&scene).await?;
    let (metrics, telemetry) = (free_address()?, free_address()?);
    let token = token(&scene.client, KUBE_STATE).await?;
    let _program = start(&program, &scene, &objects, &token, [&metrics, &telemetry])?;
    let written = || std::fs::read_to_string(log(&scene)).unwrap_or_default();
    // The chart's probes.
    for (address, path) in [(&telemetry, "/readyz"), (&metrics, "/livez")] {
        eventually(path, async || {
            Ok(match get(address, path).await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            })
        })
        .await
        .with_context(written)?;
    }
    let uid = neighbour(&scene).0.uid.to_string();
    eventually("namespaces are named by their tenants", async || {
        let (_, text) = get(&metrics, "/metrics").await?;
        let own = named(&text, NAMESPACE, &[("label_landlord_dev_customer", "acme"), ("label_landlord_role", "apps")]);
        let shared = [("label_landlord_dev_customer", "globex"), ("label_landlord_tenant_uid", uid.as_str())];
        let platform = named(&text, OF_METRICS, &[("label_landlord_role", "platform")]);
        Ok(own.and_then(|()| named(&text, &tenant, &shared)).and(platform))
    })
    .await
    .with_context(written)?;
    let asked = asked_for()?;
    eventually("kube-state-metrics knows what rules ask for", async || {
        let (_, text) = get(&metrics, "/metrics").await?;
        let unknown: Vec<&String> = asked.iter().filter(|name| !text.contains(&format!("# TYPE {name} "))).collect();
        Ok(if unknown.is_empty() { Ok(()) } else { Err(format!("{unknown:?}")) })
    })
    .await
    .with_context(written)?;
    ensure!(!written().contains("forbidden"), "its account may not do what it needs: {}", written());
    prometheus_reads_the_platform_and_no_tenant(&scene, &tenant).await?;

    let outside = Arc::new(Outside::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(Arc::clone(&outside).serve(listener));
    let targets = Targets { outside: &address, kube_state: &metrics, node: None };
    let config = configure(scene.folder.path(), &targets)?;
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", scene.folder.path().join("samples").display()),
        format!("--web.listen-address={}", free_address()?),
    ];
    let _prometheus = Program::start(&programs.join("prometheus"), &arguments)?;
    eventually("the alert is at its receiver", async || Ok(outside.alert().map(drop))).await?;
    let labels = outside.alert().map_err(anyhow::Error::msg)?["labels"].clone();
    let own = scene.target(10, &json!({})).uid.to_string();
    for (key, value) in [("customer", "acme"), ("tenant_uid", own.as_str()), ("app", "chat"), ("namespace", NAMESPACE)]
    {
        ensure!(labels[key] == value, "{key}: {labels}");
    }
    serving.abort_all();
    Ok(())
}
