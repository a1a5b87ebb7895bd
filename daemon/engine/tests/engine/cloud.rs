//! A cloud in memory that judges its callers: nothing without an intent, nothing twice, nothing
//! side by side for the same object, nothing in the wrong order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use landlord_core::{
    CustomerRole, DesiredState, Failure,
    ports::{ProviderHealth, ProviderKey, Providers, Verified},
    revision::RevisionId,
};
use landlord_provider_api::{
    Cluster, Dns, ErrorKind, Identity, Inventory, Network, NodePool, Provider, ProviderError, v1,
};
use parking_lot::Mutex;

use crate::world::Life;

/// Long enough for calls side by side to meet, short for a test.
const CALL_TIME: Duration = Duration::from_millis(1);

type Result<T> = std::result::Result<T, ProviderError>;
type Key = (String, v1::ResourceKind);

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Refused.
    Fails(ErrorKind),
    /// It took effect, but the response is lost.
    Lost,
    /// It never ends.
    Hangs,
    /// A bug.
    Panics,
}

/// The script: method and number of the call in, fault out.
pub(crate) type Faults = Arc<dyn Fn(&str, u64) -> Option<Fault> + Send + Sync>;

/// A method that fails for as long as the switch is on.
pub(crate) fn fails_while(on: &Arc<AtomicBool>, method: &'static str, kind: ErrorKind) -> Faults {
    let on = Arc::clone(on);
    Arc::new(move |called, _| (called == method && on.load(Ordering::SeqCst)).then_some(Fault::Fails(kind)))
}

/// What takes effect as soon as its removal has found nothing.
#[derive(Debug, Clone)]
pub(crate) enum Late {
    /// An object of a tenant.
    Object(String, v1::ResourceKind),
    /// A tenant's namespace in a host cluster.
    Namespace(String, String),
    /// A tenant's pool that a provisioner in a host cluster fills.
    Machines(String, String),
}

impl Late {
    /// Whether this is the call by which a removal finds nothing more.
    fn comes_after(&self, method: &str, key: &Key) -> bool {
        let (last, uid) = match self {
            Self::Object(uid, _) => ("list", uid),
            Self::Namespace(uid, _) | Self::Machines(uid, _) => ("remove_namespace", uid),
        };
        method == last && key.0 == *uid
    }
}

/// Where namespaces are counted among the objects made.
const NAMESPACE: v1::ResourceKind = v1::ResourceKind::Unspecified;

#[derive(Debug, Default)]
struct State {
    /// Whether it is being deleted, and how many observations it still takes.
    objects: BTreeMap<Key, (bool, u32)>,
    /// Who is calling. The last call of a daemon that was killed may still be under way.
    busy: BTreeMap<Key, Arc<Life>>,
    created: BTreeMap<Key, u32>,
    /// What lost its marker: nothing that lists or deletes by markers sees it.
    unmarked: BTreeSet<Key>,
    /// What is listed by the markers of its parts, whether it has lost its own or not.
    in_parts: BTreeSet<Key>,
    /// Isolated namespaces by tenant, with the host cluster that each is in.
    namespaces: BTreeMap<String, String>,
    /// Tenants with machines that a provisioner in a cluster made, with that cluster.
    scaled: BTreeMap<String, String>,
    /// Most nodes that pools were requested with.
    most: BTreeMap<String, BTreeSet<i32>>,
    intents: BTreeSet<(String, String)>,
    /// Whoever shall be removed: an intent towards absence is durable.
    leaving: BTreeSet<String>,
    /// What was made and what was removed, by whose it was, in that order.
    effects: BTreeMap<String, Vec<String>>,
    violations: Vec<String>,
    /// A create that takes effect when its removal has found nothing, at the last moment when that is seen.
    late: Option<Late>,
    /// What is not ready yet gets so when this is over.
    is_slow: bool,
    /// Nodes that do not take pods yet.
    nodes_missing: u32,
    calls: u64,
}

impl State {
    fn made(&mut self, key: Key) {
        self.effects.entry(key.0.clone()).or_default().push(format!("{:?} made", key.1));
        *self.created.entry(key).or_default() += 1;
    }

