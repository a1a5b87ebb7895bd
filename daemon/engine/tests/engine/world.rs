//! A real store, the judging cloud, and daemons' lives that can end at any boundary.

use std::{
    collections::BTreeMap,
    future::pending,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use landlord_core::{
    Amounts, CertificateOrder, CustomerRole, EnvironmentName, HostClusterSpec, HostSelector, Level, NodeScaling,
    Operation, OperationId, OperationOutcome, Placement, State, TenantName, TenantSpec,
    certificate::{Allowance, OrderLimits},
    environment::{Adoption, HostClusterInput, SpecInput},
    fleet::Growth,
    isolation::IsolationSettings,
    node_scaling::{Karpenter, NodeClassRef},
    ports::{
        Change, Claim, Commit, DeleteRequest, EnvironmentPatch, NewHostCluster, NewTenant, ProviderKey, RequestContext,
        StoreError, TenantStore, Wake, Work, WorkStore,
    },
    revision::{RevisionId, Revisions},
};
use landlord_engine::{Engine, EngineHandle, EngineOptions, EnginePorts, HostInventories, ProviderOptions};
use landlord_store::{SqliteOptions, Store, sqlite};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, RwLock},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cloud::{Cloud, Faults, Only, Scripted},
    isolated::IsolationOnly,
};

/// A lifecycle takes about a second; a machine may be busy with other things.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The store is inspected when something was committed, and this often.
const POLL: Duration = Duration::from_millis(250);
/// What is reserved for each tenant of level NAMESPACE: three fit into what the cloud's host clusters have.
const RESERVE: Amounts = Amounts { cpu_milli: 3_000, memory_mib: 4_096, pods: 20 };
/// A hundred times faster than a cloud.
const TIME_SCALE: f64 = 0.01;

/// One life of a daemon. When it is over, nothing that it began goes on.
#[derive(Debug, Default)]
pub(crate) struct Life {
    steps: AtomicU64,
    ends_at: Option<u64>,
    over: AtomicBool,
    ended: Notify,
    /// Held by every transaction under way: a process that was killed begins none any more, and the database has
    /// ended what it began before the next process opens it.
    transactions: RwLock<()>,
}

impl Life {
    /// A life that ends at a boundary; `None`: never.
    pub(crate) fn until(ends_at: Option<u64>) -> Arc<Self> {
        Arc::new(Self { ends_at, ..Self::default() })
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Boundaries passed.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    /// A moment at which a kill makes a difference: before a call, when its intent is durable, and before a commit, when
    /// what it reports has happened. What comes after a call or a commit is before the next one.
    pub(crate) async fn boundary(&self) {
        if self.is_over() {
            pending::<()>().await;
        }
        if Some(self.steps.fetch_add(1, Ordering::SeqCst)) == self.ends_at {
            self.over.store(true, Ordering::SeqCst);
            self.ended.notify_one();
            pending::<()>().await;
        }
    }

    /// One transaction of this life; none when it is over, and none is seen to end after that.
    async fn transaction<T>(&self, work: impl Future<Output = T>) -> T {
        let under_way = self.transactions.read().await;
        if !self.is_over() {
            let result = work.await;
            if !self.is_over() {
                return result;
            }
        }
        drop(under_way);
        pending().await
    }

    /// Ends it now, if it has not ended, and waits until the database is free of it.
    async fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        drop(self.transactions.write().await);
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }
}

/// The store as one life sees it.
struct Mortal {
    store: Store,
    life: Arc<Life>,
    cloud: Arc<Cloud>,
    /// Whether other daemons live: then only time ends leases.
    shared: bool,
    /// A tenant may have come to rest.
    changed: Arc<Notify>,
    /// Claims nothing for now.
    holds_off: Arc<AtomicBool>,
}

#[async_trait]
impl WorkStore for Mortal {
    async fn claim(&self, owner: &str, limit: u32, lease_ttl: Duration) -> Result<Vec<Claim>, StoreError> {
        if self.holds_off.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        self.life.transaction(self.store.claim(owner, limit, lease_ttl)).await
    }

