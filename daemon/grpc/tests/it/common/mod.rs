//! A real server on a Unix socket over a real store. The engine's place is taken by the tests,
//! which write through the store's face for it; plugins' and clusters' responses are made up here.

#![allow(clippy::unwrap_used, missing_docs, dead_code, unreachable_pub, reason = "shared by several test programs")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use landlord_auth::{authenticator::Callers, policy::Policies, principals::LocalUsers};
use landlord_core::{
    Catalog, Class, CurrentCatalog, DesiredState, Environment, ErrorKind, Failure, Level, Measured, Observation,
    OperationOutcome, PlacementRule, Residencies, Residency, StackName, Stage, StageRecord, StageState, State,
    Timestamp, Violation,
    access::{AuthMethod, OPERATORS, Principal},
    environment::EnvironmentStatus,
    fleet::HostRule,
    journal,
    ports::{
        AccessAddress, AccessFacts, Authenticator, Authorizer, CertificateState, CheckOutcome, CheckResult, Claim,
        Commit, CredentialFact, CustomerAccess, EnvironmentPatch, FieldDiff, Handover, HeldTenant, KubeAccess,
        KubeCredentials, KubeIdentity, LogLine, LogQuery, LogSink, NewEvent, ObjectDiff, OperationEnd, ParkedEvent,
        Peer, ProviderHealth, ProviderKey, Providers, RotationEffect, RotationFailure, RotationReached, StackParameter,
        Stacks, StoreError, TenantDiff, TenantLogs, TenantStore as _, TestDelivery, Unauthenticated, Verifier, Wake,
        WebhookState, WebhookView, Webhooks, WorkStore,
    },
};
use landlord_grpc::{Limits, Listen, ListenBounds, ListenTcp, OpaqueTokens, Ports, RpcFigures, ServeError};
use landlord_proto::{
    google::longrunning::{Operation, operations_client::OperationsClient},
    v1::{
        self, host_cluster_service_client::HostClusterServiceClient, provider_service_client::ProviderServiceClient,
        tenant_service_client::TenantServiceClient,
    },
};
use landlord_store::{SqliteOptions, Store, sqlite};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Endpoint, Uri},
};
use tonic_types::StatusExt as _;

/// Who knows the callers, and what they may do.
pub type AccessPorts = (Arc<dyn Authenticator>, Arc<dyn Authorizer>);

pub struct Daemon {
    pub socket: PathBuf,
    pub store: Store,
    pub woken: Arc<AtomicUsize>,
    pub up: Arc<AtomicBool>,
    pub stop: CancellationToken,
    pub served: JoinHandle<Result<(), ServeError>>,
    pub folder: Arc<tempfile::TempDir>,
    pub tcp: Option<std::net::SocketAddr>,
}

#[derive(Default)]
struct Wakes(Arc<AtomicUsize>);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Plugins(Arc<AtomicBool>);

impl Providers for Plugins {
    fn provider(&self, _: &ProviderKey) -> Result<Arc<dyn landlord_provider_api::Provider>, Failure> {
        panic!("the API never calls a provider")
    }

    fn description(&self, _: &ProviderKey) -> Option<landlord_provider_api::v1::DescribeResponse> {
        None
    }

    fn start_failure(&self, _: &ProviderKey) -> Option<String> {
        (!self.0.load(Ordering::SeqCst)).then(|| "its start failed".into())
    }

    fn health(&self) -> Vec<ProviderHealth> {
        vec![ProviderHealth {
            key: ProviderKey { provider: "sky".parse().unwrap(), credentials: "main".into() },
            healthy: self.0.load(Ordering::SeqCst),
            detail: "runs".into(),
            path: "/plugins/sky.so".into(),
            sha256: "ab".into(),
            pid: Some(7),
            restarts: 2,
            ready_time: Some(Timestamp(1_000)),
            description: None,
        }]
    }
}

/// The stack `desk` has one app, which leaves `colour` to tenants.
pub struct OneStack;

