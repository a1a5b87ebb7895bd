//! What every plugin does alike on its simulated cloud: the cases once, the clouds' facts as tables. The simulator's own list
//! of objects and journal are the judge, not what the provider says.
//!
//! Repeated and lost calls, two daemons, throttling, crashes, deletes on the way, neighbours: the conformance suite has them, for
//! each call. Here is what only the cloud's side can show.

mod changes;

use std::time::{Duration, Instant};

pub use changes::{
    a_cluster_is_upgraded_minor_by_minor_and_a_newer_one_satisfies, a_pool_grows_and_its_labels_follow,
    access_needs_a_cluster_and_gives_a_token, records_of_others_in_the_zone_are_left_alone,
};

use cloudsim::{Handle, Options, Simulator};
use futures::future::BoxFuture;
use landlord_provider_api::{ErrorKind, ProviderError, ProviderPlugin, v1};
use serde_json::{Value, json};

use crate::{Cloud, DOMAIN, Flow, Made, TIMEOUT};

/// Simulated time runs so much faster: a lifecycle takes about a second.
pub const SCALE: f64 = 0.0005;

/// A stage that meets a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metered {
    /// Of networks and addresses.
    Network,
    /// Of clusters and machines.
    Cluster,
    /// Of zones.
    Zone,
}

/// A quota, and how its error reads.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// The stage that meets it.
    pub stage: Metered,
    /// Its name in the simulator.
    pub name: &'static str,
    /// Too low.
    pub low: u64,
    /// Enough.
    pub high: u64,
    /// What the remedy names.
    pub words: &'static [&'static str],
}

/// Which objects carry the tenant's uid.
#[derive(Debug, Clone, Copy)]
pub enum Marked {
    /// All but those whose type ends so, in lower case.
    AllBut(&'static [&'static str]),
    /// Those of the types that a tenant has a fixed number of.
    Made,
}

/// What the cases need to know of a cloud.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Region, machine and parameters.
    pub cloud: Cloud,
    /// The account in the simulator.
    pub account: &'static str,
    /// The tenant.
    pub uid: &'static str,
    /// A credential of the account's owner, JSON.
    pub credential: fn() -> String,
    /// Types that a tenant makes, and how many of each.
    pub made: &'static [(&'static str, usize)],
    /// Types that the inventory names.
    pub owned: &'static [&'static str],
    /// Types that deleting reports.
    pub removed: &'static [&'static str],
    /// Who carries the marker.
    pub marked: Marked,
    /// What else holds of a new environment.
    pub holds: fn(&Made),
    /// Quotas.
    pub quotas: &'static [Quota],
    /// Service, what is observed, and the bucket that its throttling names.
    pub buckets: &'static [(&'static str, v1::ResourceKind, &'static str)],
    /// Whether throttled responses say how long to wait.
    pub states_wait: bool,
    /// A type that loses its markers, and what is then held.
    pub held: &'static [(&'static str, &'static [v1::ResourceKind])],
    /// Another machine type than the node pool's.
    pub other_machine_type: &'static str,
    /// Minor versions of Kubernetes: one below the class's, the class's own, one that it can be raised to.
    pub minors: [&'static str; 3],
    /// Begins the cloud's tokens for an API server.
    pub token_prefix: &'static str,
    /// A call by somebody else in the account.
    pub foreign: for<'a> fn(&'a Handle, Foreign) -> BoxFuture<'a, String>,
    /// What makes `192.0.2.9` the address of a name, relative to the tenant's domain, in a zone.
    pub record: fn(zone: &str, name: &str) -> Foreign,
    /// What lists a zone's records.
    pub listed: fn(zone: &str) -> Foreign,
}

/// A call that is no tenant's, as the cloud takes it.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Empty: none.
    pub body: String,
}

/// A simulated cloud in this process, and its control interface.
struct Sim<'a> {
    handle: Handle,
    http: reqwest::Client,
    facts: &'a Facts,
}

