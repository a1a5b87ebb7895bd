//! What works inside of tenants' clusters, as the configuration wants it: stacks, platforms, Helm, isolation. Knows no provider.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use ipnet::IpNet;
use landlord_core::{
    Catalog, Class, ClassName, PlatformName, StackName,
    isolation::GatewayNames,
    ports::StackPlaces,
    revision::{RevisionKey, RevisionKind},
};
use landlord_deploy::{
    CheckOptions, DeployOptions, Registries, StackApps, StackOffers,
    platform::{self, Platform},
    stack::{self, Stack},
};
use landlord_isolation::{IsolationOptions, KubeIsolation, LISTENERS_MAX};
use landlord_kube::{client::Clients, gateway_api::Crds};

use crate::{
    config::{Checked, Config, Deploy},
    revisions::OnDisk,
};

/// What works inside of tenants' clusters.
pub(crate) struct InCluster {
    pub(crate) isolation: Arc<KubeIsolation>,
    /// What tenants may set in stacks.
    pub(crate) stacks: Arc<StackOffers>,
    /// Helm is needed only where a class has a stack or a platform.
    pub(crate) apps: Option<Arc<StackApps>>,
    pub(crate) names: Names,
    /// The revisions that lie on disk.
    pub(crate) on_disk: OnDisk,
}

/// What was read at the start, by name: classes that a reload brings can have nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    stacks: BTreeMap<StackName, Stack>,
    platforms: BTreeMap<PlatformName, Platform>,
    is_shared: bool,
}

impl Names {
    fn of(read: &Read, checked: &Checked) -> Self {
        Self {
            stacks: read.stacks.clone(),
            platforms: read.platforms.clone(),
            is_shared: checked.catalog.classes.values().any(|class| class.level.is_shared()),
        }
    }

    #[cfg(test)]
    pub(crate) fn read(config: &Config, checked: &Checked) -> Result<Self> {
        Ok(Self::of(&read(config, checked)?, checked))
    }

    /// Whether classes want only what was read, and leave out and choose only what is in it.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub(crate) fn check(&self, catalog: &Catalog) -> Result<()> {
        let unread = self.unread(catalog);
        if !unread.is_empty() {
            bail!("restart landlordd, which reads stacks and platforms at its start: {}", unread.join("; "));
        }
        fits(catalog, &self.stacks, &self.platforms)
    }

    /// What classes want and was not read, in words.
    fn unread(&self, catalog: &Catalog) -> Vec<String> {
        let unread = |(name, class): (&ClassName, &Class)| {
            let stack = class.stack.as_ref().filter(|stack| !self.stacks.contains_key(*stack));
            let platform = class.platform.as_ref().filter(|platform| !self.platforms.contains_key(*platform));
            let shared = (class.level.is_shared() && !self.is_shared)
                .then(|| format!("classes.{name} is the first one of a shared level"));
            stack
                .map(|stack| format!("classes.{name} has the stack {stack}"))
                .or_else(|| platform.map(|platform| format!("classes.{name} has the platform {platform}")))
                .or(shared)
        };
        catalog.classes.iter().filter_map(unread).collect()
    }
}

/// What the classes name, as read.
struct Read {
    stacks: BTreeMap<StackName, Stack>,
    platforms: BTreeMap<PlatformName, Platform>,
    gateway_api_crds: Option<Crds>,
}

fn read(config: &Config, checked: &Checked) -> Result<Read> {
    let classes = || checked.catalog.classes.values();
    let (with_stacks, shared) =
        (classes().any(|class| class.stack.is_some()), classes().any(|class| class.level.is_shared()));
    let deploy = &config.deploy;
    let named = !deploy.gateway_api_crds.as_os_str().is_empty();
    let gateway_api_crds = (named && (with_stacks || shared))
        .then(|| Crds::read(&deploy.gateway_api_crds))
        .transpose()
        .context("deploy.gateway_api_crds")?;
    let stacks = if with_stacks {
        stack::load_all(&deploy.stacks_dir, &deploy.values, &deploy.chart_mirrors).context("deploy.stacks_dir")?
    } else {
        BTreeMap::new()
    };
    let platforms = if classes().any(|class| class.platform.is_some()) {
        platform::load_all(&deploy.platforms_dir, &deploy.values, &deploy.chart_mirrors)
            .context("deploy.platforms_dir")?
    } else {
        BTreeMap::new()
    };
    fits(&checked.catalog, &stacks, &platforms)?;
    Ok(Read { stacks, platforms, gateway_api_crds })
}