impl Stacks for OneStack {
    fn check(&self, stack: &StackName, values: &serde_json::Map<String, serde_json::Value>) -> Vec<Violation> {
        assert_eq!(stack.as_str(), "desk");
        let mut violations = Vec::new();
        for (app, values) in values {
            for (key, value) in values.as_object().into_iter().flatten() {
                if (app.as_str(), key.as_str(), value.is_string()) != ("lamp", "colour", true) {
                    let field = format!("stack_values.{app}.{key}");
                    violations.push(Violation { field, description: "can't be set".into() });
                }
            }
        }
        violations
    }

    fn parameters(&self, _: &StackName) -> Vec<StackParameter> {
        let schema = Some(serde_json::json!({"type": "string"}));
        vec![StackParameter { path: "lamp.colour".into(), schema, default_value: Some("white".into()) }]
    }
}

/// The webhook `portal` knows one event, `evt_1`.
pub struct OneWebhook;

#[async_trait::async_trait]
impl Webhooks for OneWebhook {
    async fn webhooks(&self) -> Result<Vec<WebhookView>, StoreError> {
        let tenant =
            || landlord_core::TenantName { customer: "acme".parse().unwrap(), tenant: "prod".parse().unwrap() };
        let state = WebhookState {
            name: "portal".into(),
            daemon: Some("this".into()),
            position: 9,
            failing_since: Some(Timestamp(1_000)),
            held: vec![HeldTenant {
                tenant: tenant(),
                position: 7,
                attempts: 3,
                since: Some(Timestamp(1_000)),
                next_time: Timestamp(9_000),
                error: "503".into(),
            }],
            delivered_count: 5,
            missed_count: 0,
            parked_count: 1,
            delivery_time: None,
            error: "503".into(),
        };
        let parked = ParkedEvent {
            position: 3,
            tenant: tenant(),
            event_type: "dev.landlord.tenant.ready".into(),
            event_time: Timestamp(1),
            park_time: Timestamp(2),
            attempts: 800,
            error: "503".into(),
        };
        Ok(vec![WebhookView {
            name: "portal".into(),
            url: "https://portal.example.com/hooks".into(),
            event_types: Vec::new(),
            customers: vec!["acme".parse().unwrap()],
            state: Some((state, vec!["evt_7".into()])),
            parked: vec![("evt_3".into(), parked)],
        }])
    }

    fn position(&self, event_id: &str) -> Option<i64> {
        event_id.strip_prefix("evt_")?.parse().ok()
    }

    async fn replay(&self, name: &str, _: i64) -> Result<(), StoreError> {
        if name == "portal" { Ok(()) } else { Err(StoreError::NotFound(format!("webhooks/{name}"))) }
    }

    async fn test(&self, name: &str) -> Result<TestDelivery, StoreError> {
        self.replay(name, 0).await?;
        let duration = Duration::from_millis(7);
        Ok(TestDelivery { event_id: "test_1".into(), status: Some(204), error: String::new(), duration })
    }
}

/// Clusters exist from READY on.
pub struct Clusters;

#[async_trait::async_trait]
impl KubeAccess for Clusters {
    async fn access(&self, tenant: &Environment) -> Result<KubeCredentials, Failure> {
        if tenant.status.state != State::Ready {
            let failure = Failure::new(ErrorKind::Conflict, format!("{} has no cluster yet", tenant.name()));
            return Err(failure.with_remedy("wait until it is READY"));
        }
        Ok(KubeCredentials {
            endpoint: "https://kube.example.com".into(),
            ca_pem: "PEM".into(),
            identity: KubeIdentity::Token("token-of-an-operator".to_owned().into()),
            expire_time: Some(Timestamp(60_000)),
        })
    }

    async fn customer_access(&self, tenant: &Environment, duration: Duration) -> Result<CustomerAccess, Failure> {
        let access = self.access(tenant).await?;
        let identity = KubeIdentity::Token("token-of-a-customer".to_owned().into());
        let kube = KubeCredentials { identity, expire_time: Some(Timestamp(0).after(duration)), ..access };
        Ok(CustomerAccess { kube, namespace: format!("tenant-{}", tenant.name().id()) })
    }
}