impl<'a> Sim<'a> {
    async fn start(facts: &'a Facts) -> Self {
        let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
        Self { handle: Simulator::start(options).await.expect("a simulator"), http: reqwest::Client::new(), facts }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> String {
        let url = format!("{}/_sim/{path}", self.handle.url());
        let request = self.http.request(method.parse().expect("a method"), url).json(&body);
        let response = request.send().await.expect("a response");
        let (status, text) = (response.status(), response.text().await.expect("a text"));
        assert!(status.is_success(), "{path}: {text}");
        text
    }

    /// Live objects of the account.
    async fn objects(&self) -> Vec<Value> {
        let text = self.control("GET", &format!("objects?account={}", self.facts.account), Value::Null).await;
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value.as_array().or_else(|| value["objects"].as_array()).cloned().expect("a list")
    }

    async fn created(&self, kind: &str) -> usize {
        let text = self.control("GET", "journal?since=0", Value::Null).await;
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
        let objects = lines
            .filter(|entry| entry["effect"] == "created")
            .flat_map(|entry| entry["objects"].as_array().cloned().unwrap_or_default());
        objects.filter(|object| is_of_type(object, kind)).count()
    }

    async fn flow<P: ProviderPlugin>(&self) -> Flow<P> {
        Flow::new(&self.facts.cloud, &self.handle.url(), &(self.facts.credential)(), self.facts.uid).await
    }

    async fn is_empty(&self) {
        let left = self.objects().await;
        assert!(left.is_empty(), "left over: {left:#?}");
    }
}

fn is_of_type(object: &Value, kind: &str) -> bool {
    object["type"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(kind))
}

fn names(objects: &[v1::OwnedObject], kind: &str) -> bool {
    objects.iter().any(|object| object.r#type.eq_ignore_ascii_case(kind))
}

/// An environment is made once, marked, listed, and removed to the last object.
pub async fn creates_everything_and_removes_everything<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let flow = sim.flow::<P>().await;
    let made = flow.create().await.expect("an environment");
    assert!(made.cluster.ca_pem.contains("BEGIN CERTIFICATE"), "{}", made.cluster.ca_pem);
    assert_eq!(made.pool.node_count, 2);
    assert!(made.zone.name_servers.len() >= 2, "{:?}", made.zone);
    (facts.holds)(&made);
    for (kind, number) in facts.made {
        assert_eq!(sim.created(kind).await, *number, "{kind}");
    }
    for object in sim.objects().await {
        let kind = object["type"].as_str().unwrap_or_default().to_lowercase();
        let must = match facts.marked {
            Marked::AllBut(types) => !types.iter().any(|end| kind.ends_with(end)),
            Marked::Made => facts.owned.iter().any(|owned| owned.eq_ignore_ascii_case(&kind)),
        };
        assert!(!must || object.to_string().contains(facts.uid), "{kind} carries no marker: {object}");
    }
    let owned = flow.owned().await.expect("an inventory");
    for kind in facts.owned {
        assert!(names(&owned, kind), "{kind} is not in the inventory: {owned:#?}");
        let ours = owned.iter().filter(|object| object.r#type.eq_ignore_ascii_case(kind));
        assert!(
            ours.clone().all(|object| object.tenant_uid == facts.uid && !object.role.is_empty()),
            "{kind}: {owned:#?}"
        );
    }
    let removed = flow.delete().await.expect("a removal");
    for kind in facts.removed {
        assert!(names(&removed, kind), "{kind} is not reported as removed");
    }
    flow.owned_is_empty().await;
    sim.is_empty().await;
}

async fn metered<P: ProviderPlugin>(flow: &Flow<P>, stage: Metered, made: &mut Made) -> Result<(), ProviderError> {
    match stage {
        Metered::Network => made.network = flow.network().await?,
        Metered::Cluster => made.cluster = flow.cluster(&made.network).await?,
        Metered::Zone => made.zone = flow.zone().await?,
    }
    Ok(())
}

/// A quota that is used up is reported with its name, and when it was raised the same call succeeds.
pub async fn a_quota_is_named_and_raising_it_lets_a_retry_succeed<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let flow = sim.flow::<P>().await;
    let mut made = Made::default();
    let set = async |quota: &Quota, limit: u64| {
        let limits = json!({ "account": facts.account, "limits": { quota.name: limit } });
        sim.control("POST", "quotas", limits).await;
    };
    for stage in [Metered::Network, Metered::Cluster, Metered::Zone] {
        for quota in facts.quotas.iter().filter(|quota| quota.stage == stage) {
            set(quota, quota.low).await;
            let error = metered(&flow, stage, &mut made).await.expect_err(quota.name);
            assert_eq!(error.kind, ErrorKind::Quota, "{}: {error}", quota.name);
            for words in quota.words {
                assert!(error.remedy.contains(words), "{}: {}", quota.name, error.remedy);
            }
            set(quota, quota.high).await;
        }
        metered(&flow, stage, &mut made).await.expect("room after the quota was raised");
    }
    flow.delete().await.expect("a removal");
    flow.owned_is_empty().await;
    sim.is_empty().await;
}

/// A throttled call names the bucket that it used up.
pub async fn a_throttled_call_names_its_bucket<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let flow = sim.flow::<P>().await;
    for (service, kind, bucket) in facts.buckets {
        sim.control("POST", "faults", json!({ "service": service, "kind": "throttle" })).await;
        let request = v1::ObserveRequest {
            scope: Some(flow.scope.clone()),
            kind: (*kind).into(),
            domain: DOMAIN.to_owned(),
            ..v1::ObserveRequest::default()
        };
        let error = flow.provider.observe(request).await.expect_err("throttling");
        assert_eq!((error.kind, error.bucket.as_str()), (ErrorKind::Throttled, *bucket), "{error}");
        assert!(error.retry_after.is_some() || !facts.states_wait, "{error} does not say how long to wait");
        sim.control("DELETE", "faults", Value::Null).await;
    }
}

