//! The port's implementation: finds stack and client, hands over to the modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use kube::Client;
use landlord_core::{
    AppName, CertificateOrder, ErrorKind, Failure, PlatformName, StackName,
    ids::InvalidName,
    isolation::GatewayRef,
    ports::{
        Apps, CheckResult, CloudAccount, DeployTarget, PlatformTarget, ReleasePlan, StackPlaces, StageProgress,
        Verified,
    },
    revision::{RevisionId, RevisionKey, RevisionKind},
    stage::RemovedObject,
};
use landlord_kube::{
    client::{Clients, ClusterClients, acting_as},
    gateway_api::{Crds, Routing},
    markers::DEPLOYER,
    token::user_of,
};

use crate::{
    apply, base,
    chart::{self, ChartMirrors},
    checks::{CheckOptions, Checks},
    driver::{
        Driver,
        helm::{Helm, Registries},
        manifests::Manifests,
    },
    error::{Error, Result},
    figures::DeployFigures,
    platform::{DriverKind, Platform, certificate, install},
    revisions::Revised,
    service_accounts,
    stack::{self, Stack},
    teardown, verify,
};

/// How soon checks are run whose turn has not come, in milliseconds.
const TURN_POLL_MS: u64 = 5_000;

/// How the deploy stage is set up.
#[derive(Debug, Clone)]
pub struct DeployOptions {
    /// The stacks, as [`stack::load_all`](crate::stack::load_all) reads them.
    pub stacks: BTreeMap<StackName, Stack>,
    /// The platforms, as [`platform::load_all`](crate::platform::load_all) reads them.
    pub platforms: BTreeMap<PlatformName, Platform>,
    /// The Helm binary.
    pub helm_path: PathBuf,
    /// Versions of it that are compatible, as a semver requirement.
    pub helm_version: String,
    /// Helm's runs: short-lived private files.
    pub state_dir: PathBuf,
    /// Helm processes at the same moment; each takes 100 to 200 MB.
    pub helm_processes_max: u32,
    /// How Helm reaches the registries of charts.
    pub registries: Registries,
    /// How environments are used before they count as answering.
    pub checks: CheckOptions,
    /// The Gateway API's custom resources, applied to tenants' clusters, and to host clusters that have none.
    pub gateway_api_crds: Option<Crds>,
}

/// Deploys stacks with Helm, and judges them through the API server.
pub struct StackApps {
    driver: Arc<dyn Driver>,
    manifests: Manifests,
    stacks: Revised<StackName, Stack>,
    platforms: Revised<PlatformName, Platform>,
    crds: Option<Crds>,
    checks: Checks,
    /// Where earlier revisions are unpacked.
    unpacked: PathBuf,
    clients: Arc<Clients>,
    figures: DeployFigures,
}

impl fmt::Debug for StackApps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackApps").field("stacks", &self.stacks.names().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// Has all charts in folders read from copies of their own.
fn keep_charts(options: &mut DeployOptions) -> Result<()> {
    let copies = options.state_dir.join("charts");
    let stacks = options.stacks.values_mut().flat_map(Stack::charts_mut);
    let mut kept = BTreeSet::new();
    for chart in stacks.chain(options.platforms.values_mut().flat_map(Platform::charts_mut)) {
        chart.keep_in(&copies)?;
        kept.insert(chart.location.clone());
    }
    chart::forget_others(&copies, &kept)
}

impl StackApps {
    /// Checks Helm, and takes copies of the charts in folders. Two of them must not share a `state_dir`; `clients` may be used by others too.
    ///
    /// # Errors
    /// An incompatible Helm, unusable files; each says what to do.
    pub async fn open(mut options: DeployOptions, clients: Arc<Clients>) -> Result<Self> {
        let helm = Helm::open(
            &options.helm_path,
            &options.helm_version,
            &options.state_dir,
            (options.helm_processes_max, options.registries.clone()),
        )
        .await?;
        let figures = helm.figures().clone();
        keep_charts(&mut options)?;
        let unpacked = options.state_dir.join("revisions");
        let driver: Arc<dyn Driver> = Arc::new(helm);
        Ok(Self {
            manifests: Manifests::new(Arc::clone(&driver)),
            driver: Arc::clone(&driver),
            stacks: Revised::new(options.stacks, |stack| stack.packed.as_ref().map(|packed| packed.id.clone())),
            platforms: Revised::new(options.platforms, |own| own.packed.as_ref().map(|packed| packed.id.clone())),
            unpacked,
            crds: options.gateway_api_crds,
            checks: Checks::new(options.checks, driver),
            clients,
            figures,
        })
    }

    /// What is measured of Helm.
    #[must_use]
    pub fn figures(&self) -> &DeployFigures {
        &self.figures
    }