    async fn load(&self, claim: &Claim) -> Result<Work, StoreError> {
        self.life.transaction(self.store.load(claim)).await
    }

    async fn renew(&self, claim: &Claim, lease_ttl: Duration) -> Result<(), StoreError> {
        self.life.transaction(self.store.renew(claim, lease_ttl)).await
    }

    async fn commit(&self, claim: &Claim, commit: Commit) -> Result<(), StoreError> {
        self.life.boundary().await;
        let uid = claim.uid.to_string();
        let intents: Vec<_> =
            commit.stages.iter().map(|record| (record.desired_state, record.stage.to_string())).collect();
        let removes = commit.remove;
        let shown = removes || commit.environment != EnvironmentPatch::default();
        let committed = async {
            self.store.commit(claim, commit).await?;
            for (desired_state, stage) in intents {
                self.cloud.intended(&uid, desired_state, &stage);
            }
            if removes {
                self.cloud.forgotten(&uid);
            }
            Ok::<(), StoreError>(())
        };
        self.life.transaction(committed).await?;
        if shown {
            self.changed.notify_waiters();
        }
        Ok(())
    }

    async fn order_certificate(
        &self,
        claim: &Claim,
        order: &CertificateOrder,
        limits: &OrderLimits,
        served: bool,
    ) -> Result<Allowance, StoreError> {
        self.life.transaction(self.store.order_certificate(claim, order, limits, served)).await
    }

    async fn next_due(&self, owner: &str) -> Result<Option<Duration>, StoreError> {
        self.life.transaction(self.store.next_due(owner)).await
    }

    async fn clamp_dues(&self, longest: Duration) -> Result<u64, StoreError> {
        self.life.transaction(self.store.clamp_dues(longest)).await
    }

    async fn recover_leases(&self) -> Result<u64, StoreError> {
        if self.shared { Ok(0) } else { self.life.transaction(self.store.recover_leases()).await }
    }
}

/// Everything.
pub(crate) struct World {
    _folder: TempDir,
    pub(crate) store: Store,
    pub(crate) cloud: Arc<Cloud>,
    shared: bool,
    changed: Arc<Notify>,
    /// The engine claims nothing for now.
    pub(crate) holds_off: Arc<AtomicBool>,
    /// How often host clusters are counted.
    pub(crate) capacity_interval: Duration,
    /// How often what is READY is observed again.
    pub(crate) resync_interval: Duration,
    /// How long transient errors are retried, before scaling.
    pub(crate) retry_timeout: Duration,
    /// What times of clouds and clusters are multiplied by.
    pub(crate) time_scale: f64,
    /// How many certificates an authority gives.
    pub(crate) certificate_limits: BTreeMap<String, OrderLimits>,
    engines: JoinSet<()>,
    stops: Vec<CancellationToken>,
    handles: Vec<EngineHandle>,
}

impl World {
    /// A new one. `shared`: several daemons live at once.
    pub(crate) async fn new(shared: bool) -> Self {
        // What a kill of the process leaves does not depend on the disk: where there is a folder in memory, it is used.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let store =
            sqlite::open(&folder.path().join("store.db"), SqliteOptions { create: true, ..SqliteOptions::default() })
                .await
                .unwrap();
        Self {
            _folder: folder,
            store,
            cloud: Arc::default(),
            shared,
            changed: Arc::default(),
            holds_off: Arc::default(),
            capacity_interval: Duration::from_secs(300),
            resync_interval: Duration::from_secs(1_800),
            retry_timeout: Duration::from_secs(3_600),
            time_scale: TIME_SCALE,
            certificate_limits: BTreeMap::new(),
            engines: JoinSet::new(),
            stops: Vec::new(),
            handles: Vec::new(),
        }
    }

    /// Starts a daemon.
    pub(crate) fn start(&mut self, life: Arc<Life>, faults: Faults) {
        self.start_until(CancellationToken::new(), life, faults);
    }

