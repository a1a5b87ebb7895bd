//! The port's implementation: finds stack and client, hands over to the modules.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use landlord_core::{
    AppName, ErrorKind, Failure, Measured, StackName,
    ports::{CloudAccount, DeployTarget, Deployer, HostLeft, KubeCredentials, ReleasePlan, StageProgress, Verified},
    stage::RemovedObject,
};

use crate::{
    accounts, apply,
    base::{self, Crds, Routing},
    capacity,
    client::{self, Both, Clients},
    error::{Error, Result},
    guardrails::{access, enforce, leave, remove},
    helm::{Helm, Place},
    render,
    stack::{self, Stack},
    teardown, verify,
};

/// Pods and load balancers change within seconds; an API server bears a look each second.
const POLL_AFTER: Duration = Duration::from_secs(1);
/// The Gateway API's CRDs have about 1 MB.
const CRDS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How the deploy stage is set up.
#[derive(Debug, Clone)]
pub struct DeployOptions {
    /// Folder with a folder for each stack.
    pub stacks_dir: PathBuf,
    /// The Helm binary.
    pub helm_path: PathBuf,
    /// Versions of it that are fit, as a semver requirement.
    pub helm_version: String,
    /// Helm's runs: short-lived private files.
    pub state_dir: PathBuf,
    /// Helm processes at the same moment; each takes 100 to 200 MB.
    pub helm_processes_max: u32,
    /// YAML file with the Gateway API's CRDs, applied to tenants' clusters, and to host clusters that have none.
    pub gateway_api_crds: Option<PathBuf>,
    /// How long an ending namespace on a shared cluster is left to Kubernetes: [`REMOVAL_PATIENCE`](crate::REMOVAL_PATIENCE),
    /// but for tests.
    pub removal_patience: Duration,
}

/// Deploys stacks with Helm, and judges them through the API server.
pub struct HelmDeployer {
    helm: Helm,
    stacks: BTreeMap<StackName, Stack>,
    crds: Option<Crds>,
    clients: Clients,
    removal_patience: Duration,
}

impl HelmDeployer {
    /// Reads the stacks and checks Helm. Two deployers must not share a `state_dir`.
    ///
    /// # Errors
    /// A stack that does not fit, an unfit Helm, unusable files; each says what to do.
    pub async fn open(options: DeployOptions) -> Result<Self> {
        let stacks = stack::load_all(&options.stacks_dir)?;
        let crds = options.gateway_api_crds.as_deref().map(read_crds).transpose()?;
        let helm =
            Helm::open(&options.helm_path, &options.helm_version, &options.state_dir, options.helm_processes_max)
                .await?;
        Ok(Self { helm, stacks, crds, clients: Clients::default(), removal_patience: options.removal_patience })
    }

    /// Everything that would be applied for a target, as YAML by where it comes from: guardrails with the host cluster's
    /// policies on a shared cluster, and each release. For reviewers and scanners; talks to no cluster, and takes the
    /// Gateway API and mutating policies for granted.
    ///
    /// # Errors
    /// Unknown stack, a chart that does not render.
    pub async fn manifests(&self, target: &DeployTarget) -> Result<Vec<(String, String)>> {
        let stack = self.stack(&target.stack)?;
        let mut all = Vec::new();
        if let Some(place) = target.place.shared() {
            let gateway = stack.manifest.gateway.as_ref().map(|gateway| gateway.namespace.as_str());
            all.push(("guardrails".to_owned(), enforce::manifest(target, place, gateway)));
        }
        for release in &stack.manifest.releases {
            let chart = stack.chart(release);
            let routing = if release.gateway { Routing::ListenerSets } else { Routing::Unknown };
            let rendered = render::release(target, &stack.manifest, release, &chart, routing)?;
            let namespace = render::namespace(target, &stack.manifest);
            let place = Place { access: &target.kube, namespace, release: release.name.as_str() };
            let text = self.helm.template(place, &chart, &rendered.values).await?;
            all.push((release.name.to_string(), text));
        }
        Ok(all)
    }