    fn removed(&mut self, key: &Key) {
        if !self.leaving.contains(&key.0) {
            self.violations.push(format!("{key:?} was removed, which nobody had requested"));
        }
        self.effects.entry(key.0.clone()).or_default().push(format!("{:?} removed", key.1));
    }
}

/// The cloud, which outlives every daemon.
#[derive(Debug, Default)]
pub(crate) struct Cloud {
    state: Mutex<State>,
    /// What its provider says that it can do; `None`: everything but scaling and adopting.
    pub(crate) capabilities: Mutex<Option<Vec<String>>>,
    /// Its plugin has not started yet: nothing is known of it.
    pub(crate) starting: AtomicBool,
    /// Methods that take a token each of an account that has one and gets no other.
    pub(crate) costly: Mutex<Vec<String>>,
    /// What its stacks' verification finds; `None`: no class has a stack.
    pub(crate) verified: Mutex<Option<Verified>>,
    /// The customers' roles in clusters of their own, by tenant, as they were brought there last.
    pub(crate) roles: Mutex<BTreeMap<String, CustomerRole>>,
    /// The platforms' revisions in clusters, by environment, as they were brought there last.
    pub(crate) platforms: Mutex<BTreeMap<String, RevisionId>>,
}

impl Cloud {
    /// An intent became durable.
    pub(crate) fn intended(&self, uid: &str, desired_state: DesiredState, stage: &str) {
        let mut state = self.state.lock();
        match desired_state {
            DesiredState::Present => _ = state.intents.insert((uid.into(), stage.into())),
            DesiredState::Absent => _ = state.leaving.insert(uid.into()),
        }
    }

    /// The record of a tenant went: nobody looks for its objects any more.
    pub(crate) fn forgotten(&self, uid: &str) {
        let mut state = self.state.lock();
        // What was there before is not landlord's to remove.
        let made = state.objects.keys().filter(|key| key.0 == uid && state.created.contains_key(key));
        let left: Vec<v1::ResourceKind> = made.map(|key| key.1).collect();
        if state.scaled.contains_key(uid) {
            state.violations.push(format!("the record of {uid} went before the machines made for it"));
        }
        if !left.is_empty() || state.namespaces.contains_key(uid) {
            let namespace = state.namespaces.get(uid).cloned();
            state.violations.push(format!("the record of {uid} went before {left:?}, namespace in {namespace:?}"));
        }
    }

    fn description(&self) -> v1::DescribeResponse {
        let all = || ["networks", "clusters", "node-pools", "dns", "identity"].map(str::to_owned).to_vec();
        let costly = self.costly.lock();
        let cost = |method: &String| v1::MethodCost { method: method.clone(), bucket: "calls".into(), cost: 1.0 };
        let bucket =
            || v1::RateBucket { name: "calls".into(), rate_per_second: 1e-6, burst: 1.0, ..v1::RateBucket::default() };
        v1::DescribeResponse {
            capabilities: self.capabilities.lock().clone().unwrap_or_else(all),
            method_costs: costly.iter().map(cost).collect(),
            rate_buckets: costly.first().map(|_| bucket()).into_iter().collect(),
            ..v1::DescribeResponse::default()
        }
    }

    /// Most nodes that a tenant's pool was requested with, each once.
    pub(crate) fn most(&self, uid: &str) -> Vec<i32> {
        self.state.lock().most.get(uid).into_iter().flatten().copied().collect()
    }

    /// Whether a tenant has machines that a provisioner made.
    pub(crate) fn is_scaled(&self, uid: &str) -> bool {
        self.state.lock().scaled.contains_key(uid)
    }

    /// Whose pools a provisioner in a cluster fills.
    pub(crate) fn scaled_in(&self, host: &str) -> Vec<String> {
        let state = self.state.lock();
        state.scaled.iter().filter(|(_, of)| *of == host).map(|(uid, _)| uid.clone()).collect()
    }