    /// Starts a daemon that ends in order when its token says so.
    pub(crate) fn start_until(&mut self, stop: CancellationToken, life: Arc<Life>, faults: Faults) {
        let options = EngineOptions {
            installation: "test".into(),
            owner: format!("owner-{}", self.stops.len()),
            passes_max: 64,
            lease_ttl: Duration::from_secs(30),
            resync_interval: self.resync_interval,
            capacity_interval: self.capacity_interval,
            teardown_timeout: Duration::from_secs(600),
            retry_timeout: self.retry_timeout,
            drain_deadline: Duration::from_secs(5),
            in_cluster_time_scale: self.time_scale,
            providers: [(
                "cloud".parse().unwrap(),
                ProviderOptions { time_scale: self.time_scale, buckets: BTreeMap::new() },
            )]
            .into(),
            certificate_limits: self.certificate_limits.clone(),
        };
        let (cloud, store) = (Arc::clone(&self.cloud), self.store.clone());
        let mortal = Mortal {
            store,
            life: Arc::clone(&life),
            cloud: Arc::clone(&cloud),
            shared: self.shared,
            changed: Arc::clone(&self.changed),
            holds_off: Arc::clone(&self.holds_off),
        };
        let scripted = Arc::new(Scripted { cloud, life, faults });
        let isolated = Arc::new(IsolationOnly(Arc::clone(&scripted)));
        let providers = Arc::new(Only(scripted));
        let ports = EnginePorts {
            store: Arc::new(mortal),
            providers,
            apps: Some(isolated.clone()),
            isolation: isolated.clone(),
            host_clusters: isolated,
        };
        let (engine, handle) = Engine::new(options, ports);
        let running = engine.run(stop.clone());
        self.engines.spawn(async move {
            let _ = running.await;
        });
        self.stops.push(stop);
        self.handles.push(handle);
    }

    /// What compares the namespaces of its host clusters.
    pub(crate) fn host_inventories(&self, daemon: &str) -> HostInventories {
        let (cloud, life, faults) = (Arc::clone(&self.cloud), Life::until(None), crate::no_faults());
        let scripted = Arc::new(Scripted { cloud, life, faults });
        HostInventories {
            installation: "test".into(),
            daemon: daemon.into(),
            store: Arc::new(self.store.clone()),
            providers: Arc::new(Only(Arc::clone(&scripted))),
            host_clusters: Arc::new(IsolationOnly(scripted)),
        }
    }

    /// Starts a daemon in the place of one that was killed, or is killed now.
    pub(crate) async fn start_after(&mut self, life: &Life, faults: Faults) -> Arc<Life> {
        life.end().await;
        let next = Life::until(None);
        self.start(Arc::clone(&next), faults);
        next
    }

    /// Ends all daemons where they are.
    pub(crate) fn stop_at_once(self) {
        for stop in &self.stops {
            stop.cancel();
        }
    }

    /// Stops all daemons in order.
    pub(crate) async fn stop(mut self) {
        for stop in &self.stops {
            stop.cancel();
        }
        self.ended().await;
    }

    /// Waits until all daemons have ended.
    pub(crate) async fn ended(&mut self) {
        while let Some(ended) = self.engines.join_next().await {
            ended.unwrap();
        }
    }

    pub(crate) fn wake(&self) {
        self.handles.iter().for_each(Wake::wake);
    }

    /// Orders a tenant.
    pub(crate) async fn create(&self, name: &EnvironmentName) -> Operation {
        self.order(new_tenant(name)).await
    }

    /// Orders a tenant whose own cluster gets more nodes by a provisioner in it.
    pub(crate) async fn create_scaled(&self, name: &EnvironmentName) -> Operation {
        let placement = Placement { node_scaling: Some(scaling()), ..placement() };
        self.order(NewTenant { placement, ..new_tenant(name) }).await
    }

    /// Orders a tenant with a stack.
    pub(crate) async fn create_with_stack(&self, name: &EnvironmentName, stack: &str) -> Operation {
        let placement = Placement { stack: Some(stack.parse().unwrap()), ..placement() };
        self.order(NewTenant { placement, ..new_tenant(name) }).await
    }

