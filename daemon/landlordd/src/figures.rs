//! Figures of the whole daemon: registers what each part measures, and samples what must be requested. Knows none of the parts'
//! figures itself, but for those that the store counts.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use landlord_auth::tls::TlsFigures;
use landlord_core::ports::{DaemonStore as _, Leases, Statistics, StatisticsStore as _};
use landlord_deploy::DeployFigures;
use landlord_engine::{AvailabilityFigures, EngineHandle};
use landlord_grpc::RpcFigures;
use landlord_plugin_host::Measurements;
use landlord_store::Store;
use landlord_webhooks::WebhookFigures;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config::Config, metrics};

/// Between two samples; most scrapers ask every 15 to 60 s.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct EnvironmentLabels {
    kind: &'static str,
    provider: String,
    class: String,
    state: String,
}

type Seconds = Gauge<f64, AtomicU64>;

/// What the store counts. Every daemon on one store shows the same.
#[derive(Debug, Default)]
pub(crate) struct StoreCounts {
    environments: Family<EnvironmentLabels, Gauge>,
    known: BTreeSet<EnvironmentLabels>,
    due: Gauge,
    longest_due: Seconds,
    operations: Gauge,
    oldest_operation: Seconds,
    certificates_waiting: Gauge,
    leases: Family<LeaseLabels, Gauge>,
}

/// Of what: environments that are worked on, cloud accounts whose calls this daemon makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    kind: &'static str,
}

impl StoreCounts {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let environments =
            "Tenants and host clusters by provider, class and state; the same at every daemon on one store";
        registry.register("landlord_environments", environments, self.environments.clone());
        let due = "Environments that are due and that nobody has claimed yet";
        registry.register("landlord_engine_due", due, self.due.clone());
        let longest = "How long the first of them has been due";
        registry.register_with_unit("landlord_engine_longest_due", longest, Unit::Seconds, self.longest_due.clone());
        registry.register("landlord_operations_running", "Operations that run", self.operations.clone());
        let oldest = "How long the oldest operation has been running that waits for no certificate";
        let name = "landlord_operations_oldest_running";
        registry.register_with_unit(name, oldest, Unit::Seconds, self.oldest_operation.clone());
        let certificates = "Operations that wait for a certificate, since acme_limits leaves no place for it now";
        registry.register("landlord_certificates_waiting", certificates, self.certificates_waiting.clone());
        let leases = "Leases that this daemon holds, by kind (environment, account)";
        registry.register("landlord_leases_held", leases, self.leases.clone());
    }

    /// What this daemon holds by the store.
    fn set_leases(&self, held: Leases) {
        for (kind, held) in [("environment", held.environments), ("account", held.accounts)] {
            self.leases.get_or_create(&LeaseLabels { kind }).set(i64::try_from(held).unwrap_or(i64::MAX));
        }
    }

    fn set(&mut self, statistics: Statistics) {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mut gone = std::mem::take(&mut self.known);
        for found in statistics.environments {
            let kind = if found.is_host_cluster { "host_cluster" } else { "tenant" };
            let labels = EnvironmentLabels { kind, provider: found.provider, class: found.class, state: found.state };
            self.environments.get_or_create(&labels).set(count(found.count));
            gone.remove(&labels);
            self.known.insert(labels);
        }
        for labels in gone {
            self.environments.remove(&labels);
        }
        self.due.set(count(statistics.due));
        self.longest_due.set(statistics.longest_due.as_secs_f64());
        self.operations.set(count(statistics.operations));
        self.oldest_operation.set(statistics.oldest_operation.as_secs_f64());
        self.certificates_waiting.set(count(statistics.certificates_waiting));
    }

    /// Samples until cancelled.
    pub(crate) async fn sample(
        mut self,
        (store, daemon): (Store, String),
        engine: EngineHandle,
        stop: CancellationToken,
    ) {
        loop {
            engine.measure();
            store.measure().await;
            match store.statistics().await {
                Ok(statistics) => self.set(statistics),
                Err(error) => tracing::warn!(%error, "figures of the store are those of before"),
            }
            match store.leases(&daemon).await {
                Ok(held) => self.set_leases(held),
                Err(error) => tracing::warn!(%error, "how many leases are held is not known"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(SAMPLE_INTERVAL)).await.is_none() {
                return;
            }
        }
    }
}

/// What is known of the process from its start on.
pub(crate) fn register_process(registry: &mut Registry) {
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("landlord_build", "Version of the daemon", version);
    let started = Seconds::default();
    started.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    registry.register_with_unit("landlord_start_time", "When the daemon started, Unix time", Unit::Seconds, started);
}

/// What is measured, by who measures it.
pub(crate) struct Figures {
    plugins: Measurements,
    tls: TlsFigures,
    store: Store,
    /// This daemon, as the store knows it.
    daemon: String,
    engine: EngineHandle,
    /// Of Helm, where a class has a stack or a platform.
    deploy: Option<DeployFigures>,
    pub(crate) watch: AvailabilityFigures,
    /// Of webhooks: whoever delivers them counts.
    pub(crate) webhooks: WebhookFigures,
}

impl Figures {
    pub(crate) fn new(
        (plugins, tls): (Measurements, TlsFigures),
        (store, daemon): (Store, String),
        engine: EngineHandle,
        deploy: Option<DeployFigures>,
    ) -> Self {
        let (watch, webhooks) = (AvailabilityFigures::default(), WebhookFigures::default());
        Self { plugins, tls, store, daemon, engine, deploy, watch, webhooks }
    }

    /// Serves and samples the figures, if an address is configured. Gives those of the API.
    pub(crate) async fn serve(
        self,
        config: &Config,
        ready: Arc<AtomicBool>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<RpcFigures> {
        let rpcs = RpcFigures::default();
        if config.server.metrics_listen.is_empty() {
            return Ok(rpcs);
        }
        let mut registry = Registry::default();
        register_process(&mut registry);
        self.plugins.register(&mut registry);
        self.tls.register(&mut registry);
        self.store.figures().register(&mut registry);
        self.engine.figures().register(&mut registry);
        self.watch.register(&mut registry);
        self.webhooks.register(&mut registry);
        if let Some(deploy) = &self.deploy {
            deploy.register(&mut registry);
        }
        rpcs.register(&mut registry);
        let counts = StoreCounts::default();
        counts.register(&mut registry);
        let listener = metrics::bind(config.server.metrics_listen.parse()?).await?;
        tasks.spawn(metrics::serve(listener, registry, ready, stop.clone()));
        tasks.spawn(counts.sample((self.store, self.daemon), self.engine, stop.clone()));
        Ok(rpcs)
    }
}