/// The revisions that lie on disk, with their contents.
fn on_disk(read: &Read) -> OnDisk {
    let mut on_disk = OnDisk::default();
    for (name, packed) in read.stacks.iter().filter_map(|(name, stack)| Some((name, stack.packed.as_ref()?))) {
        on_disk.current.stacks.insert(name.clone(), packed.id.clone());
        let key = RevisionKey { kind: RevisionKind::Stack, name: name.to_string(), id: packed.id.clone() };
        on_disk.contents.push((key, packed.content.to_vec()));
    }
    for (name, packed) in read.platforms.iter().filter_map(|(name, own)| Some((name, own.packed.as_ref()?))) {
        on_disk.current.platforms.insert(name.clone(), packed.id.clone());
        let key = RevisionKey { kind: RevisionKind::Platform, name: name.to_string(), id: packed.id.clone() };
        on_disk.contents.push((key, packed.content.to_vec()));
    }
    on_disk
}

/// Classes leave out only checks and list only names that their stack has, and choose only of what their platform has.
fn fits(
    catalog: &Catalog,
    stacks: &BTreeMap<StackName, Stack>,
    platforms: &BTreeMap<PlatformName, Platform>,
) -> Result<()> {
    let mut problems = Vec::new();
    for (name, class) in &catalog.classes {
        if let Some(stack) = class.stack.as_ref().and_then(|stack| stacks.get(stack)) {
            let known: Vec<&str> = stack.manifest.checks.iter().map(|check| check.name.as_str()).collect();
            let unknown = class.skip_checks.iter().filter(|skipped| !known.contains(&skipped.as_str()));
            problems.extend(unknown.map(|unknown| {
                let known = known.join(", ");
                format!("classes.{name}.skip_checks: its stack has no check {unknown:?}; it has: {known}")
            }));
            let gateway = class.guardrails.as_ref().and_then(|guardrails| guardrails.gateway());
            let unlistable =
                gateway.and_then(|gateway| unlistable(gateway.names, stack.manifest.gateway_records().len()));
            problems.extend(unlistable.map(|why| format!("classes.{name}.guardrails.gateway.names: {why}")));
        }
        let platform = class.platform.as_ref().and_then(|platform| platforms.get(platform));
        let lacking = platform.and_then(|platform| platform.lacking(&class.platform_options));
        problems.extend(lacking.map(|lacking| format!("classes.{name}.platform_options.{lacking}")));
    }
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("; ")) }
}

/// Why a class can't list the names of its stack, which are so many; `None`: it can, or does not.
fn unlistable(names: GatewayNames, count: usize) -> Option<String> {
    match (names, count) {
        (GatewayNames::Wildcard, _) | (GatewayNames::Listed, 1..=LISTENERS_MAX) => None,
        (GatewayNames::Listed, 0) => Some("its stack serves no names through a Gateway; leave it out".into()),
        (GatewayNames::Listed, _) => Some(format!(
            "its stack serves {count} names, and a tenant can have {LISTENERS_MAX} listeners; leave it out for a wildcard"
        )),
    }
}

/// An address of `deploy.checks`; empty: none.
pub(crate) fn address(key: &str, text: &str) -> Result<Option<SocketAddr>> {
    let text = Some(text).filter(|text| !text.is_empty());
    text.map(str::parse).transpose().with_context(|| format!("deploy.checks.{key} must be ADDRESS:PORT"))
}

/// Networks that are connected to though they lie inside.
pub(crate) fn networks(config: &Config) -> Result<Vec<IpNet>> {
    let networks = config.availability.allowed_networks.iter().map(|network| network.parse());
    networks.collect::<Result<_, _>>().context("availability.allowed_networks")
}