/// Without its markers an object is held, and it goes when they are back.
pub async fn what_lost_its_markers_is_held_and_goes_when_they_are_back<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let mut flow = sim.flow::<P>().await;
    flow.create().await.expect("an environment");
    for (kind, of) in facts.held {
        let objects = sim.objects().await;
        let object = objects.iter().find(|object| is_of_type(object, kind)).expect(kind);
        let (tags, before) = (object["tags"].clone(), objects.len());
        assert!(tags["landlord-tenant-uid"].is_string(), "{object}");
        let edit = |back: bool| {
            let (sim, id, tags) = (&sim, object["id"].clone(), tags.clone());
            async move {
                let gone = ["landlord-installation", "landlord-tenant-uid", "landlord-role"];
                let body = if back { json!({ "id": id, "set": tags }) } else { json!({ "id": id, "remove": gone }) };
                sim.control("POST", "tags", body).await;
            }
        };
        flow.is_held(of, edit).await;
        assert_eq!(sim.objects().await.len(), before, "{kind}: something was removed");
    }
    flow.recorded = true;
    flow.delete().await.expect("a removal");
    flow.owned_is_empty().await;
    sim.is_empty().await;
}

/// Another installation in the same account sees nothing of ours, and lets it be.
pub async fn another_installation_sees_and_touches_nothing_of_ours<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let (one, mut two) = (sim.flow::<P>().await, sim.flow::<P>().await);
    one.create().await.expect("an environment");
    two.scope.installation = "other".to_owned();
    let before = settled(&sim).await;
    assert_eq!(two.owned().await.expect("an inventory"), []);
    assert_eq!(two.delete().await.expect("nothing to remove"), []);
    assert_eq!(two.network().await.expect_err("a name that is taken").kind, ErrorKind::NameTaken);
    assert_eq!(settled(&sim).await, before);
    one.delete().await.expect("a removal");
    sim.is_empty().await;
}

/// The ids of what there is, once nothing comes or goes by itself.
async fn settled(sim: &Sim<'_>) -> Vec<String> {
    let start = Instant::now();
    let mut before = Vec::new();
    loop {
        let mut now: Vec<String> =
            sim.objects().await.iter().map(|object| object["id"].as_str().unwrap_or_default().to_owned()).collect();
        now.sort();
        if now == before {
            return now;
        }
        before = now;
        assert!(start.elapsed() < TIMEOUT, "the account does not settle");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The cases as tests of a plugin: `every_plugin_on_its_cloud!(Eks, FACTS)`.
#[macro_export]
macro_rules! every_plugin_on_its_cloud {
    ($provider:ty, $facts:expr) => {
        $crate::every_plugin_on_its_cloud!(@ $provider, $facts,
            creates_everything_and_removes_everything,
            a_quota_is_named_and_raising_it_lets_a_retry_succeed,
            a_throttled_call_names_its_bucket,
            what_lost_its_markers_is_held_and_goes_when_they_are_back,
            another_installation_sees_and_touches_nothing_of_ours,
            a_pool_grows_and_its_labels_follow,
            a_cluster_is_upgraded_minor_by_minor_and_a_newer_one_satisfies,
            access_needs_a_cluster_and_gives_a_token,
            records_of_others_in_the_zone_are_left_alone,
        );
    };
    (@ $provider:ty, $facts:expr, $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::simulated::$case::<$provider>(&$facts).await;
            }
        )+
    };
}