/// The chatbot has forgotten its files; what needs an answer is not run.
#[async_trait::async_trait]
impl Verifier for Clusters {
    async fn verify(&self, tenant: &Environment) -> Result<Vec<CheckResult>, Failure> {
        self.access(tenant).await?;
        let result = |name: &str, outcome, detail: &str, remedy: &str| CheckResult {
            concern: None,
            name: name.into(),
            outcome,
            detail: detail.into(),
            remedy: remedy.into(),
            duration: Duration::from_millis(1_500),
        };
        Ok(vec![
            result("sftp", CheckOutcome::Passed, "by port-forward to pod files-0", ""),
            result("chat-knows-the-file", CheckOutcome::Failed, "probe-1.txt is not known", "see container documents"),
            result("chat-answers", CheckOutcome::NotRun, "it needs chat-knows-the-file", ""),
        ])
    }
}

/// Two lines; followed, one more for ever.
#[async_trait::async_trait]
impl TenantLogs for Clusters {
    async fn logs(&self, tenant: &Environment, query: &LogQuery, sink: &dyn LogSink) -> Result<(), Failure> {
        self.access(tenant).await?;
        let line = |text: &str| LogLine {
            app: query.app.clone().unwrap_or_else(|| "lamp".into()),
            pod: "lamp-1".into(),
            container: "lamp".into(),
            text: text.into(),
        };
        for text in ["2026-11-29T10:00:00Z on", "2026-11-29T10:00:01Z off"] {
            sink.line(line(text)).await;
        }
        while query.follow && sink.line(line("2026-11-29T10:00:02Z flickers")).await {}
        Ok(())
    }
}

#[async_trait::async_trait]
impl TenantDiff for Clusters {
    async fn diff(&self, tenant: &Environment) -> Result<Vec<ObjectDiff>, Failure> {
        self.access(tenant).await?;
        let field = FieldDiff { path: "spec.colour".into(), live: "\"white\"".into(), offered: "\"red\"".into() };
        let (app, kind, name) = ("lamp".into(), "Deployment".into(), "lamp".into());
        Ok(vec![ObjectDiff { app, kind, name, change: "changed".into(), fields: vec![field] }])
    }
}

/// Rotations of the lamp's credential: one that fails before anything is changed, one that ends in doubt with a CONFLICT, one that
/// fails when the value has been replaced, and one that lasts from [`SLOW_BEGAN`] until [`SLOW_MAY_END`].
pub const FAILS_EARLY: &str = "0b7e5b0c-8a3e-4a64-9d7b-7f6a0d1f3a13";
pub const FAILS_IN_DOUBT: &str = "0b7e5b0c-8a3e-4a64-9d7b-7f6a0d1f3a14";
pub const FAILS_LATE: &str = "0b7e5b0c-8a3e-4a64-9d7b-7f6a0d1f3a11";
pub const IS_SLOW: &str = "0b7e5b0c-8a3e-4a64-9d7b-7f6a0d1f3a12";
pub static SLOW_BEGAN: AtomicBool = AtomicBool::new(false);
pub static SLOW_MAY_END: AtomicBool = AtomicBool::new(false);

