//! A cluster with a cloud kept in memory, and a deployer whose Helm writes down how it is called.

pub(crate) mod deployer;
mod dry_run;
pub(crate) mod shipped;

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
pub(crate) use deployer::{DeployOptions, Deployer, checks};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::ListParams};
use landlord_core::{
    ErrorKind, Failure, TenantSpec, TenantUid,
    environment::SpecInput,
    ports::{Apps as _, DeployTarget, KubeCredentials, KubeIdentity, StageProgress, TargetCluster},
};
use landlord_test_kube::{
    Artifacts, ControlPlane, ControlPlaneOptions, client_config,
    cloud::{CloudBackend, CloudControllers, CloudOptions, LoadBalancerRequest, StorageClassSpec, VolumeRequest},
};
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use shipped::artifacts;
pub(crate) use shipped::stacks;

/// Namespace of the stack.
pub(crate) const NAMESPACE: &str = "ai-fileserver";
/// For anything the cluster does by itself, on a machine that may be compiling meanwhile.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(150);

/// Load balancers and volumes by uid.
#[derive(Default)]
pub(crate) struct MemoryCloud {
    pub(crate) load_balancers: Mutex<BTreeMap<String, String>>,
    pub(crate) volumes: Mutex<BTreeMap<String, String>>,
}

impl MemoryCloud {
    pub(crate) fn left(&self) -> Vec<String> {
        let (balancers, volumes) = (self.load_balancers.lock(), self.volumes.lock());
        balancers.values().chain(volumes.values()).cloned().collect()
    }
}

#[async_trait::async_trait]
impl CloudBackend for MemoryCloud {
    async fn ensure_load_balancer(&self, service: &LoadBalancerRequest) -> Result<Option<String>> {
        self.load_balancers.lock().insert(service.uid.clone(), service.name.clone());
        Ok(Some(format!("{}.lb.example.com", service.name)))
    }

    async fn delete_load_balancer(&self, uid: &str) -> Result<bool> {
        Ok(self.load_balancers.lock().remove(uid).is_none())
    }

    async fn ensure_volume(&self, claim: &VolumeRequest) -> Result<Option<String>> {
        let id = format!("vol-{}", claim.uid);
        self.volumes.lock().insert(id.clone(), claim.claim.clone());
        Ok(Some(id))
    }

    async fn resize_volume(&self, _volume_id: &str, _size_bytes: u64) -> Result<bool> {
        Ok(true)
    }

    async fn delete_volume(&self, volume_id: &str) -> Result<bool> {
        Ok(self.volumes.lock().remove(volume_id).is_none())
    }
}

/// Everything a test works with.
pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) artifacts: Artifacts,
    pub(crate) control_plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) deployer: Deployer,
    pub(crate) cloud: Arc<MemoryCloud>,
}

impl Scene {
    pub(crate) async fn start(removal_timeout: Duration) -> Result<Self> {
        let crds = artifacts()?.gateway_crds;
        Self::start_with(removal_timeout, crds).await
    }

    /// With more arguments for the API server.
    pub(crate) async fn start_with_arguments(removal_timeout: Duration, arguments: Vec<String>) -> Result<Self> {
        let crds = artifacts()?.gateway_crds;
        Self::start_as(removal_timeout, crds, arguments).await
    }

    pub(crate) async fn start_with(removal_timeout: Duration, gateway_crds: PathBuf) -> Result<Self> {
        Self::start_as(removal_timeout, gateway_crds, Vec::new()).await
    }

    async fn start_as(removal_timeout: Duration, gateway_crds: PathBuf, arguments: Vec<String>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let artifacts = artifacts()?;
        let mut options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster"));
        options.extra_apiserver_args = arguments;
        let control_plane = ControlPlane::start(options).await?;
        let client = control_plane.kube_client()?;
        let deployer = Deployer::open(DeployOptions {
            stacks_dir: stacks(),
            helm_path: recorder(folder.path(), &artifacts.helm)?,
            helm_version: ">=4.3.0, <5.0.0".into(),
            state_dir: folder.path().join("state"),
            helm_processes_max: 2,
            gateway_api_crds: Some(gateway_crds),
            removal_timeout,
        })
        .await?;
        Ok(Self { folder, artifacts, control_plane, client, deployer, cloud: Arc::default() })
    }

    /// What a cloud does in the cluster, whose storage class is the default.
    pub(crate) async fn controllers(&self) -> Result<CloudControllers> {
        let backend: Arc<dyn CloudBackend> = Arc::clone(&self.cloud) as _;
        let classes = vec![StorageClassSpec::new("fast", "disk.example.com")];
        Ok(CloudControllers::start(self.client.clone(), backend, CloudOptions::new(classes)).await?)
    }

    /// Another daemon's deployer, on the same machine.
    pub(crate) async fn another_deployer(
        &self,
        name: &str,
        stacks_dir: PathBuf,
        gateway_crds: PathBuf,
    ) -> Result<Deployer> {
        let options = DeployOptions {
            stacks_dir,
            helm_path: self.artifacts.helm.clone(),
            helm_version: ">=4.3.0, <5.0.0".into(),
            state_dir: self.folder.path().join(name),
            helm_processes_max: 2,
            gateway_api_crds: Some(gateway_crds),
            removal_timeout: Duration::from_secs(20),
        };
        Ok(Deployer::open(options).await?)
    }