    /// Puts a pool there that no record names.
    pub(crate) fn plant_scaled(&self, uid: &str, host: &str) {
        self.state.lock().scaled.insert(uid.into(), host.into());
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// What was made and removed of a tenant so far.
    pub(crate) fn effects(&self, uid: &str) -> Vec<String> {
        self.state.lock().effects.get(uid).cloned().unwrap_or_default()
    }

    /// Puts an object there behind everybody's back: a create that took effect late.
    pub(crate) fn appear(&self, uid: &str, kind: v1::ResourceKind) {
        self.state.lock().objects.insert((uid.into(), kind), (false, 0));
    }

    /// Has a create take effect right after the last call of its removal, which finds nothing.
    pub(crate) fn comes_late(&self, late: Late) {
        self.state.lock().late = Some(late);
    }

    /// Whether that has happened.
    pub(crate) fn has_come_late(&self) -> bool {
        self.state.lock().late.is_none()
    }

    fn removal_ended(&self, method: &str, key: &Key) {
        let late = self.state.lock().late.take_if(|late| late.comes_after(method, key));
        match late {
            Some(Late::Object(uid, kind)) => self.appear(&uid, kind),
            Some(Late::Namespace(uid, host)) => self.isolate(&uid, &host),
            Some(Late::Machines(uid, host)) => self.scale(&uid, &host),
            None => {}
        }
    }

    /// Takes the marker off an object, or puts it back.
    pub(crate) fn mark(&self, uid: &str, kind: v1::ResourceKind, marked: bool) {
        let (key, mut state) = ((uid.to_owned(), kind), self.state.lock());
        if marked { _ = state.unmarked.remove(&key) } else { _ = state.unmarked.insert(key) }
    }

    /// The parts of an object bear its marker, as well as itself.
    pub(crate) fn mark_parts(&self, uid: &str, kind: v1::ResourceKind) {
        self.state.lock().in_parts.insert((uid.to_owned(), kind));
    }

    /// Keeps whatever is not ready yet from getting so, or lets it.
    pub(crate) fn slow(&self, is_slow: bool) {
        self.state.lock().is_slow = is_slow;
    }

    /// Somebody removes an object by hand.
    pub(crate) fn vanish(&self, uid: &str, kind: v1::ResourceKind) {
        let (key, mut state) = ((uid.to_owned(), kind), self.state.lock());
        state.objects.remove(&key);
        state.created.remove(&key);
    }

    fn listed(&self, uid: &str) -> Vec<v1::ResourceKind> {
        let state = self.state.lock();
        let is_seen = |key: &&Key| state.in_parts.contains(key) || !state.unmarked.contains(key);
        let marked = state.objects.keys().filter(|key| key.0 == uid).filter(is_seen);
        marked.map(|key| key.1).collect()
    }

    /// Objects of a tenant.
    pub(crate) fn objects(&self, uid: &str) -> Vec<v1::ResourceKind> {
        self.state.lock().objects.keys().filter(|key| key.0 == uid).map(|key| key.1).collect()
    }

    /// Isolated namespaces in a host cluster.
    pub(crate) fn namespaces(&self, host: &str) -> Vec<String> {
        let state = self.state.lock();
        state.namespaces.iter().filter(|(_, of)| *of == host).map(|(uid, _)| uid.clone()).collect()
    }

    /// Has so many nodes of every cluster come later.
    pub(crate) fn miss_nodes(&self, missing: u32) {
        self.state.lock().nodes_missing = missing;
    }

    /// How many nodes do not take pods.
    pub(crate) fn nodes_missing(&self) -> u32 {
        self.state.lock().nodes_missing
    }

    /// Something went wrong.
    pub(crate) fn violated(&self, what: String) {
        self.state.lock().violations.push(what);
    }

    /// Makes a namespace in a host cluster.
    pub(crate) fn isolate(&self, uid: &str, host: &str) {
        let mut state = self.state.lock();
        if !state.intents.contains(&(uid.into(), "isolation".into())) {
            state.violations.push("isolation without a durable intent".into());
        }
        if !state.objects.contains_key(&(host.into(), v1::ResourceKind::Cluster)) {
            state.violations.push(format!("a namespace in {host}, which has no cluster"));
        }
        if state.namespaces.insert(uid.into(), host.into()).is_none() {
            state.made((uid.into(), NAMESPACE));
        }
    }

    /// Makes a pool that a provisioner in a cluster fills.
    pub(crate) fn scale(&self, uid: &str, host: &str) {
        let mut state = self.state.lock();
        if !state.intents.contains(&(uid.into(), "node-scaling".into())) {
            state.violations.push("a pool was scaled without a durable intent".into());
        }
        if state.scaled.insert(uid.into(), host.into()).is_none() {
            state.effects.entry(uid.into()).or_default().push("machines made".into());
        }
    }

    /// Removes it with its machines; says whether there was one.
    pub(crate) fn remove_scaled(&self, uid: &str) -> bool {
        let mut state = self.state.lock();
        if state.scaled.contains_key(uid) && state.leaving.contains(uid) && state.namespaces.contains_key(uid) {
            state.violations.push("machines were removed under a namespace".into());
        }
        state.scaled.remove(uid).is_some()
    }

    /// Puts a namespace there that no record names.
    pub(crate) fn plant(&self, uid: &str, host: &str) {
        self.state.lock().namespaces.insert(uid.into(), host.into());
    }

    /// Removes a namespace; says whether there was one.
    pub(crate) fn remove_namespace(&self, uid: &str) -> bool {
        let mut state = self.state.lock();
        let was_there = state.namespaces.remove(uid).is_some();
        if was_there {
            state.removed(&(uid.into(), NAMESPACE));
        }
        was_there
    }

    /// What was done wrong so far; each kind made at most once for each tenant.
    pub(crate) fn violations(&self) -> Vec<String> {
        let state = self.state.lock();
        let twice = state.created.iter().filter(|(_, times)| **times > 1);
        state
            .violations
            .iter()
            .cloned()
            .chain(twice.map(|(key, times)| format!("{key:?} made {times} times")))
            .collect()
    }

    fn ensure(&self, key: Key, stage: &str) -> Result<Option<bool>> {
        let mut state = self.state.lock();
        if !state.intents.contains(&(key.0.clone(), stage.to_owned())) {
            state.violations.push(format!("{stage} was called without a durable intent"));
        }
        let is_slow = state.is_slow;
        match state.objects.get_mut(&key) {
            Some((true, _)) => Err(ProviderError::new(ErrorKind::Conflict, format!("{stage} is being deleted"))),
            Some((false, observations)) => {
                let ready = *observations == 0;
                if ready || !is_slow {
                    *observations = observations.saturating_sub(1);
                }
                Ok(Some(ready))
            }
            None => {
                state.objects.insert(key.clone(), (false, 1));
                state.made(key);
                Ok(Some(false))
            }
        }
    }

    fn delete(&self, key: &Key, recorded: bool) -> Result<(Option<bool>, bool)> {
        use v1::ResourceKind as Kind;
        let blockers: &[Kind] = match key.1 {
            Kind::Network => &[Kind::Cluster, Kind::NodePool, Kind::Leftovers],
            Kind::Cluster => &[Kind::NodePool],
            _ => &[],
        };
        let mut state = self.state.lock();
        if !state.objects.contains_key(key) {
            return Ok((None, false));
        }
        if state.unmarked.contains(key) {
            let taken = ProviderError::new(ErrorKind::NameTaken, format!("{:?} has no marker", key.1));
            return if recorded { Err(taken.with_remedy("mark it")) } else { Ok((None, false)) };
        }
        if key.1 == Kind::Cluster && state.namespaces.values().any(|host| *host == key.0) {
            state.violations.push("a host cluster was removed with tenants in it".into());
        }
        if key.1 == Kind::NodePool && state.scaled.contains_key(&key.0) {
            state.violations.push("a pool was removed before the machines made beside it".into());
        }
        if key.1 == Kind::NodePool && state.namespaces.contains_key(&key.0) {
            state.violations.push("nodes were removed under a namespace".into());
        }
        if let Some(blocker) = blockers.iter().find(|kind| state.objects.contains_key(&(key.0.clone(), **kind))) {
            return Err(ProviderError::new(ErrorKind::Conflict, format!("in use by {blocker:?}")));
        }
        match state.objects.get_mut(key) {
            Some((true, 0)) => {
                state.objects.remove(key);
                state.removed(key);
                Ok((None, true))
            }
            Some(object) => {
                *object = if object.0 { (true, object.1 - 1) } else { (true, 1) };
                Ok((Some(false), true))
            }
            None => Ok((None, false)),
        }
    }
}

/// A provider on the cloud, for one life of a daemon.
pub(crate) struct Scripted {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) life: Arc<Life>,
    pub(crate) faults: Faults,
}