    /// Orders a tenant that stays what it is with other revisions, on trial, of a class that gives its customer this role.
    pub(crate) async fn renew(&self, name: &EnvironmentName, role: CustomerRole) -> Operation {
        let mut placement = self.store.get(name).await.unwrap().placement;
        placement.service.customer_role = role;
        let change = Change::Renew { placement };
        let accepted = self.store.change(name, landlord_core::Precondition::None, change, request()).await.unwrap();
        self.wake();
        accepted.operation
    }

    /// Accepts a tenant; the engine gets no hint of it.
    pub(crate) async fn accept(&self, name: &EnvironmentName) {
        self.store.create(new_tenant(name)).await.unwrap();
    }

    /// Orders a tenant of a shared level, in a host cluster that is there or, if `grow`, a new one.
    pub(crate) async fn create_shared(&self, name: &EnvironmentName, level: Level, grow: bool) -> Operation {
        self.try_create_shared(name, level, grow).await.unwrap()
    }

    /// The same, perhaps refused.
    pub(crate) async fn try_create_shared(
        &self,
        name: &EnvironmentName,
        level: Level,
        grow: bool,
    ) -> Result<Operation, StoreError> {
        let growth = Growth { spec: host_spec(None), placement: placement(), host_clusters_max: 1 };
        let hosts = HostSelector {
            provider: "cloud".parse().unwrap(),
            credentials: None,
            region: "here".into(),
            labels: BTreeMap::new(),
            reserve: if level == Level::Namespace { RESERVE } else { Amounts::default() },
            growth: grow.then_some(growth),
        };
        let placement = Placement {
            level,
            guardrails: Some(IsolationSettings::default()),
            node_scaling: (level == Level::Node).then(scaling),
            ..placement()
        };
        self.try_order(NewTenant {
            adopt: None,
            name: tenant_name(name),
            spec: spec_of(name),
            placement,
            hosts: Some(hosts),
            request: request(),
        })
        .await
    }

    async fn order(&self, new: NewTenant) -> Operation {
        self.try_order(new).await.unwrap()
    }

    async fn try_order(&self, new: NewTenant) -> Result<Operation, StoreError> {
        let accepted = self.store.create(new).await?;
        self.wake();
        Ok(accepted.operation)
    }

    /// Orders a host cluster, or adopts one.
    pub(crate) async fn create_host_cluster(&self, id: &str, adoption: Option<Adoption>) -> Operation {
        self.order_host_cluster(id, host_spec(adoption), placement()).await
    }

    /// Orders a host cluster with this revision of a platform.
    pub(crate) async fn create_host_cluster_with(&self, id: &str, revision: RevisionId) -> Operation {
        let revisions = Revisions { platform: Some(revision), ..Revisions::default() };
        let placement = Placement { platform: "gates".parse().ok(), revisions, ..placement() };
        self.order_host_cluster(id, host_spec(None), placement).await
    }

    async fn order_host_cluster(&self, id: &str, spec: HostClusterSpec, placement: Placement) -> Operation {
        let new = NewHostCluster { id: id.parse().unwrap(), spec, placement, request: request() };
        let accepted = self.store.create_host_cluster(new).await.unwrap();
        self.wake();
        accepted.operation
    }

    /// Brings an environment to this revision of its platform.
    pub(crate) async fn renew_platform(&self, name: &EnvironmentName, revision: RevisionId) -> Operation {
        let mut placement = self.store.get(name).await.unwrap().placement;
        placement.revisions.platform = Some(revision);
        let change = Change::Renew { placement };
        let accepted = self.store.change(name, landlord_core::Precondition::None, change, request()).await.unwrap();
        self.wake();
        accepted.operation
    }

    /// How an operation ends.
    pub(crate) async fn outcome(&self, id: OperationId) -> OperationOutcome {
        self.until(async || self.store.operation(id).await.unwrap().outcome.ok_or_else(|| format!("{id} never ends")))
            .await
    }