    pub(crate) fn target(&self, storage_gib: i64, stack_values: &Value) -> DeployTarget {
        let spec = TenantSpec::parse(SpecInput {
            domain: "acme.example.com".into(),
            storage_gib,
            stack_values: stack_values.as_object().cloned().unwrap_or_default(),
            ..SpecInput::default()
        });
        DeployTarget {
            kube: KubeCredentials {
                endpoint: self.control_plane.endpoint().into(),
                ca_pem: self.control_plane.ca_pem().into(),
                identity: KubeIdentity::Token(self.control_plane.admin_token().to_owned().into()),
                expire_time: None,
            },
            cluster: TargetCluster::OwnCluster,
            installation: "test".into(),
            uid: TenantUid(uuid::Uuid::from_u128(7)),
            name: "customers/acme/tenants/prod".parse().unwrap(),
            spec: spec.unwrap(),
            generation: 1,
            was_ready: false,
            stack: Some("ai-fileserver".parse().unwrap()),
            name_servers: Vec::new(),
            // No container runs.
            skip_checks: ["names", "certificates", "files", "chat"].map(str::to_owned).into(),
            checks_from: landlord_core::ChecksFrom::default(),
            revision: None,
        }
    }

    /// All releases in order, each until it is ready.
    pub(crate) async fn releases_ready(&self, target: &DeployTarget) -> Result<()> {
        let stack = target.stack.as_ref().unwrap();
        for release in self.deployer.apps.releases(stack, None)? {
            done(release.app.as_str(), async || Ok(self.deployer.apps.ensure_release(target, &release.app).await?))
                .await?;
        }
        Ok(())
    }

    /// Helm's records as release → (newest revision, its status).
    pub(crate) async fn records(&self) -> Result<BTreeMap<String, (u64, String)>> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut records = BTreeMap::<String, (u64, String)>::new();
        for secret in secrets.list(&ListParams::default().labels("owner=helm")).await?.items {
            let labels = secret.metadata.labels.unwrap_or_default();
            let version = labels["version"].parse()?;
            let record = records.entry(labels["name"].clone()).or_default();
            if version > record.0 {
                *record = (version, labels["status"].clone());
            }
        }
        Ok(records)
    }

    /// The real Helm with the administrator's access.
    pub(crate) fn helm(&self) -> Command {
        let mut command = Command::new(&self.artifacts.helm);
        command.env("KUBECONFIG", self.control_plane.admin_kubeconfig_path()).env("HOME", self.folder.path());
        command
    }

    pub(crate) fn helm_output(&self, arguments: &[&str]) -> Result<String> {
        let output = self.helm().args(arguments).output()?;
        let reported = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(reported)
    }

    /// Arguments, environment and values files of all of the deployer's Helm runs.
    pub(crate) fn recorded(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("recorded"))?)
    }
}

/// Helm behind a script that writes down arguments, environment and values, and apart from them the access it got.
fn recorder(folder: &Path, helm: &Path) -> Result<PathBuf> {
    let path = folder.join("helm");
    let script = format!(
        "#!/bin/sh\n{{ printf '%s\\n' \"$@\"; /usr/bin/env; [ -f values.json ] && /bin/cat values.json; }} >> '{}'\n\
         [ -f kubeconfig ] && /bin/cat kubeconfig >> '{}'\nexec '{}' \"$@\"\n",
        folder.join("recorded").display(),
        folder.join("accesses").display(),
        helm.display()
    );
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
    Ok(path)
}

/// A client with access that was handed out.
pub(crate) fn client_of(access: &KubeCredentials) -> Result<Client> {
    let KubeIdentity::Token(token) = &access.identity else { bail!("{access:?}") };
    client_with(access, Some(token.expose_secret()))
}

/// The same as whoever has another token; `None`: as nobody.
pub(crate) fn client_with(access: &KubeCredentials, token: Option<&str>) -> Result<Client> {
    let mut config = client_config(&access.endpoint, &access.ca_pem)?;
    config.auth_info.token = token.map(|token| token.to_owned().into());
    Ok(Client::try_from(config)?)
}

/// Calls until done. Throttling delays and never fails, as for the engine: an API server that has just got new kinds
/// responds so.
pub(crate) async fn done(what: &str, mut call: impl AsyncFnMut() -> Result<StageProgress>) -> Result<()> {
    let throttled = |error: &anyhow::Error| {
        error.downcast_ref::<Failure>().filter(|failure| failure.kind == ErrorKind::Throttled).map(ToString::to_string)
    };
    eventually(what, async || match call().await {
        Ok(StageProgress::Done) => Ok(Ok(())),
        Ok(StageProgress::Pending { detail, .. }) => Ok(Err(detail)),
        Err(error) => throttled(&error).map_or(Err(error), |reported| Ok(Err(reported))),
    })
    .await
}

/// Checks until nothing is left to object to.
pub(crate) async fn eventually(what: &str, mut observe: impl AsyncFnMut() -> Result<Result<(), String>>) -> Result<()> {
    let started = Instant::now();
    loop {
        let Err(why) = observe().await.with_context(|| what.to_owned())? else { return Ok(()) };
        if started.elapsed() > TIMEOUT {
            bail!("not within {TIMEOUT:?}: {what}: {why}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
