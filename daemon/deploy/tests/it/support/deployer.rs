//! Apps and isolation as the daemon wires them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use landlord_core::ports::StackPlaces;
use landlord_deploy::{CheckOptions, StackApps, chart::ChartMirrors, stack};
use landlord_isolation::{IsolationOptions, KubeIsolation};
use landlord_kube::{client::Clients, gateway_api::Crds};

/// What a configuration says.
pub(crate) struct DeployOptions {
    pub(crate) stacks_dir: PathBuf,
    pub(crate) helm_path: PathBuf,
    pub(crate) helm_version: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) helm_processes_max: u32,
    pub(crate) gateway_api_crds: Option<PathBuf>,
    pub(crate) removal_timeout: Duration,
}

/// One daemon's.
pub(crate) struct Deployer {
    pub(crate) apps: Arc<StackApps>,
    pub(crate) isolation: KubeIsolation,
}

impl Deployer {
    pub(crate) async fn open(options: DeployOptions) -> Result<Self, landlord_deploy::Error> {
        let stacks = stack::load_all(&options.stacks_dir, &stack::Values::new(), &ChartMirrors::new())?;
        let gateway_api_crds = options.gateway_api_crds.as_deref().map(Crds::read).transpose()?;
        let clients = Arc::new(Clients::default());
        let removal_timeout = options.removal_timeout;
        let checks = checks(&options.state_dir);
        let apps = landlord_deploy::DeployOptions {
            stacks,
            platforms: BTreeMap::new(),
            helm_path: options.helm_path,
            helm_version: options.helm_version,
            state_dir: options.state_dir,
            helm_processes_max: options.helm_processes_max,
            registries: landlord_deploy::Registries::default(),
            gateway_api_crds: gateway_api_crds.clone(),
            checks,
        };
        let apps = Arc::new(StackApps::open(apps, Arc::clone(&clients)).await?);
        let stacks: Arc<dyn StackPlaces> = Arc::clone(&apps) as _;
        let isolation = IsolationOptions { stacks: Some(stacks), gateway_api_crds, removal_timeout };
        Ok(Self { apps, isolation: KubeIsolation::new(isolation, clients) })
    }
}

/// Nothing outside of the machine is used.
pub(crate) fn checks(state_dir: &Path) -> CheckOptions {
    CheckOptions {
        from_outside: false,
        resolver: None,
        proxy: None,
        allowed: Vec::new(),
        trusted_ca: None,
        sftp_path: "/usr/bin/sftp".into(),
        runs: state_dir.join("runs"),
    }
}