    /// Tries to remove a host cluster; returns whether that was refused because of its tenants.
    pub(crate) async fn is_in_use(&self, name: &EnvironmentName) -> bool {
        let delete = DeleteRequest { force: true, precondition: landlord_core::Precondition::None, request: request() };
        match self.store.delete(name, delete).await {
            Ok(_) => false,
            Err(StoreError::HostInUse { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    }

    /// Has a delete go on without what can't be reached.
    pub(crate) async fn force(&self, name: &EnvironmentName) -> Operation {
        let delete = DeleteRequest { force: true, precondition: landlord_core::Precondition::None, request: request() };
        let accepted = self.store.delete(name, delete).await.unwrap();
        self.wake();
        accepted.operation
    }

    /// Has a failed tenant retried.
    pub(crate) async fn retry(&self, name: &EnvironmentName) -> Operation {
        let accepted =
            self.store.change(name, landlord_core::Precondition::None, Change::Retry, request()).await.unwrap();
        self.wake();
        accepted.operation
    }

    /// Cancels an operation.
    pub(crate) async fn cancel(&self, id: OperationId) {
        self.store.cancel(id, request()).await.unwrap();
        self.wake();
    }

    /// Orders a tenant's end.
    pub(crate) async fn delete(&self, name: &EnvironmentName) -> Operation {
        let delete =
            DeleteRequest { force: false, precondition: landlord_core::Precondition::None, request: request() };
        let accepted = self.store.delete(name, delete).await.unwrap();
        self.wake();
        accepted.operation
    }

    /// Waits for a state; `None`: for its end.
    pub(crate) async fn wait_for(&self, name: &EnvironmentName, wanted: Option<State>) {
        self.until(async || {
            let state = match self.store.get(name).await {
                Ok(tenant) => Some(tenant.status.state),
                Err(StoreError::NotFound(_)) => None,
                Err(error) => panic!("{error}"),
            };
            if state == wanted { Ok(()) } else { Err(format!("{name} is {state:?}, not {wanted:?}")) }
        })
        .await;
    }

    /// Waits for what is in the store; meanwhile `look` says why it is not there.
    async fn until<T>(&self, look: impl AsyncFn() -> Result<T, String>) -> T {
        let since = Instant::now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let why = match look().await {
                Ok(seen) => return seen,
                Err(why) => why,
            };
            assert!(since.elapsed() < TIMEOUT, "{why}; violations: {:?}", self.cloud.violations());
            let _ = tokio::time::timeout(POLL, changed).await;
        }
    }
}

fn tenant_name(name: &EnvironmentName) -> TenantName {
    name.tenant().unwrap().clone()
}

/// Every tenant has a domain of its own.
fn spec_of(name: &EnvironmentName) -> TenantSpec {
    let name = tenant_name(name);
    let domain = format!("{}.{}.example.com", name.tenant.as_str(), name.customer.as_str());
    TenantSpec { domain: domain.try_into().unwrap(), ..spec() }
}

fn spec() -> TenantSpec {
    let input = SpecInput { domain: "a.example.com".into(), storage_gib: 1, ..SpecInput::default() };
    TenantSpec::parse(input).unwrap()
}

fn host_spec(adoption: Option<Adoption>) -> HostClusterSpec {
    HostClusterSpec::parse(HostClusterInput { tenants_max: 5, adoption, ..HostClusterInput::default() }).unwrap()
}

pub(crate) fn request() -> RequestContext {
    RequestContext::of_daemon()
}

/// Two nodes beyond the one that is always there, made by a provisioner in the cluster.
fn scaling() -> NodeScaling {
    let node_class = NodeClassRef { group: "g".into(), kind: "k".into(), name: "n".into() };
    let karpenter =
        Karpenter { node_class, limits: [("cpu".to_owned(), "8".to_owned())].into(), requirements: Vec::new() };
    NodeScaling { nodes_max: 3, karpenter: Some(karpenter) }
}

fn placement() -> Placement {
    let key = ProviderKey { provider: "cloud".parse().unwrap(), credentials: "default".into() };
    let placement =
        Placement::without_choices("small".parse().unwrap(), Level::Cluster, key, String::new(), "here".into());
    Placement { machine_type: "m".into(), node_count: 1, ..placement }
}

fn new_tenant(name: &EnvironmentName) -> NewTenant {
    NewTenant {
        adopt: None,
        name: tenant_name(name),
        spec: spec_of(name),
        placement: placement(),
        hosts: None,
        request: request(),
    }
}