fn check_options(config: &Config, state_dir: &Path) -> Result<CheckOptions> {
    let checks = &config.deploy.checks;
    Ok(CheckOptions {
        from_outside: checks.from_outside,
        resolver: address("resolver", &checks.resolver)?,
        proxy: address("proxy", &checks.proxy)?,
        allowed: networks(config)?,
        trusted_ca: Some(checks.trusted_ca.clone()).filter(|path| !path.as_os_str().is_empty()),
        sftp_path: checks.sftp_path.clone(),
        runs: state_dir.join("runs"),
    })
}

/// How charts are fetched. Credentials of a proxy would stand in the configuration, which is shown.
fn registries(deploy: &Deploy) -> Result<Registries> {
    ensure!(!deploy.registry_proxy.contains('@'), "deploy.registry_proxy must not hold credentials");
    Ok(Registries {
        config_file: Some(deploy.registry_config_file.clone()).filter(|path| !path.as_os_str().is_empty()),
        proxy: deploy.registry_proxy.clone(),
        no_proxy: deploy.registry_no_proxy.clone(),
    })
}

async fn apps(config: &Config, read: Read, state_dir: PathBuf, clients: Arc<Clients>) -> Result<Option<StackApps>> {
    if read.stacks.is_empty() && read.platforms.is_empty() {
        return Ok(None);
    }
    let options = DeployOptions {
        stacks: read.stacks,
        platforms: read.platforms,
        helm_path: config.deploy.helm_path.clone(),
        helm_version: config.deploy.helm_version.clone(),
        checks: check_options(config, &state_dir)?,
        state_dir,
        helm_processes_max: config.deploy.helm_processes_max,
        registries: registries(&config.deploy)?,
        gateway_api_crds: read.gateway_api_crds,
    };
    Ok(Some(StackApps::open(options, clients).await?))
}

/// Reads what the classes name, and opens what works with it.
///
/// # Errors
/// A stack or platform that can't be read, an incompatible Helm.
pub(crate) async fn open(config: &Config, checked: &Checked) -> Result<InCluster> {
    let read = read(config, checked)?;
    let clients = Arc::new(Clients::default());
    let gateway_api_crds = read.gateway_api_crds.clone();
    let stacks = Arc::new(StackOffers::load(&read.stacks)?);
    let names = Names::of(&read, checked);
    let on_disk = on_disk(&read);
    let apps = apps(config, read, config.deploy.state_dir.clone(), Arc::clone(&clients)).await?.map(Arc::new);
    let options = IsolationOptions {
        stacks: apps.clone().map(|apps| apps as Arc<dyn StackPlaces>),
        gateway_api_crds,
        removal_timeout: landlord_isolation::REMOVAL_TIMEOUT,
    };
    let isolation = Arc::new(KubeIsolation::new(options, clients));
    Ok(InCluster { isolation, stacks, apps, on_disk, names })
}

/// The same, leaving nothing behind: whoever checks may be another user than the daemon.
///
/// # Errors
/// As [`open`].
pub(crate) async fn check(config: &Config, checked: &Checked) -> Result<()> {
    let read = read(config, checked)?;
    StackOffers::load(&read.stacks)?;
    let folder = std::env::temp_dir().join(format!("landlordd-check-{}", uuid::Uuid::new_v4()));
    let opened = apps(config, read, folder.clone(), Arc::default()).await;
    // It is there only if Helm was tried.
    let _ = std::fs::remove_dir_all(folder);
    opened.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_lists_as_many_names_as_there_can_be_listeners() {
        let fault = |count| unlistable(GatewayNames::Listed, count).unwrap_or_default();
        assert!(fault(0).contains("serves no names"), "{}", fault(0));
        assert_eq!((fault(1), fault(64)), (String::new(), String::new()));
        assert!(fault(65).contains("65 names") && fault(65).contains("64 listeners"), "{}", fault(65));
        assert_eq!((unlistable(GatewayNames::Wildcard, 0), unlistable(GatewayNames::Wildcard, 65)), (None, None));
    }
}