/// Waits until it is so.
pub async fn so(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the lamp is switched on with. Its first value, the next after each rotation.
pub const PLANTED: &str = "planted-password-of-the-lamp";

#[async_trait::async_trait]
impl Handover for Clusters {
    fn credential_facts(&self, _: &Environment) -> Result<Vec<CredentialFact>, Failure> {
        let fact = |name: &str, app: &str, rotation| CredentialFact {
            name: name.into(),
            app: app.into(),
            addresses: vec!["lamp".into()],
            username: "acme".into(),
            rotation,
        };
        Ok(vec![fact("switch", "lamp", Some(RotationEffect::Restart)), fact("bell", "door", None)])
    }

    async fn facts(&self, tenant: &Environment) -> Result<AccessFacts, Failure> {
        self.access(tenant).await?;
        let (host, url) = ("lamp.example.com".to_owned(), "https://lamp.example.com".to_owned());
        Ok(AccessFacts {
            addresses: vec![AccessAddress { name: "lamp".into(), url, address: "192.0.2.1".into() }],
            host_keys: Vec::new(),
            certificates: vec![CertificateState { host, days_left: Some(60), problem: String::new() }],
        })
    }

    async fn credential_values(&self, tenant: &Environment, names: &[String]) -> Result<Vec<SecretString>, Failure> {
        self.access(tenant).await?;
        Ok(names.iter().map(|name| format!("{PLANTED}-{name}").into()).collect())
    }

    async fn rotate(&self, tenant: &Environment, name: &str, rotation: &str) -> Result<(), RotationFailure> {
        self.access(tenant).await?;
        let failed = |kind, why, reached| RotationFailure { failure: Box::new(Failure::new(kind, why)), reached };
        match name {
            "switch" if rotation == FAILS_LATE => {
                Err(failed(ErrorKind::Transient, "it was not seen lit", RotationReached::Unknown))
            }
            "switch" if rotation == FAILS_EARLY => {
                Err(failed(ErrorKind::Transient, "nobody opens", RotationReached::Nothing))
            }
            "switch" if rotation == FAILS_IN_DOUBT => {
                Err(failed(ErrorKind::Conflict, "it was changed, and flickers", RotationReached::Unknown))
            }
            "switch" if rotation == IS_SLOW => {
                SLOW_BEGAN.store(true, Ordering::SeqCst);
                so(&SLOW_MAY_END).await;
                Ok(())
            }
            "switch" => Ok(()),
            _ => Err(Failure::new(ErrorKind::Conflict, "it can't be rotated").with_remedy("buy another one").into()),
        }
    }
}

pub fn class(regions: &[&str]) -> Class {
    Class {
        description: String::new(),
        level: Level::Cluster,
        provider: "sky".parse().unwrap(),
        credentials: "main".into(),
        regions: regions.iter().map(|region| (*region).into()).collect(),
        stack: None,
        platform: None,
        platform_options: Default::default(),
        node_scaling: None,
        machine_type: "m1".into(),
        node_count: 2,
        node_count_max: 5,
        disk_size_gib: 0,
        parameters: serde_json::Map::new(),
        hosts: None,
        guardrails: None,
        skip_checks: Vec::new(),
        checks_from: None,
        service: landlord_core::ServiceRules::default(),
    }
}

/// `small` for those who name nothing, `large` for the label `tier=gold`.
pub fn catalog() -> Catalog {
    let rule = |name: &str, labels: &[(&str, &str)], class: &str| PlacementRule {
        name: name.into(),
        customers: Vec::new(),
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        customer_labels: BTreeMap::new(),
        regions: Vec::new(),
        class: class.parse().unwrap(),
    };
    Catalog {
        classes: [("small".parse().unwrap(), class(&["here", "there"])), ("large".parse().unwrap(), class(&["there"]))]
            .into(),
        rules: vec![rule("gold", &[("tier", "gold")], "large"), rule("rest", &[], "small")],
        accounts: [(("sky".parse().unwrap(), "main".into()), "4711".into())].into(),
        residency: Residencies([("over-there".into(), over_there())].into()),
        domains: landlord_core::Domains::default(),
        revisions: landlord_core::revision::CurrentRevisions::default(),
    }
}

/// Keeps the customer `bound` and whoever carries `residency=there` where it says.
fn over_there() -> Residency {
    Residency {
        regions: vec!["there".into()],
        customers: vec!["bound".into()],
        labels: [("residency".into(), "there".into())].into(),
        customer_labels: [("sector".into(), "bank".into())].into(),
    }
}

/// The same with classes of the shared levels: `space` for namespaces in host clusters with the label
/// `tier=shared`, `pool` for nodes in any.
pub fn shared_catalog() -> Catalog {
    let mut catalog = catalog();
    let labels = [("tier".to_owned(), "shared".to_owned())].into();
    let space = Class {
        level: Level::Namespace,
        credentials: String::new(),
        machine_type: String::new(),
        node_count: 0,
        node_count_max: 0,
        hosts: Some(HostRule { labels, ..HostRule::default() }),
        ..class(&["here"])
    };
    catalog.classes.insert("space".parse().unwrap(), space);
    let others = ["globex".to_owned(), "initech".to_owned()];
    let gold = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    let of_others = PlacementRule {
        name: "negotiated".into(),
        customers: others.into(),
        labels: BTreeMap::new(),
        customer_labels: gold,
        ..catalog.rules[0].clone()
    };
    catalog.rules.insert(0, of_others);
    catalog.classes.insert("pool".parse().unwrap(), Class { level: Level::Node, ..class(&["here"]) });
    catalog
}

/// The user of this test is an operator, as the daemon's own user is.
pub fn callers() -> Callers {
    let own = rustix::process::geteuid().as_raw();
    Callers { local_users: LocalUsers::new(own, BTreeMap::new()), ..Callers::default() }
}

struct EverybodyIsOperator;

#[tonic::async_trait]
impl Authenticator for EverybodyIsOperator {
    async fn authenticate(&self, _: &Peer, _: Option<&str>) -> Result<Principal, Unauthenticated> {
        let groups = [OPERATORS.to_owned()].into();
        Ok(Principal { name: "everybody".into(), groups, customer: None, method: AuthMethod::Token, expire_time: None })
    }
}

impl Daemon {
    /// A daemon that also offers shared levels.
    pub async fn shared() -> Self {
        Self::start().await.again(shared_catalog()).await
    }

    pub async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// A daemon that also listens on a TCP port.
    pub async fn start_with_tcp() -> Self {
        Self::start_with(vec![on_a_free_port()]).await
    }

    /// A daemon with these TCP listeners.
    pub async fn start_with(tcp: Vec<ListenTcp>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path().join("landlord.db");
        let store = sqlite::open(&path, SqliteOptions { create: true, ..SqliteOptions::default() }).await.unwrap();
        let socket = folder.path().join("landlord.sock");
        Self::serve(folder, store, listening(socket, tcp), catalog()).await
    }

    /// The daemon after a restart with another catalog on the same store. The one before goes on.
    pub async fn again(&self, catalog: Catalog) -> Self {
        let sockets = (1..).map(|number| self.folder.path().join(format!("again-{number}.sock")));
        let socket = sockets.into_iter().find(|socket| !socket.exists()).unwrap();
        Self::serve(self.folder.clone(), self.store.clone(), listening(socket, Vec::new()), catalog).await
    }

    /// Whether the only plugin is up from now on.
    #[allow(dead_code, reason = "shared by several test binaries")]
    pub fn plugin_is_up(&self, up: bool) {
        self.up.store(up, Ordering::SeqCst);
    }

    /// A daemon in the place of one that has ended.
    pub async fn on(socket: &Path, store: Store) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::serve(folder, store, listening(socket.to_owned(), Vec::new()), catalog()).await
    }

    /// A daemon with a TCP listener without TLS, and bounds of its own.
    pub async fn with_bounds(bounds: ListenBounds) -> Self {
        let plain = Self::start().await;
        let tcp = vec![on_a_free_port()];
        let listen = Listen { bounds, ..listening(plain.folder.path().join("bounds.sock"), tcp) };
        Self::serve(plain.folder.clone(), plain.store.clone(), listen, catalog()).await
    }

    /// A daemon with other callers and policies, and a TCP listener without TLS.
    pub async fn with_access(access: AccessPorts, limits: Limits) -> Self {
        let plain = Self::start().await;
        let listen = listening(plain.folder.path().join("access.sock"), vec![on_a_free_port()]);
        let (folder, store) = (plain.folder.clone(), plain.store.clone());
        Self::serve_with(folder, store, listen, shared_catalog(), (access, limits)).await
    }

    async fn serve(folder: Arc<tempfile::TempDir>, store: Store, listen: Listen, catalog: Catalog) -> Self {
        // Who calls over the network is the matter of other tests.
        let authenticator: Arc<dyn Authenticator> =
            if listen.tcp.is_empty() { Arc::new(callers()) } else { Arc::new(EverybodyIsOperator) };
        let access = (authenticator, Arc::new(Policies::open(None).unwrap()) as _);
        Self::serve_with(folder, store, listen, catalog, (access, Limits::default())).await
    }

    async fn serve_with(
        folder: Arc<tempfile::TempDir>,
        store: Store,
        listen: Listen,
        catalog: Catalog,
        ((authenticator, authorizer), limits): (AccessPorts, Limits),
    ) -> Self {
        let (socket, tcp) = (listen.socket.clone(), listen.tcp.first().map(|tcp| tcp.address));
        let wakes = Wakes::default();
        let woken = wakes.0.clone();
        let up = Arc::new(AtomicBool::new(true));
        let ports = Ports {
            store: Arc::new(store.clone()),
            catalog: Arc::new(CurrentCatalog::new(catalog)),
            stacks: Arc::new(OneStack),
            providers: Arc::new(Plugins(up.clone())),
            kube_access: Arc::new(Clusters),
            verifier: Arc::new(Clusters),
            handover: Arc::new(Clusters),
            logs: Arc::new(Clusters),
            diff: Arc::new(Clusters),
            credentials: Arc::new(store.clone()),
            authenticator,
            authorizer,
            customers: Arc::new(store.clone()),
            audit: Arc::new(store.clone()),
            daemons: Arc::new(store.clone()),
            daemon: "this".into(),
            webhooks: Arc::new(OneWebhook),
            figures: RpcFigures::default(),
            limits,
            web_origins: Arc::new(BTreeSet::from([ORIGIN.to_owned()])),
            turns: landlord_grpc::Turns::default(),
            tokens: Arc::new(OpaqueTokens::new(&store.token_secret().await.unwrap()).unwrap()),
            wake: Arc::new(wakes),
        };
        let stop = CancellationToken::new();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let until = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "owned by the value that is returned")]
        let served = tokio::spawn(async move {
            landlord_grpc::serve(ports, &listen, until, || {
                let _ = ready.send(());
            })
            .await
        });
        is_ready.await.unwrap();
        Self { socket, store, woken, up, stop, served, folder, tcp }
    }

    pub async fn channel(&self) -> Channel {
        connect(&self.socket).await
    }

    pub async fn tenants(&self) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel().await).max_encoding_message_size(64 << 20)
    }

    pub async fn hosts(&self) -> HostClusterServiceClient<Channel> {
        HostClusterServiceClient::new(self.channel().await)
    }

    pub async fn operations(&self) -> OperationsClient<Channel> {
        OperationsClient::new(self.channel().await)
    }

    pub async fn providers(&self) -> ProviderServiceClient<Channel> {
        ProviderServiceClient::new(self.channel().await)
    }

    /// What the engine would write when it brought the only due tenant into `state`.
    pub async fn settle(&self, state: State, outcome: OperationOutcome) {
        self.settle_with(state, outcome, Vec::new()).await;
    }

    /// The same with records of its stages.
    pub async fn settle_with(&self, state: State, outcome: OperationOutcome, stages: Vec<StageRecord>) {
        let mut claims = self.store.claim("test", 10, Duration::from_secs(60)).await.unwrap();
        let claim = claims.pop().expect("a tenant is due");
        assert!(claims.is_empty(), "one tenant at a time");
        settle(&self.store, &claim, state, outcome, stages).await;
    }

    /// What the engine would write when it brought all that is due into `state`.
    pub async fn settle_all(&self, state: State, outcome: &OperationOutcome) {
        for claim in self.store.claim("test", 10, Duration::from_secs(60)).await.unwrap() {
            settle(&self.store, &claim, state, outcome.clone(), Vec::new()).await;
        }
    }
}

