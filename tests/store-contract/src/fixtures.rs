//! Values that tests need, and short ways through a tenant's life.

use std::{collections::BTreeMap, time::Duration};

use landlord_core::{
    DesiredState, Environment, EnvironmentName, Failure, HostClusterSpec, Level, OperationOutcome, Placement,
    Precondition, Stage, StageRecord, StageState, State, Tenant, TenantName, TenantSpec, Timestamp,
    environment::{Domain, HostClusterInput, SpecInput},
    ports::{
        Accepted, AuditQuery, AuditStore, Change, Claim, Commit, CustomerStore, DeleteRequest, EnvironmentPatch,
        EventKind, HistoryStore, InventoryStore, KeptEntry, NewEvent, NewTenant, OperationEnd, ProviderKey, Release,
        RequestContext, RequestKey, StoreError, TenantStore, Work, WorkStore,
    },
};
use uuid::Uuid;

/// A store as the daemon sees it.
pub trait Store: TenantStore + WorkStore + InventoryStore + HistoryStore + AuditStore + CustomerStore {}
impl<T: TenantStore + WorkStore + InventoryStore + HistoryStore + AuditStore + CustomerStore> Store for T {}

/// All of the audit log, which must be one chain.
pub async fn audit_log<S: AuditStore>(store: &S) -> Vec<KeptEntry> {
    let mut all: Vec<KeptEntry> = Vec::new();
    loop {
        let after_seq = all.last().map_or(0, |kept| kept.entry.seq);
        let page = store.entries(&AuditQuery { after_seq, limit: 1_000, ..AuditQuery::default() }).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let mut verifier = landlord_audit::Verifier::default();
    for kept in &all {
        let line = landlord_audit::Line {
            entry: kept.text.clone(),
            hash: kept.hash.clone(),
            head_key_id: String::new(),
            head_signature: String::new(),
        };
        verifier.take(&line).unwrap();
    }
    let end = store.audit_end().await.unwrap();
    verifier.end(Some((end.seq, &end.hash))).unwrap();
    all
}

/// Longer than any test runs.
pub const LEASE: Duration = Duration::from_secs(600);
/// A time by which nothing comes due within a test.
pub const HOUR: Duration = Duration::from_secs(3_600);

pub fn name(customer: &str, tenant: &str) -> EnvironmentName {
    TenantName { customer: customer.parse().unwrap(), tenant: tenant.parse().unwrap() }.into()
}

/// The tenant of an environment.
pub fn tenant_of(environment: &Environment) -> &Tenant {
    environment.tenant().unwrap()
}

pub fn spec() -> TenantSpec {
    TenantSpec::parse(SpecInput {
        display_name: "Acme".into(),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
        domain: "acme.example.com".into(),
        storage_gib: 10,
        ..SpecInput::default()
    })
    .unwrap()
}

/// A host cluster's spec, with the labels of [`spec`].
pub fn host_spec(tenants_max: u32) -> HostClusterSpec {
    let labels = spec().labels;
    HostClusterSpec::parse(HostClusterInput { labels, tenants_max: tenants_max.into(), ..HostClusterInput::default() })
        .unwrap()
}

/// A tenant's spec: every one has a domain of its own.
pub fn spec_of(name: &EnvironmentName) -> TenantSpec {
    let name = name.tenant().unwrap();
    if (name.customer.as_str(), name.tenant.as_str()) == ("acme", "prod") {
        return spec();
    }
    TenantSpec {
        domain: domain(&format!("{}.of-{}.example.com", name.tenant.as_str(), name.customer.as_str())),
        ..spec()
    }
}

pub fn domain(text: &str) -> Domain {
    text.to_owned().try_into().unwrap()
}

pub fn larger() -> TenantSpec {
    TenantSpec { storage: 20.try_into().unwrap(), ..spec() }
}

pub fn placement() -> Placement {
    let key = ProviderKey { provider: "fake".parse().unwrap(), credentials: "default".into() };
    let placement = Placement::without_choices(
        "standard".parse().unwrap(),
        Level::Cluster,
        key,
        "111122223333".into(),
        "eu-central-1".into(),
    );
    Placement { machine_type: "m6i.large".into(), node_count: 2, ..placement }
}

/// A request without an id.
pub fn once() -> RequestContext {
    RequestContext::of_daemon()
}

/// A request that can be repeated.
pub fn keyed(hash: &str) -> RequestContext {
    let key = RequestKey { request_id: Some(Uuid::new_v4()), request_hash: hash.into() };
    RequestContext { key, ..RequestContext::of_daemon() }
}

pub fn new(name: &EnvironmentName, request: RequestContext) -> NewTenant {
    NewTenant {
        name: name.tenant().unwrap().clone(),
        spec: spec_of(name),
        placement: placement(),
        adopt: None,
        hosts: None,
        request,
    }
}

pub fn update(spec: TenantSpec) -> Change {
    Change::Update { spec, placement: placement() }
}

pub fn delete() -> DeleteRequest {
    DeleteRequest { force: false, precondition: Precondition::None, request: once() }
}

pub fn event(kind: EventKind, reason: &str) -> NewEvent {
    NewEvent { kind, stage: String::new(), reason: reason.into(), message: "reported".into(), progress: None }
}

/// A record with a value in every field.
pub fn record(stage: Stage, desired_state: DesiredState, state: StageState) -> StageRecord {
    let failed = state == StageState::Failed;
    let failure = || Failure::new(landlord_core::ErrorKind::Quota, "no more networks").with_remedy("raise the quota");
    StageRecord {
        stage,
        desired_state,
        generation: 1,
        state,
        attempt: 2,
        start_time: Timestamp(1_000),
        end_time: (state != StageState::Running).then_some(Timestamp(2_000)),
        expected_ms: 60_000,
        poll_time: Timestamp(3_000),
        detail: "network of the tenant".into(),
        failure: failed.then(failure),
        failing_since: failed.then_some(Timestamp(1_500)),
        failures: u32::from(failed),
        try_time: failed.then_some(Timestamp(1_800)),
        furthest_ms: 0,
        unanswered_time: None,
        late_end: None,
        sent: None,
        ownership: landlord_core::stage::Ownership::Ours,
        checkpoint: vec![0, 159, 146, 150],
        status: vec![8, 1],
        removed: Vec::new(),
    }
}

pub async fn created<S: Store>(store: &S, customer: &str, tenant: &str) -> Accepted {
    store.create(new(&name(customer, tenant), once())).await.unwrap()
}

/// Claims everything that is due, which must be exactly one tenant.
pub async fn claim_one<S: Store>(store: &S) -> Claim {
    let claims = store.claim("a", 100, LEASE).await.unwrap();
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.into_iter().next().unwrap()
}

/// What the engine writes when a tenant comes to rest in `state`.
pub fn settle(work: &Work, state: State, outcome: OperationOutcome) -> Commit {
    let mut status = work.environment.status.clone();
    status.state = state;
    let ready = state == State::Ready;
    if ready {
        status.observed_generation = work.environment.generation;
    }
    Commit {
        environment: EnvironmentPatch { status: Some(status), mark_ready: ready, ..EnvironmentPatch::default() },
        operation: Some(OperationEnd { id: work.environment.operation, outcome }),
        release: Release::UntilChanged,
        ..Commit::default()
    }
}

/// Works on the one due tenant until READY.
pub async fn make_ready<S: Store>(store: &S) {
    let claim = claim_one(store).await;
    let work = store.load(&claim).await.unwrap();
    let commit = settle(&work, State::Ready, OperationOutcome::Ready);
    store.commit(&claim, commit).await.unwrap();
}

pub fn failure() -> Failure {
    Failure::new(landlord_core::ErrorKind::Quota, "no more networks")
}

/// Works on the one due tenant until a stage has failed.
pub async fn make_failed<S: Store>(store: &S, stage: Stage) {
    let claim = claim_one(store).await;
    let work = store.load(&claim).await.unwrap();
    let desired_state = work.environment.desired_state;
    let outcome = OperationOutcome::Failed { failure: failure() };
    let mut commit = settle(&work, State::Failed, outcome);
    commit.stages = vec![record(stage, desired_state, StageState::Failed)];
    store.commit(&claim, commit).await.unwrap();
}

/// Works on the one due tenant, which is being deleted, until it is gone.
pub async fn make_gone<S: Store>(store: &S) {
    let claim = claim_one(store).await;
    let work = store.load(&claim).await.unwrap();
    let outcome = OperationOutcome::Deleted { removed: Vec::new() };
    let mut commit = settle(&work, State::Deleting, outcome);
    commit.remove = true;
    commit.events = vec![event(EventKind::Removed, "Removed")];
    store.commit(&claim, commit).await.unwrap();
}

/// Asserts the kind of an error without its content.
#[macro_export]
macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {{
        let result = $result;
        assert!(matches!(result, Err($pattern)), "{result:?}");
    }};
}

/// The text of a refusal.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    result.unwrap_err().to_string()
}
