//! The platform's metrics-server: the real program with the chart's own arguments, behind the API server's aggregation. When it is
//! gone Kubernetes ends no namespace, and whoever removes a tenant reads which API is in the way.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use landlord_core::{
    TenantUid,
    isolation::{IsolationSettings, SharedTarget},
    ports::{DeployTarget, Isolation as _, StageProgress, TargetCluster},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::{
    monitoring::rendered,
    support::{Scene, done, eventually},
};

const API: &str = "v1beta1.metrics.k8s.io";

/// By what aggregated servers know that a request comes from the API server.
fn front_proxy(folder: &Path) -> Result<Vec<String>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "front-proxy-ca");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut client = CertificateParams::new(Vec::new())?;
    client.distinguished_name.push(DnType::CommonName, "front-proxy-client");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let client = client.signed_by(&key, &authority)?;
    let file = |name: &str, text: String| -> Result<String> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    Ok(vec![
        format!("--requestheader-client-ca-file={}", file("front-proxy-ca.crt", authority.pem())?),
        format!("--proxy-client-cert-file={}", file("front-proxy.crt", client.pem())?),
        format!("--proxy-client-key-file={}", file("front-proxy.key", key.serialize_pem())?),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
    ])
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With the chart's arguments, but for where it listens and who it is: no pod and no service account here.
fn start(program: &Path, scene: &Scene, objects: &[Value], port: u16) -> Result<Program> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").context("no Deployment")?;
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("no args")?;
    let own = ["--secure-port", "--tls-cert-file", "--tls-private-key-file"];
    let kept = arguments.iter().filter_map(Value::as_str).filter(|argument| {
        let name = argument.split('=').next().unwrap_or_default();
        !own.contains(&name)
    });
    let kubeconfig = scene.control_plane.admin_kubeconfig_path().display().to_string();
    let log = std::fs::File::create(scene.folder.path().join("metrics-server.log"))?;
    let child = Command::new(program)
        .args(kept)
        .args([format!("--secure-port={port}"), "--bind-address=127.0.0.1".into()])
        .arg(format!("--cert-dir={}", scene.folder.path().join("metrics-server").display()))
        .args(["", "authentication-", "authorization-"].map(|whose| format!("--{whose}kubeconfig={kubeconfig}")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(Program(child))
}

fn api(client: &Client, group: &str, version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// The chart's APIService, whose Service leads to this machine.
async fn aggregate(client: &Client, objects: &[Value], port: u16) -> Result<()> {
    let mut service = objects.iter().find(|object| object["kind"] == "APIService").context("no APIService")?.clone();
    let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, namespace) = (text("/spec/service/name"), text("/spec/service/namespace"));
    service["spec"]["service"]["port"] = json!(port);
    service["spec"]["insecureSkipTLSVerify"] = json!(true);
    let make = async |api: Api<DynamicObject>, body: Value| -> Result<()> {
        api.create(&PostParams::default(), &serde_json::from_value(body)?).await?;
        Ok(())
    };
    let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    make(api(client, "", "v1", "Namespace", None), space).await?;
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    });
    make(api(client, "", "v1", "Service", Some(&namespace)), body).await?;
    make(api(client, "apiregistration.k8s.io", "v1", "APIService", None), service).await
}

/// What the API server says of the aggregated API.
async fn available(client: &Client) -> Result<(bool, String)> {
    let found = api(client, "apiregistration.k8s.io", "v1", "APIService", None).get(API).await?;
    let conditions = found.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let available = conditions.into_iter().find(|condition| condition["type"] == "Available").unwrap_or_default();
    Ok((available["status"] == "True", available["message"].as_str().unwrap_or("nothing yet").to_owned()))
}

fn tenant(scene: &Scene) -> DeployTarget {
    let mut target = scene.target(10, &json!({}));
    target.uid = TenantUid(uuid::Uuid::new_v4());
    let place = SharedTarget::namespace(target.uid, IsolationSettings::default());
    target.cluster = TargetCluster::Shared(Box::new(place));
    target
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo xtask test --long"]
async fn long_the_metrics_server_serves_its_api_and_is_named_when_it_is_gone() -> Result<()> {
    let program = tokio::task::spawn_blocking(|| landlord_test_kube::metrics_server(&mut |_| {})).await??;
    let folder = tempfile::tempdir()?;
    let scene = Scene::start_with_arguments(Duration::from_secs(5), front_proxy(folder.path())?).await?;
    let objects = rendered("metrics-server", &json!({}))?;
    let port = landlord_test_kube::free_port()?;
    let server = start(&program, &scene, &objects, port)?;
    let log = || std::fs::read_to_string(scene.folder.path().join("metrics-server.log")).unwrap_or_default();
    aggregate(&scene.client, &objects, port).await?;
    eventually("the API is served", async || match available(&scene.client).await? {
        (true, _) => Ok(Ok(())),
        (false, why) => Ok(Err(why)),
    })
    .await
    .with_context(log)?;
    let request = http::Request::get("/apis/metrics.k8s.io/v1beta1").body(Vec::new())?;
    let listed: Value = scene.client.request(request).await?;
    let names: Vec<&str> =
        listed["resources"].as_array().into_iter().flatten().filter_map(|r| r["name"].as_str()).collect();
    ensure!(names == ["nodes", "pods"], "{listed}");

    let tenant = tenant(&scene);
    done("isolation", async || Ok(scene.deployer.isolation.ensure(&tenant).await?)).await?;
    drop(server);
    eventually("it is gone", async || match available(&scene.client).await? {
        (false, _) => Ok(Ok(())),
        (true, _) => Ok(Err("it is served".into())),
    })
    .await?;
    let mut reported = Vec::new();
    done("removed", async || {
        let (progress, _) = scene.deployer.isolation.remove(&tenant).await?;
        if let StageProgress::Pending { detail, .. } = &progress {
            reported.push(detail.clone());
        }
        Ok(progress)
    })
    .await?;
    let named =
        reported.iter().any(|detail| detail.contains("do not respond") && detail.contains("metrics.k8s.io/v1beta1"));
    ensure!(named, "{reported:#?}");
    Ok(())
}