impl Scripted {
    pub(crate) async fn act<T>(&self, method: &str, key: &Key, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.life.boundary().await;
        let fault = {
            let mut state = self.cloud.state.lock();
            state.calls += 1;
            let other = state.busy.insert(key.clone(), Arc::clone(&self.life));
            if other.is_some_and(|life| !life.is_over()) {
                state.violations.push(format!("two calls side by side for {key:?}"));
            }
            (self.faults)(method, state.calls)
        };
        tokio::time::sleep(CALL_TIME).await;
        let result = match fault {
            Some(Fault::Fails(kind)) => Err(ProviderError::new(kind, "scripted")),
            Some(Fault::Lost) => {
                work().and_then(|_| Err(ProviderError::new(ErrorKind::Transient, "the response is lost")))
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Panics) | None => work(),
        };
        self.cloud.removal_ended(method, key);
        self.leave(key);
        assert!(fault != Some(Fault::Panics), "scripted panic");
        result
    }

    fn leave(&self, key: &Key) {
        let mut state = self.cloud.state.lock();
        if state.busy.get(key).is_some_and(|life| Arc::ptr_eq(life, &self.life)) {
            state.busy.remove(key);
        }
    }

    async fn ensure(&self, scope: Option<v1::Scope>, kind: v1::ResourceKind, stage: &str) -> Result<v1::Progress> {
        let key = (scope.unwrap_or_default().tenant_uid, kind);
        let state = self.act(stage, &key, || self.cloud.ensure(key.clone(), stage)).await?;
        Ok(progress(state, Vec::new()))
    }
}