    /// Everything that would be applied for a target, as YAML by release. For reviewers and scanners; talks to no
    /// cluster, and takes the Gateway API for granted.
    ///
    /// # Errors
    /// Unknown stack, a chart that does not render.
    pub async fn manifests(&self, target: &DeployTarget) -> Result<Vec<(String, String)>> {
        let stack = self.stack_of(target)?;
        let mut all = Vec::new();
        for release in &stack.manifest.releases {
            let text = self.rendered(target, &stack, release, Routing::ListenerSets).await?;
            all.push((release.name.to_string(), text));
        }
        Ok(all)
    }

    /// What a release of a stack renders to.
    pub(crate) async fn rendered(
        &self,
        target: &DeployTarget,
        stack: &Stack,
        release: &stack::Release,
        routing: Routing,
    ) -> Result<String> {
        apply::rendered(&*self.driver, target, stack, release, routing).await
    }

    pub(crate) fn helm(&self) -> &dyn Driver {
        &*self.driver
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What a tenant runs; without a revision what lies on disk.
    pub(crate) fn stack(&self, name: &StackName, revision: Option<&RevisionId>) -> Result<Arc<Stack>> {
        self.stacks.get(name, revision)?.ok_or_else(|| Error::UnknownStack {
            name: name.to_string(),
            known: self.stacks.names().map(StackName::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// What a target runs.
    pub(crate) fn stack_of(&self, target: &DeployTarget) -> Result<Arc<Stack>> {
        self.stack(target.stack.as_ref().ok_or(Error::NoStack)?, target.revision.as_ref())
    }

    /// Whether a revision can be run.
    #[must_use]
    pub fn has_revision(&self, key: &RevisionKey) -> bool {
        match key.kind {
            RevisionKind::Stack => key.name.parse().is_ok_and(|name| self.stacks.has(&name, &key.id)),
            RevisionKind::Platform => key.name.parse().is_ok_and(|name| self.platforms.has(&name, &key.id)),
        }
    }

    /// Makes an earlier revision one that can be run, from what the store keeps of it.
    ///
    /// # Errors
    /// [`Error::Revision`] for what can't be used; [`Error::File`].
    pub fn add_revision(&self, key: &RevisionKey, content: &[u8], mirrors: &ChartMirrors) -> Result<()> {
        let folder = self.unpacked.join(format!("{}-{}-{}", key.kind.as_str(), key.name, key.id));
        let unknown = |error: InvalidName| Error::Revision { name: key.name.clone(), problem: error.to_string() };
        match key.kind {
            RevisionKind::Stack => {
                let stack = Stack::unpack(&key.id, content, &folder, mirrors)?;
                self.stacks.add(key.name.parse().map_err(unknown)?, key.id.clone(), stack);
            }
            RevisionKind::Platform => {
                let platform = Platform::unpack(&key.id, content, &folder, mirrors)?;
                self.platforms.add(key.name.parse().map_err(unknown)?, key.id.clone(), platform);
            }
        }
        Ok(())
    }

    /// Has whoever names a revision learn why it can't be used. Until it is added.
    pub fn refuse_revision(&self, key: &RevisionKey, problem: &str) {
        match key.kind {
            RevisionKind::Stack => {
                if let Ok(name) = key.name.parse() {
                    self.stacks.refuse(name, key.id.clone(), problem.to_owned());
                }
            }
            RevisionKind::Platform => {
                if let Ok(name) = key.name.parse() {
                    self.platforms.refuse(name, key.id.clone(), problem.to_owned());
                }
            }
        }
    }

    fn driver(&self, kind: DriverKind) -> &dyn Driver {
        match kind {
            DriverKind::Helm => &*self.driver,
            DriverKind::Manifests => &self.manifests,
        }
    }

    /// The platform that a target runs, and who delivers a release of it.
    fn release_of(&self, target: &PlatformTarget, release: &AppName) -> Result<(Arc<Platform>, &dyn Driver)> {
        let platform = self.known_platform(&target.platform, target.revision.as_ref())?;
        let driver = self.driver(platform.release(release)?.0.driver);
        Ok((platform, driver))
    }

    fn known_platform(&self, name: &PlatformName, revision: Option<&RevisionId>) -> Result<Arc<Platform>> {
        self.platforms.get(name, revision)?.ok_or_else(|| Error::UnknownPlatform {
            name: name.to_string(),
            known: self.platforms.names().map(PlatformName::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// Makes a call with the stack and the clients of a target.
    pub(crate) async fn call<T>(
        &self,
        target: &DeployTarget,
        call: impl AsyncFnOnce(&Stack, ClusterClients) -> Result<T>,
    ) -> Result<T, Failure> {
        let with_clients = async |admin: Client| -> Result<T> {
            let tenant = match target.cluster.shared() {
                None => admin.clone(),
                Some(place) => acting_as(&admin, &user_of(place.namespace.as_str(), DEPLOYER))?,
            };
            let stack = self.stack_of(target)?;
            call(&stack, ClusterClients { admin, tenant }).await
        };
        self.clients.call(&target.kube, with_clients).await
    }
}

impl StackPlaces for StackApps {
    fn gateway(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Option<GatewayRef>, Failure> {
        Ok(self.stacks.get(stack, revision)?.and_then(|stack| stack.manifest.gateway.clone()))
    }

    fn gateway_records(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Vec<String>, Failure> {
        Ok(self.stacks.get(stack, revision)?.map(|stack| stack.manifest.gateway_records()).unwrap_or_default())
    }

    fn namespace(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Option<String>, Failure> {
        Ok(self.stacks.get(stack, revision)?.map(|stack| stack.manifest.namespace.clone()))
    }
}

#[async_trait]
impl Apps for StackApps {
    fn releases(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Vec<ReleasePlan>, Failure> {
        Ok(self.stack(stack, revision)?.plan())
    }

    fn platform(&self, platform: &PlatformName, revision: Option<&RevisionId>) -> Result<Vec<ReleasePlan>, Failure> {
        Ok(self.known_platform(platform, revision)?.plan())
    }

    fn platform_certificate(
        &self,
        target: &PlatformTarget,
        release: &AppName,
    ) -> Result<Option<CertificateOrder>, Failure> {
        let stack = target.stack.as_ref().map(|stack| self.stack(stack, target.stack_revision.as_ref())).transpose()?;
        let (platform, _) = self.release_of(target, release)?;
        Ok(certificate::ordered(&platform, target, release, stack.as_deref())?)
    }

    async fn ensure_platform(&self, target: &PlatformTarget, release: &AppName) -> Result<StageProgress, Failure> {
        let (platform, driver) = self.release_of(target, release)?;
        let stack = target.stack.as_ref().map(|stack| self.stack(stack, target.stack_revision.as_ref())).transpose()?;
        let call = async |client: Client| {
            install::ensure(&client, driver, target, (&platform, stack.as_deref()), self.crds.as_ref(), release).await
        };
        self.clients.call(&target.kube, call).await
    }

    async fn remove_platform(
        &self,
        target: &PlatformTarget,
        release: &AppName,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        let (platform, driver) = self.release_of(target, release)?;
        let call = async |client: Client| install::remove(&client, driver, target, &platform, release).await;
        self.clients.call(&target.kube, call).await
    }

    async fn withdraw_platform(
        &self,
        target: &PlatformTarget,
        release: &AppName,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        let (platform, driver) = self.release_of(target, release)?;
        let call = async |client: Client| install::withdraw(&client, driver, target, &platform, release).await;
        self.clients.call(&target.kube, call).await
    }

    async fn ensure_base(&self, target: &DeployTarget) -> Result<StageProgress, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            base::ensure(&clients, target, &stack.manifest, self.crds.as_ref()).await
        };
        self.call(target, call).await
    }

    async fn ensure_accounts(
        &self,
        target: &DeployTarget,
        accounts: &[CloudAccount],
    ) -> Result<StageProgress, Failure> {
        if target.cluster.shared().is_some() {
            return Ok(StageProgress::Done);
        }
        let call = async |client: Client| service_accounts::ensure(&client, target, accounts).await;
        self.clients.call(&target.kube, call).await
    }

    async fn ensure_release(&self, target: &DeployTarget, app: &AppName) -> Result<StageProgress, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            apply::ensure(&clients, &*self.driver, target, stack, app).await
        };
        self.call(target, call).await
    }

    async fn entry_points(&self, target: &DeployTarget) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            Ok(verify::entry_points(&clients, &self.checks, target, stack).await?)
        };
        self.call(target, call).await
    }

    async fn verify(&self, target: &DeployTarget) -> Result<Verified, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            Ok(verify::verify(&clients, &*self.driver, &self.checks, target, stack).await?)
        };
        // Throttled: whoever was READY stays it while others' checks run.
        self.call(target, call).await?.ok_or_else(no_turn)
    }

    async fn check(&self, target: &DeployTarget) -> Result<Vec<CheckResult>, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            Ok(verify::check(&clients, &self.checks, target, stack).await?)
        };
        self.call(target, call).await?.ok_or_else(no_turn)
    }

    async fn teardown(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        if target.cluster.shared().is_some() {
            return Err(Error::Shared.into());
        }
        let call = async |stack: &Stack, clients: ClusterClients| {
            teardown::teardown(&clients.admin, &*self.driver, target, stack).await
        };
        self.call(target, call).await
    }
}

/// The checks of an environment have to wait.
pub(crate) fn no_turn() -> Failure {
    let cause = "the checks of other environments run, or those of this one already";
    let failure = Failure::new(ErrorKind::Throttled, cause).with_remedy("try again in a minute");
    Failure { retry_after_ms: Some(TURN_POLL_MS), ..failure }
}