/// A listener without TLS that is there already: nobody else can have its port.
pub fn on_a_free_port() -> ListenTcp {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ListenTcp { address: listener.local_addr().unwrap(), passed: Some(Arc::new(listener)), tls: None }
}

/// For our own user and root, with the bounds that are default.
pub fn listening(socket: PathBuf, tcp: Vec<ListenTcp>) -> Listen {
    Listen { socket, local_users: BTreeSet::new(), passed: None, tcp, bounds: ListenBounds::default() }
}

async fn settle(store: &Store, claim: &Claim, state: State, outcome: OperationOutcome, stages: Vec<StageRecord>) {
    let work = store.load(claim).await.unwrap();
    let remove = matches!(outcome, OperationOutcome::Deleted { .. });
    let status =
        EnvironmentStatus { state, observed_generation: work.environment.generation, ..work.environment.status };
    let event = NewEvent {
        kind: landlord_core::ports::EventKind::Tenant,
        stage: String::new(),
        reason: "Settled".into(),
        message: format!("is {}", state.as_str()),
        progress: None,
    };
    let commit = Commit {
        stages,
        environment: EnvironmentPatch { status: Some(status), mark_ready: state == State::Ready, ..Default::default() },
        operation: Some(OperationEnd { id: work.environment.operation, outcome }),
        events: vec![event],
        release: landlord_core::ports::Release::After(Duration::from_secs(3_600)),
        remove,
    };
    store.commit(claim, commit).await.unwrap();
}