fn progress(state: Option<bool>, removed: Vec<v1::OwnedObject>) -> v1::Progress {
    use v1::progress::Outcome;
    let outcome = match state {
        None => Outcome::Gone(v1::Gone {}),
        Some(true) => Outcome::Ready(v1::Ready::default()),
        Some(false) => Outcome::Pending(v1::Pending { detail: "scripted".into(), ..v1::Pending::default() }),
    };
    v1::Progress { outcome: Some(outcome), removed }
}

fn owned(key: &Key) -> v1::OwnedObject {
    v1::OwnedObject { r#type: format!("{:?}", key.1), id: format!("{:?}-{}", key.1, key.0), ..Default::default() }
}

#[async_trait]
impl Network for Scripted {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> Result<v1::EnsureNetworkResponse> {
        let progress = Some(self.ensure(request.scope, v1::ResourceKind::Network, "network").await?);
        let status = Some(v1::NetworkStatus { network_id: "net".into(), ..Default::default() });
        Ok(v1::EnsureNetworkResponse { progress, status })
    }
}

#[async_trait]
impl Cluster for Scripted {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> Result<v1::EnsureClusterResponse> {
        if request.network.unwrap_or_default().network_id != "net" {
            return Err(ProviderError::new(ErrorKind::Invalid, "the network's status did not arrive"));
        }
        let name = format!("cluster of {}", request.scope.clone().unwrap_or_default().tenant_uid);
        let progress = Some(self.ensure(request.scope, v1::ResourceKind::Cluster, "cluster").await?);
        Ok(v1::EnsureClusterResponse { progress, status: Some(v1::ClusterStatus { name, ..Default::default() }) })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> Result<v1::EnsureAddonsResponse> {
        let progress = Some(self.ensure(request.scope, v1::ResourceKind::Addons, "addons").await?);
        Ok(v1::EnsureAddonsResponse { progress })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> Result<v1::KubeAccess> {
        let uid = request.scope.unwrap_or_default().tenant_uid;
        if !self.cloud.objects(&uid).contains(&v1::ResourceKind::Cluster) {
            return Err(ProviderError::new(ErrorKind::Conflict, format!("{uid} has no cluster")));
        }
        let expire_time = std::time::SystemTime::now().checked_add(Duration::from_secs(600)).map(Into::into);
        Ok(v1::KubeAccess { endpoint: uid, token: "token".into(), expire_time, ..Default::default() })
    }
}

#[async_trait]
impl NodePool for Scripted {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> Result<v1::EnsureNodePoolResponse> {
        let (scope, spec) = (request.scope.clone().unwrap_or_default(), request.spec.unwrap_or_default());
        self.cloud.state.lock().most.entry(scope.tenant_uid.clone()).or_default().insert(spec.node_count_max);
        let uid = scope.tenant_uid.replace('-', "");
        let shared = !scope.host_cluster.is_empty();
        let kept_apart = spec.role == format!("t-{uid}")
            && spec.taints.iter().any(|taint| taint.key == "landlord.dev/tenant" && taint.value == uid);
        if shared && !kept_apart {
            self.cloud.violated(format!("a pool in a shared cluster is not kept apart: {spec:?}"));
        }
        if shared && request.cluster.unwrap_or_default().name != scope.host_cluster {
            self.cloud.violated("the host cluster's status did not arrive".into());
        }
        let progress = Some(self.ensure(request.scope, v1::ResourceKind::NodePool, "node-pool").await?);
        Ok(v1::EnsureNodePoolResponse { progress, status: Some(v1::NodePoolStatus::default()) })
    }
}

#[async_trait]
impl Dns for Scripted {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> Result<v1::EnsureDnsZoneResponse> {
        let progress = Some(self.ensure(request.scope, v1::ResourceKind::DnsZone, "dns-zone").await?);
        Ok(v1::EnsureDnsZoneResponse { progress, status: Some(v1::DnsZoneStatus::default()) })
    }

    async fn ensure_dns_records(&self, _: v1::EnsureDnsRecordsRequest) -> Result<v1::EnsureDnsRecordsResponse> {
        Err(ProviderError::new(ErrorKind::Internal, "no class here has a stack"))
    }
}

#[async_trait]
impl Identity for Scripted {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> Result<v1::EnsureIdentityResponse> {
        let progress = Some(self.ensure(request.scope, v1::ResourceKind::Identity, "identity").await?);
        Ok(v1::EnsureIdentityResponse { progress, status: None })
    }
}

#[async_trait]
impl Inventory for Scripted {
    async fn observe(&self, _: v1::ObserveRequest) -> Result<v1::ObserveResponse> {
        if let Some(Fault::Fails(kind)) = (self.faults)("observe", 0) {
            return Err(ProviderError::new(kind, "deletion protection is set"));
        }
        Ok(v1::ObserveResponse::default())
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        let (kind, recorded) = (request.kind(), request.recorded);
        let key = (request.scope.unwrap_or_default().tenant_uid, kind);
        let (state, was_there) = self.act("delete", &key, || self.cloud.delete(&key, recorded)).await?;
        let removed = if was_there { vec![owned(&key)] } else { Vec::new() };
        Ok(v1::DeleteResponse { progress: Some(progress(state, removed)) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse> {
        let key = (request.scope.unwrap_or_default().tenant_uid, v1::ResourceKind::Unspecified);
        let kinds = self.act("list", &key, || Ok(self.cloud.listed(&key.0))).await?;
        let objects = kinds.into_iter().map(|kind| owned(&(key.0.clone(), kind))).collect();
        Ok(v1::ListOwnedResponse { objects, next_page_token: String::new() })
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn describe(&self, _: v1::DescribeRequest) -> Result<v1::DescribeResponse> {
        while self.cloud.starting.load(Ordering::SeqCst) {
            tokio::time::sleep(CALL_TIME).await;
        }
        Ok(self.cloud.description())
    }

    async fn validate(&self, _: v1::ValidateRequest) -> Result<v1::ValidateResponse> {
        Ok(v1::ValidateResponse::default())
    }
}

/// One provider for all keys.
pub(crate) struct Only(pub(crate) Arc<Scripted>);

impl Providers for Only {
    fn provider(&self, _: &ProviderKey) -> std::result::Result<Arc<dyn Provider>, Failure> {
        let provider: Arc<dyn Provider> = Arc::clone(&self.0) as _;
        Ok(provider)
    }

    fn description(&self, _: &ProviderKey) -> Option<v1::DescribeResponse> {
        (!self.0.cloud.starting.load(Ordering::SeqCst)).then(|| self.0.cloud.description())
    }

    fn start_failure(&self, _: &ProviderKey) -> Option<String> {
        None
    }

    fn health(&self) -> Vec<ProviderHealth> {
        Vec::new()
    }
}
