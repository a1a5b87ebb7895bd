//! Wires the parts and runs them until SIGTERM or SIGINT.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use landlord_auth::{
    policy::Policies,
    tls::{POLL_INTERVAL, TlsFigures},
};
use landlord_core::{
    CurrentCatalog,
    ports::{Apps, ProviderKey, TenantStore as _},
    revision::CurrentRevisions,
};
use landlord_engine::{
    BucketFigures, ClusterAccess, Engine, EngineHandle, EngineOptions, EnginePorts, ProviderOptions, TenantApps,
};
use landlord_grpc::{OpaqueTokens, Ports, Turns};
use landlord_plugin_host::{CredentialSource, Measurements, Plugin, PluginFile, PluginHost, PluginOptions};
use landlord_provider_api::v1::ConfigureRequest;
use landlord_store::Store;
use secrecy::ExposeSecret as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    announce::{self, Announced},
    audit, availability, class_drift,
    config::{AcmeLimits, Checked, Config, ProviderSetup, resolve},
    customer_labels, ending,
    figures::Figures,
    in_cluster, inventories, listeners, plugin_check,
    reload::{Reload, Sources},
    retention, revisions, store,
    systemd::{self, Passed},
    trust, webhooks,
};

/// What a daemon starts with beside its configuration.
#[derive(Debug)]
pub struct Start {
    /// Make a store if there is none.
    pub create_store: bool,
    /// Sockets that were opened for it.
    pub passed: Passed,
    /// Where its configuration came from.
    pub sources: Sources,
}

/// Runs the daemon until cancelled.
///
/// # Errors
/// What can't be started, with what to do about it.
pub async fn run(config: &Config, mut checked: Checked, start: Start, stop: CancellationToken) -> Result<()> {
    check_trust(config)?;
    // Before anything is touched: a plugin that is not what it should be, an incompatible Helm.
    let (measurements, tls_figures) = (Measurements::default(), TlsFigures::default());
    let plugins = plugins(&checked, &measurements)?;
    let mut clusters = in_cluster::open(config, &checked).await?;
    let tasks = TaskTracker::new();
    let listen = listeners::open(config, &checked.callers, start.passed, &tls_figures, &tasks, &stop)?;
    let policies = follow_policies(config, &tasks, &stop)?;
    let store = systemd::starting(store::open_configured(config, start.create_store)).await?;
    let store_port = Arc::new(store.clone());
    customer_labels::start(&policies, &store_port, &tasks, &stop).await?;
    checked.catalog.revisions = open_revisions(config, &mut clusters, store_port.clone(), (&tasks, &stop)).await?;
    let lost = watch_store(config, &store, &tasks, &stop);
    let this = announce::start(daemon_id(), store_port.clone(), &tasks, &stop);
    let host = start_plugins(plugins, &tasks, &stop);
    let ports = engine_ports(store_port.clone(), host.clone(), &clusters);
    let (engine, handle) = Engine::new(engine_options(config, &checked, &this.id), ports);
    let figures = figures((measurements, tls_figures), (&store, &this), &handle, &clusters);
    let (webhook_figures, daemon) = (figures.webhooks.clone(), this.id.clone());
    let watch = availability::watch(config, &daemon, store_port.clone(), handle.clone(), figures.watch.clone())?;
    let ready = Arc::new(AtomicBool::new(false));
    let rpc_figures = figures.serve(config, ready.clone(), &tasks, &stop).await?;
    let running = tasks.spawn(ending::work(engine, store.clone(), this, stop.clone()));
    watch.into_iter().for_each(|watch| drop(tasks.spawn(watch.run(stop.clone()))));
    inventories::start((&checked, &clusters, &daemon), &store_port, &host, &handle, (&tasks, &stop));
    let webhooks = webhooks::start(&checked, &daemon, &store, &webhook_figures, (&tasks, &stop)).await?;
    let catalog = Arc::new(CurrentCatalog::new(checked.catalog));
    tasks.spawn(class_drift::report(store_port.clone(), catalog.now(), stop.clone()));
    let (used, names) = (config.clone(), clusters.names.clone());
    let reload = Reload { used, sources: start.sources, catalog: catalog.clone(), names, store: store_port.clone() };
    let access = Arc::new(cluster_access(checked.installation, store_port.clone(), host.clone(), &clusters));
    let api = Ports {
        store: store_port.clone(),
        catalog,
        stacks: clusters.stacks.clone(),
        providers: host.clone(),
        kube_access: access.clone(),
        verifier: access.clone(),
        handover: access.clone(),
        logs: access.clone(),
        diff: access,
        credentials: store_port.clone(),
        authenticator: checked.callers,
        authorizer: policies,
        customers: Arc::new(store.clone()),
        audit: Arc::new(store.clone()),
        daemons: Arc::new(store.clone()),
        daemon,
        webhooks: Arc::new(webhooks),
        figures: rpc_figures,
        limits: config.auth.limits.limits(),
        web_origins: Arc::new(config.server.web_origins.iter().cloned().collect()),
        turns: Turns::default(),
        tokens: Arc::new(OpaqueTokens::new(&store.token_secret().await?)?),
        wake: Arc::new(handle),
    };
    let ready = || {
        became_ready(&listen.socket, &ready);
        // Not before: systemd takes the end of a reload for the end of the start.
        tasks.spawn(reload.follow(stop.clone()));
    };
    let served = landlord_grpc::serve(api, &listen, stop.clone(), ready).await;
    // A server that failed ends the daemon; the engine then drains as on SIGTERM.
    stop.cancel();
    running.await.context("the engine panicked")?;
    ending::wait(&tasks, &store).await;
    lost.get().map_or(Ok(()), |reason| bail!("{reason}"))?;
    Ok(served.inspect(|()| tracing::info!("landlordd has ended"))?)
}