    fn stack(&self, name: &StackName) -> Result<&Stack> {
        self.stacks.get(name).ok_or_else(|| Error::UnknownStack {
            name: name.to_string(),
            known: self.stacks.keys().map(StackName::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    fn prepare(&self, target: &DeployTarget) -> Result<(&Stack, Both)> {
        let own = self.clients.get(&target.kube)?;
        let apps = match target.place.shared() {
            None => own.clone(),
            Some(place) => client::acting_as(&own, &access::deployer_user(place))?,
        };
        Ok((self.stack(&target.stack)?, Both { own, apps }))
    }

    /// A client whose token was refused is not used again.
    fn report<T>(&self, kube: &KubeCredentials, result: Result<T>) -> Result<T, Failure> {
        result.map_err(|error| {
            let failure = Failure::from(error);
            if failure.kind == ErrorKind::Auth {
                self.clients.forget(kube);
            }
            failure
        })
    }
}

fn read_crds(path: &Path) -> Result<Crds> {
    let problem = |problem: String| Error::Stack { path: path.to_owned(), problem };
    let size = std::fs::metadata(path).map_err(Error::file("read", path))?.len();
    if size > CRDS_BYTES_MAX {
        return Err(problem(format!("has {size} bytes, at most {CRDS_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    Crds::parse(&text).map_err(problem)
}

/// Not done; worth another look soon.
pub(crate) fn pending(detail: impl Into<String>) -> StageProgress {
    StageProgress::Pending { poll_after: POLL_AFTER, detail: detail.into() }
}

#[async_trait]
impl Deployer for HelmDeployer {
    fn releases(&self, stack: &StackName) -> Result<Vec<ReleasePlan>, Failure> {
        Ok(self.stack(stack)?.plan())
    }

    async fn ensure_guardrails(&self, target: &DeployTarget) -> Result<StageProgress, Failure> {
        let Some(place) = target.place.shared() else { return Ok(StageProgress::Done) };
        let work = async {
            let client = self.clients.get(&target.kube)?;
            // A namespace is fenced also for a class without a stack; one that is unknown is told by the base.
            let gateway = self.stacks.get(&target.stack).and_then(|stack| stack.manifest.gateway.as_ref());
            enforce::ensure(&client, target, place, gateway, self.crds.as_ref()).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn remove_namespace(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        let Some(place) = target.place.shared() else { return Ok((StageProgress::Done, Vec::new())) };
        let work = async {
            let client = self.clients.get(&target.kube)?;
            remove::remove(&client, target, place, self.removal_patience).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn leave_host(&self, kube: &KubeCredentials, installation: &str) -> Result<HostLeft, Failure> {
        let work = async { leave::leave(&self.clients.get(kube)?, installation).await };
        let result = work.await;
        self.report(kube, result)
    }

    async fn customer_kubeconfig(&self, target: &DeployTarget, lifetime: Duration) -> Result<KubeCredentials, Failure> {
        let work = async {
            let place = target.place.shared().ok_or(Error::NotShared)?;
            let client = self.clients.get(&target.kube)?;
            access::customer(&client, &target.kube, place, lifetime).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn measure(&self, kube: &KubeCredentials, installation: &str) -> Result<Measured, Failure> {
        let work = async { capacity::measure(&self.clients.get(kube)?, installation).await };
        let result = work.await;
        self.report(kube, result)
    }

    async fn ensure_base(&self, target: &DeployTarget) -> Result<StageProgress, Failure> {
        let work = async {
            let (stack, clients) = self.prepare(target)?;
            base::ensure(&clients, target, &stack.manifest, self.crds.as_ref()).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn ensure_accounts(
        &self,
        target: &DeployTarget,
        accounts: &[CloudAccount],
    ) -> Result<StageProgress, Failure> {
        if target.place.shared().is_some() {
            return Ok(StageProgress::Done);
        }
        let work = async { accounts::ensure(&self.clients.get(&target.kube)?, target, accounts).await };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn ensure_release(&self, target: &DeployTarget, app: &AppName) -> Result<StageProgress, Failure> {
        let work = async {
            let (stack, clients) = self.prepare(target)?;
            apply::ensure(&clients, &self.helm, target, stack, app).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn entry_points(&self, target: &DeployTarget) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let work = async {
            let (stack, clients) = self.prepare(target)?;
            verify::entry_points(&clients, target, stack).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn verify(&self, target: &DeployTarget) -> Result<Verified, Failure> {
        let work = async {
            let (stack, clients) = self.prepare(target)?;
            verify::verify(&clients, target, stack).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }

    async fn teardown(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        if target.place.shared().is_some() {
            // The sweep of a whole cluster would be other tenants' end.
            return self.remove_namespace(target).await;
        }
        let work = async {
            let (stack, clients) = self.prepare(target)?;
            teardown::teardown(&clients.own, &self.helm, target, stack).await
        };
        let result = work.await;
        self.report(&target.kube, result)
    }
}