/// What the engine would have counted in a host cluster.
pub fn counted(measured: Measured) -> StageRecord {
    let status = serde_json::to_vec(&Observation { time: Timestamp(1_700_000_000_000), measured }).unwrap();
    let now = Timestamp(0);
    let intent = journal::intend(&Stage::Capacity, DesiredState::Present, 1, Duration::ZERO, None, now);
    StageRecord { state: StageState::Done, status, end_time: Some(now), poll_time: now.after(Duration::MAX), ..intent }
}

pub async fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    Endpoint::from_static("http://landlord.invalid")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .unwrap()
}

pub fn tenant() -> v1::Tenant {
    v1::Tenant { domain: "acme.example.com".into(), storage_gib: 100, ..v1::Tenant::default() }
}

/// Every tenant but the first has a domain of its own.
pub fn order(customer: &str, id: &str) -> v1::CreateTenantRequest {
    let mut tenant = tenant();
    if (customer, id) != ("acme", "prod") {
        tenant.domain = format!("{id}.of-{customer}.example.com").to_lowercase();
    }
    v1::CreateTenantRequest {
        parent: format!("customers/{customer}"),
        tenant_id: id.into(),
        tenant: Some(tenant),
        ..v1::CreateTenantRequest::default()
    }
}

pub fn update(paths: &[&str], tenant: v1::Tenant) -> v1::UpdateTenantRequest {
    let name = if tenant.name.is_empty() { "customers/acme/tenants/prod".into() } else { tenant.name };
    v1::UpdateTenantRequest {
        tenant: Some(v1::Tenant { name, ..tenant }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|p| (*p).into()).collect() }),
        ..v1::UpdateTenantRequest::default()
    }
}

/// Origin whose pages may call.
pub const ORIGIN: &str = "https://portal.example.com";

pub const PROD: &str = "customers/acme/tenants/prod";

pub fn named(name: &str) -> v1::GetTenantRequest {
    v1::GetTenantRequest { name: name.into() }
}

pub fn metadata(operation: &Operation) -> v1::OperationMetadata {
    operation.metadata.as_ref().unwrap().to_msg().unwrap()
}

/// Reason of an error; every error has one, with our domain.
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "landlord.dev");
    info.reason
}

/// What an error complains about: fields and descriptions, sorted.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|request| request.field_violations);
    let mut violations: Vec<_> = violations.into_iter().flatten().map(|v| (v.field, v.description)).collect();
    violations.sort();
    violations
}

/// Fields that an error complains about, sorted.
pub fn fields(status: &Status) -> Vec<String> {
    violations(status).into_iter().map(|(field, _)| field).collect()
}