/// What is measured of the parts.
fn figures(
    plugins: (Measurements, TlsFigures),
    (store, this): (&Store, &Announced),
    engine: &EngineHandle,
    clusters: &in_cluster::InCluster,
) -> Figures {
    let deploy = clusters.apps.as_ref().map(|apps| apps.figures().clone());
    Figures::new(plugins, (store.clone(), this.id.clone()), engine.clone(), deploy)
}

fn engine_ports(store: Arc<Store>, providers: Arc<PluginHost>, clusters: &in_cluster::InCluster) -> EnginePorts {
    let (isolation, apps) = (clusters.isolation.clone(), clusters.apps.clone().map(|apps| apps as Arc<dyn Apps>));
    EnginePorts { store, providers, apps, isolation: isolation.clone(), host_clusters: isolation }
}

/// Keeps the revisions on disk, and reads those that environments name otherwise: once before any of them is worked on, and then
/// whenever another daemon accepts one.
async fn open_revisions(
    config: &Config,
    clusters: &mut in_cluster::InCluster,
    store: Arc<Store>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<CurrentRevisions> {
    let on_disk = std::mem::take(&mut clusters.on_disk);
    let current = on_disk.current.clone();
    revisions::keep(&*store, on_disk).await?;
    let Some(apps) = clusters.apps.clone() else { return Ok(current) };
    let mirrors = config.deploy.chart_mirrors.clone();
    revisions::load(&*store, &apps, &mirrors).await.context("reading the revisions that environments name")?;
    tasks.spawn(revisions::follow(store, apps, mirrors, stop.clone()));
    Ok(current)
}

/// Clients can connect.
fn became_ready(socket: &Path, flag: &AtomicBool) {
    tracing::info!(socket = %socket.display(), "landlordd is ready");
    flag.store(true, Ordering::Relaxed);
    systemd::ready();
}

/// The policies, read again when they change.
fn follow_policies(config: &Config, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Arc<Policies>> {
    let policies = Arc::new(open_policies(config)?);
    tasks.spawn(Arc::clone(&policies).follow(POLL_INTERVAL, stop.clone()));
    Ok(policies)
}

/// The shipped policies and those of the configured folder.
fn open_policies(config: &Config) -> Result<Policies> {
    let folder = &config.auth.policies_dir;
    let folder = (!folder.as_os_str().is_empty()).then(|| folder.clone());
    Policies::open(folder).context("auth.policies_dir")
}

/// Has the store forget what is old, and stops the daemon when it turns out to be another one than was opened; holds why.
fn watch_store(config: &Config, store: &Store, tasks: &TaskTracker, stop: &CancellationToken) -> Arc<OnceLock<String>> {
    tasks.spawn(retention::run(Arc::new(store.clone()), config.store.operations_kept_days, stop.clone()));
    tasks.spawn(audit::follow(Arc::new(store.clone()), config.audit.clone(), stop.clone()));
    let lost = Arc::new(OnceLock::new());
    let (store, found, stop) = (store.clone(), Arc::clone(&lost), stop.clone());
    tasks.spawn(async move {
        if let Some(reason) = stop.run_until_cancelled(store.lost()).await {
            tracing::error!(reason, "the daemon stops");
            let _ = found.set(reason);
            stop.cancel();
        }
    });
    lost
}

/// What a start would refuse, whoever finds it: checks the listeners' files and the plugins' files, reads the stacks and platforms,
/// tries Helm, starts every plugin in its sandbox, has it configured, and has it validate every class that it builds. Makes nothing
/// in any cloud, and nothing that stays on this machine.
pub async fn problems(config: &Config, checked: &Checked) -> Vec<String> {
    let said = |found: Result<()>| found.err().map(|error| format!("{error:#}"));
    let files = [
        check_trust(config),
        audit::signer(&config.audit).map(drop),
        store::check(&config.store),
        listeners::check(&config.server),
        open_policies(config).map(drop),
    ];
    let mut problems: Vec<String> = files.into_iter().filter_map(said).collect();
    match plugins(checked, &Measurements::default()) {
        Ok(plugins) => problems.extend(plugin_check::problems(checked, &plugins).await),
        Err(error) => problems.push(format!("{error:#}")),
    }
    problems.extend(said(in_cluster::check(config, checked).await));
    problems
}

/// Refuses folders in which anybody could replace the store or a plugin.
fn check_trust(config: &Config) -> Result<()> {
    let plugins =
        config.providers.iter().map(|(name, provider)| (format!("providers.{name}.plugin"), &provider.plugin));
    // A file that is not used may be named anywhere.
    let store = config.store.url.is_empty().then(|| ("store.path".to_owned(), &config.store.path));
    let files = plugins.chain(store);
    let problems: Vec<String> = files
        .filter_map(|(key, file)| Some((key, file.parent().filter(|folder| !folder.as_os_str().is_empty())?)))
        .filter_map(|(key, folder)| trust::problem(folder).map(|problem| format!("{key}: {problem}")))
        .collect();
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

/// A plugin that does not start is a mistake in its configuration, or a cloud that is away: neither is gone in a moment.
const START_AGAIN: Duration = Duration::from_secs(15);

type Plugins = BTreeMap<ProviderKey, Arc<Plugin>>;

fn plugins(checked: &Checked, measurements: &Measurements) -> Result<Plugins> {
    let program = own_program()?;
    let mut plugins = Plugins::new();
    let mut problems = Vec::new();
    for setup in &checked.providers {
        let sha256 = (!setup.provider.sha256.is_empty()).then_some(setup.provider.sha256.as_str());
        match PluginFile::check(&setup.provider.plugin, sha256) {
            Ok(file) => {
                let plugin = plugin(&checked.installation, setup, file, program.clone()).measured(measurements.clone());
                plugins.insert(setup.key.clone(), Arc::new(plugin));
            }
            Err(error) => problems.push(format!("providers.{}: {error}", setup.key.provider)),
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(plugins)
}

/// The running file itself, also after it was replaced on disk.
fn own_program() -> Result<PathBuf> {
    let program = PathBuf::from("/proc/self/exe");
    program.try_exists().context("/proc is not mounted; plugins run as children of this program")?;
    std::env::current_exe().context("the daemon's own program can't be found")
}

fn plugin(installation: &str, setup: &ProviderSetup, file: PluginFile, program: PathBuf) -> Plugin {
    let provider = &setup.provider;
    let configure = ConfigureRequest {
        installation: installation.to_owned(),
        config_json: serde_json::Value::Object(provider.settings.clone()).to_string(),
        credential_json: setup.credential_json.expose_secret().as_bytes().to_vec(),
        endpoint_override: provider.endpoint_override.clone(),
    };
    let options = PluginOptions {
        program,
        call_deadline: provider.call_deadline.get(),
        calls_max: provider.calls_max,
        time_scale: provider.time_scale,
        memory_max_mib: provider.memory_max_mib,
        environment: provider.environment.clone(),
        sandbox: provider.sandbox.clone(),
    };
    let (at, settings) = (setup.key.to_string(), setup.credentials.clone());
    Plugin::new(setup.key.clone(), file, configure, options).renewed_by(CredentialSource::new(move || {
        let read = resolve(&at, &settings).map_err(|problems| problems.join("; "))?;
        Ok(read.expose_secret().as_bytes().to_vec())
    }))
}

/// Starts every plugin in the background; one that does not start is tried again and again.
fn start_plugins(plugins: Plugins, tasks: &TaskTracker, stop: &CancellationToken) -> Arc<PluginHost> {
    for (key, plugin) in &plugins {
        let (key, plugin, stop) = (key.clone(), Arc::clone(plugin), stop.clone());
        tasks.spawn(async move {
            // Until it came up once: a class whose plugin never did takes no tenants, so no call would start it.
            while let Some(started) = stop.run_until_cancelled(plugin.start()).await {
                let Err(error) = started else {
                    tracing::info!(plugin = %key, "plugin is ready");
                    return;
                };
                tracing::error!(plugin = %key, %error, remedy = error.remedy, "plugin does not start");
                if stop.run_until_cancelled(tokio::time::sleep(START_AGAIN)).await.is_none() {
                    return;
                }
            }
        });
    }
    Arc::new(PluginHost::new(plugins))
}

fn cluster_access(
    installation: String,
    store: Arc<Store>,
    providers: Arc<PluginHost>,
    clusters: &in_cluster::InCluster,
) -> ClusterAccess {
    let apps = clusters.apps.clone().map(|apps| apps as Arc<dyn TenantApps>);
    ClusterAccess { installation, store, providers, isolation: clusters.isolation.clone(), apps }
}

/// Unique for every start: a lease of an earlier run is never taken for our own.
fn daemon_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn engine_options(config: &Config, checked: &Checked, daemon: &str) -> EngineOptions {
    let engine = &config.engine;
    let mut providers = BTreeMap::new();
    for setup in &checked.providers {
        let figures = |bucket: &crate::config::RateBucket| BucketFigures {
            rate_per_second: bucket.rate_per_second,
            burst: bucket.burst,
        };
        let buckets = &setup.provider.rate_buckets;
        let options = ProviderOptions {
            time_scale: setup.provider.time_scale,
            buckets: buckets.iter().map(|(name, bucket)| (name.clone(), figures(bucket))).collect(),
        };
        providers.insert(setup.key.provider.clone(), options);
    }
    EngineOptions {
        installation: checked.installation.clone(),
        owner: daemon.to_owned(),
        passes_max: engine.passes_max,
        lease_ttl: engine.lease_ttl.get(),
        resync_interval: engine.resync_interval.get(),
        capacity_interval: engine.capacity_interval.get(),
        teardown_timeout: engine.teardown_timeout.get(),
        retry_timeout: engine.retry_timeout.get(),
        drain_deadline: engine.drain_deadline.get(),
        in_cluster_time_scale: 1.0,
        providers,
        certificate_limits: config.acme_limits.values().map(AcmeLimits::limits).collect(),
    }
}
