//! Replicas behind one name: all of them are restarted while clients call with the retry policy that every gRPC library has
//! (<https://github.com/grpc/proposal/blob/master/A6-client-retries.md>). No request may fail, no watch lose or repeat anything.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, binaries};
use landlord_proto::{
    google::longrunning::{GetOperationRequest, operations_client::OperationsClient},
    v1::{self, tenant_service_client::TenantServiceClient},
};
use landlord_store_contract::{postgres::Server, proxy::Proxy};
use landlord_test_harness::{
    Cli, Replica, TenantFile, World, WorldOptions, client,
    cloud::{AKS, EKS, GKE},
    judge,
};
use tokio::task::JoinSet;
use tonic::{Code, Status, transport::Channel};

/// Far above what it takes: a busy machine is no failure.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);
/// The service config that operators are given (`config/packaging/replicas.md`): attempts, first and longest backoff, each doubled. Only
/// UNAVAILABLE is repeated.
const ATTEMPTS_MAX: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Of the rate that a test is for, so much must be reached: fewer requests would show less.
const RATE_REACHED_MIN: f64 = 0.9;
/// Requests under way, the repeated ones among them: whoever waits for a replica that restarts. With more, a busy machine would be
/// measured by a pile of requests that wait for each other.
const UNDER_WAY_MAX: usize = 64;
/// Of the requests one in so many changes something.
const WRITES: usize = 10;

fn start(world: &World, index: usize, sets: &[String]) -> Replica {
    Replica::start(world, &format!("r{index}"), sets).unwrap()
}

fn socket(world: &World, index: usize) -> PathBuf {
    Replica::socket_of(world, &format!("r{index}"))
}

/// UNAVAILABLE, or a connection that ended before the request was sent: other libraries repeat that by themselves, tonic reports it as
/// CANCELLED with the transport's error as its source, which no status of a server has.
fn is_repeated(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}

/// What all clients share.
pub(crate) struct Load {
    channels: Vec<Channel>,
    tenant: String,
    sent: AtomicUsize,
    retried: AtomicUsize,
    failed: Mutex<Vec<Status>>,
    /// Operations of changes that were acknowledged, by the value that was written.
    acknowledged: Mutex<BTreeMap<usize, String>>,
    stop: AtomicBool,
}

impl Load {
    /// On one tenant, through daemons that may not be there yet. Within a runtime.
    pub(crate) fn new(sockets: impl Iterator<Item = PathBuf>, tenant: &str) -> Self {
        Self {
            channels: sockets.map(|socket| client::lazy(&socket)).collect(),
            tenant: tenant.to_owned(),
            sent: AtomicUsize::new(0),
            retried: AtomicUsize::new(0),
            failed: Mutex::default(),
            acknowledged: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// No further requests.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// One request, to whichever replica is next.
    async fn request(&self, index: usize) {
        let mut backoff = BACKOFF;
        for attempt in 0..ATTEMPTS_MAX {
            let channel = self.channels[(index + attempt as usize) % self.channels.len()].clone();
            match self.call(channel, index).await {
                Ok(()) => return,
                Err(status) if is_repeated(&status) && attempt + 1 < ATTEMPTS_MAX => {
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    // 0.8 to 1.2 of it, so that not all come back at once.
                    tokio::time::sleep(backoff.mul_f64(0.8 + 0.4 * rand::random::<f64>())).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Err(status) => return self.failed.lock().unwrap().push(status),
            }
        }
    }

    async fn call(&self, channel: Channel, index: usize) -> Result<(), Status> {
        let mut tenants = TenantServiceClient::new(channel);
        if !index.is_multiple_of(WRITES) {
            let request = v1::GetTenantRequest { name: self.tenant.clone() };
            return tenants.get_tenant(request).await.map(drop);
        }
        let tenant = v1::Tenant {
            name: self.tenant.clone(),
            labels: [("turn".to_owned(), index.to_string())].into(),
            ..v1::Tenant::default()
        };
        let request = v1::UpdateTenantRequest {
            tenant: Some(tenant),
            update_mask: Some(prost_types::FieldMask { paths: vec!["labels.turn".into()] }),
            // The same in every attempt: what was accepted before its answer was lost is not done twice.
            request_id: uuid::Uuid::from_u128(0x4000_8000_0000_0000_0000 + index as u128).to_string(),
            ..v1::UpdateTenantRequest::default()
        };
        let operation = tenants.update_tenant(request).await?.into_inner();
        self.acknowledged.lock().unwrap().insert(index, operation.name);
        Ok(())
    }

    /// Requests at a rate, until stopped; fewer where the machine has no time for as many.
    pub(crate) async fn run(self: Arc<Self>, per_second: u32) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        // What is late is made up for: timers are coarser than a few milliseconds.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut requests = JoinSet::new();
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            while requests.try_join_next().is_some() {}
            if requests.len() >= UNDER_WAY_MAX {
                requests.join_next().await;
            }
            let (load, index) = (self.clone(), self.sent.fetch_add(1, Ordering::Relaxed));
            requests.spawn(async move { load.request(index).await });
        }
        while requests.join_next().await.is_some() {}
    }

    /// What a watch sees that goes on, at the other replica, wherever it was cut; until it has seen `last`.
    pub(crate) async fn watch(self: Arc<Self>, seen: Arc<Mutex<Vec<v1::TenantEvent>>>) {
        let (mut token, mut turn) = ("0".to_owned(), 0);
        loop {
            turn += 1;
            let mut tenants = TenantServiceClient::new(self.channels[turn % self.channels.len()].clone());
            let request = v1::WatchTenantsRequest { parent: self.tenant.clone(), resume_token: token.clone() };
            let mut stream = match tenants.watch_tenants(request).await {
                Ok(stream) => stream.into_inner(),
                Err(status) => {
                    assert!(is_repeated(&status), "{status:?}");
                    tokio::time::sleep(BACKOFF).await;
                    continue;
                }
            };
            let ended = loop {
                match stream.message().await {
                    Ok(Some(message)) => {
                        token = message.resume_token;
                        seen.lock().unwrap().extend(message.event);
                    }
                    Ok(None) => break Status::internal("the daemon ended a watch as if everything had been seen"),
                    Err(status) => break status,
                }
            };
            // Clients go on by themselves after such an end, and after no other.
            assert!(is_repeated(&ended), "a watch ended with {ended:?}");
        }
    }
}

/// Restarts every replica so often, in turn, under load; gives how many requests were sent in a second. The programs end with the
/// thread that started them, so it is this one.
fn rolling(replicas: usize, rounds: usize, per_second: u32) -> f64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start("replicas");
    let options =
        WorldOptions { time_scale: FAST, clouds: vec![&EKS], store_url: server.database(), ..WorldOptions::default() };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    let tenant = TenantFile::new("acme", "t", &EKS.bare_class());
    world.cli().apply(&tenant).unwrap();
    world.cli().wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    assert!(world.stop_daemon().unwrap());
    let mut all: Vec<Replica> = (0..replicas).map(|index| start(&world, index, &[])).collect();
    let load = {
        let _within = runtime.enter();
        Arc::new(Load::new((0..replicas).map(|index| socket(&world, index)), &tenant.name()))
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut running, mut watching) = (JoinSet::new(), JoinSet::new());
    let began = Instant::now();
    running.spawn_on(load.clone().run(per_second), runtime.handle());
    watching.spawn_on(load.clone().watch(seen.clone()), runtime.handle());
    for _ in 0..rounds {
        for index in 0..replicas {
            std::thread::sleep(Duration::from_secs(1));
            let old = all.remove(index);
            assert!(old.service.stop(TIMEOUT).unwrap(), "it was killed");
            all.insert(index, start(&world, index, &[]));
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    load.stop();
    let reached = load.sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    runtime.block_on(async {
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
        judged(&load, &seen).await;
    });
    reached
}

#[expect(clippy::print_stdout, reason = "the figures are shown")]
pub(crate) async fn judged(load: &Load, seen: &Mutex<Vec<v1::TenantEvent>>) {
    let (sent, retried) = (load.sent.load(Ordering::Relaxed), load.retried.load(Ordering::Relaxed));
    let failed = load.failed.lock().unwrap().clone();
    println!("{sent} requests, {retried} retried, {} failed", failed.len());
    assert!(failed.is_empty(), "{:?}", failed.first());
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    assert_eq!(acknowledged.len(), sent.div_ceil(WRITES));
    let mut operations = OperationsClient::new(load.channels[0].clone());
    for name in acknowledged.values() {
        operations.get_operation(GetOperationRequest { name: name.clone() }).await.unwrap();
    }
    // What the watch saw is what there is, in its order.
    let mut tenants = TenantServiceClient::new(load.channels[0].clone());
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListTenantEventsRequest {
            parent: load.tenant.clone(),
            page_size: 1_000,
            page_token,
            ..v1::ListTenantEventsRequest::default()
        };
        let page = tenants.list_tenant_events(request).await.unwrap().into_inner();
        all.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let deadline = Instant::now() + TIMEOUT;
    while seen.lock().unwrap().len() < all.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), all.len(), "events were lost or doubled");
    assert!(seen == all, "the watch saw events in another order");
}

#[test]
fn all_replicas_are_restarted_and_no_request_fails() {
    rolling(2, 1, 50);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
#[expect(clippy::print_stdout, reason = "the figure is shown")]
fn long_all_replicas_are_restarted_again_and_again_and_no_request_fails() {
    let per_second = 200;
    let reached = rolling(3, 5, per_second);
    println!("{reached:.0} requests a second");
    assert!(reached >= RATE_REACHED_MIN * f64::from(per_second), "{reached} requests a second of {per_second}");
}

#[test]
fn the_retry_policy_that_is_tested_is_the_documented_one() {
    let page = landlord_test_harness::binaries::checkout().join("config/packaging/replicas.md");
    let seconds = |duration: Duration| format!("\"{}s\"", duration.as_secs_f64());
    let policy = format!(
        "\"maxAttempts\": {ATTEMPTS_MAX}, \"initialBackoff\": {}, \"maxBackoff\": {},",
        seconds(BACKOFF),
        seconds(BACKOFF_MAX)
    );
    assert!(std::fs::read_to_string(page).unwrap().contains(&policy), "{policy}");
}

#[test]
fn a_daemon_that_starts_waits_for_its_database() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start("away");
    let options =
        WorldOptions { time_scale: FAST, clouds: vec![&EKS], store_url: server.database(), ..WorldOptions::default() };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    assert!(world.stop_daemon().unwrap());
    let proxy = runtime.block_on(Proxy::before(&server));
    proxy.close();
    // Longer than a connection is waited for, so that the daemon finds nobody at least once.
    let replica = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(8));
            proxy.open();
        });
        Replica::start(&world, "away", &[format!("store.url={}", proxy.url(&options.store_url))]).unwrap()
    });
    let answer = runtime.block_on(async {
        let mut tenants = TenantServiceClient::new(client::lazy(&replica.socket));
        let request = v1::GetTenantRequest { name: "customers/acme/tenants/t".to_owned() };
        tokio::time::timeout(TIMEOUT, tenants.get_tenant(request)).await
    });
    let status = answer.unwrap_or_else(|_| panic!("{}", replica.service.log_tail(20))).unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    assert!(replica.service.log_tail(40).contains("waiting for it"), "{}", replica.service.log_tail(40));
}

/// Tenants of the fault run, and for how long it goes on unless `LANDLORD_LONG_MINUTES` says otherwise.
const TENANTS: usize = 60;
const MINUTES: u64 = 10;
const LEASE: Duration = Duration::from_secs(3);
/// A change waits no longer for its answer: the daemon that got it may be stopped.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// One without an answer may be accepted all the same so much later, and after others that came behind it: over a connection that fell
/// silent the store waits 12 s, and tries again for 20 s; the rest is for a busy machine.
const LATE_MAX: Duration = Duration::from_secs(90);
/// What a killed replica had is another's after a lease; the rest is for a busy machine, and for replicas that suffer still.
const TAKE_OVER_MAX: Duration = Duration::from_secs(LEASE.as_secs() + 10);
/// Of the calls of an account at most one in so many is throttled: a daemon that takes it over goes on from what is left.
const THROTTLED_ONE_IN: usize = 500;

/// A replica that is killed, paused or cut off, with its own way to the database.
struct Faulty {
    replica: Option<Replica>,
    proxy: Proxy,
    url: String,
    index: usize,
}

impl Faulty {
    fn start(&mut self, world: &World) {
        let more = [format!("store.url={}", self.url), format!("engine.lease_ttl={}s", LEASE.as_secs())];
        self.replica = Some(start(world, self.index, &more));
    }

    fn signal(&self, name: &str) {
        let pid = self.replica.as_ref().unwrap().service.pid().to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// One fault, and its end.
    fn suffer(&mut self, world: &World, (server, database): (&Server, &str)) -> String {
        let fault = match rand::random::<u32>() % 5 {
            0 => {
                let killed = self.replica.take().unwrap();
                let pid = killed.service.pid();
                killed.service.crash().unwrap();
                let began = Instant::now();
                self.start(world);
                return format!("killed, taken over after {:.1?}", taken_over(server, database, (pid, began)));
            }
            1 => {
                // Longer than its lease: whatever it was about to write is another's by then.
                self.signal("-STOP");
                std::thread::sleep(LEASE * 2);
                self.signal("-CONT");
                "paused"
            }
            2 => {
                self.proxy.close();
                std::thread::sleep(LEASE * 2);
                self.proxy.open();
                "cut off from the database"
            }
            3 => {
                self.proxy.silence();
                "its connections reset"
            }
            _ => {
                server.crash();
                server.up();
                "the database restarted"
            }
        };
        fault.to_owned()
    }
}

/// Waits until nothing is left of what a killed daemon had claimed; gives how long that took since it was killed.
fn taken_over(server: &Server, database: &str, (pid, began): (u32, Instant)) -> Duration {
    let left = format!("SELECT COUNT(*) FROM tenants WHERE owner IN (SELECT id FROM daemons WHERE pid = {pid})");
    loop {
        let count = server.query(database, &left);
        let took = began.elapsed();
        if count == "0" {
            return took;
        }
        assert!(took < TAKE_OVER_MAX, "{count} environments are still those of a replica that was killed {took:?} ago");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A change that takes no time and is seen.
async fn label(socket: &Path, tenant: &str, turn: usize) -> Result<(), Status> {
    let tenant = v1::Tenant {
        name: tenant.to_owned(),
        labels: [("turn".to_owned(), turn.to_string())].into(),
        ..v1::Tenant::default()
    };
    let request = v1::UpdateTenantRequest {
        tenant: Some(tenant),
        update_mask: Some(prost_types::FieldMask { paths: vec!["labels.turn".into()] }),
        ..v1::UpdateTenantRequest::default()
    };
    let answer = tokio::time::timeout(CHANGE_TIMEOUT, async {
        TenantServiceClient::new(client::lazy(socket)).update_tenant(request).await
    });
    answer.await.map_err(|_| Status::deadline_exceeded("no answer"))?.map(drop)
}

/// The daemons together call an account no faster than its cloud allows: next to nothing was throttled.
#[expect(clippy::print_stdout, reason = "the figures are shown")]
fn rates_are_kept(journal: &[serde_json::Value], account: &str) {
    let calls: Vec<_> = journal.iter().filter(|e| e["origin"] == "call" && e["account"] == account).collect();
    let is_throttled =
        |outcome: &str| ["hrottl", "TooMany", "rateLimit", "RequestLimit"].iter().any(|s| outcome.contains(s));
    let throttled = calls.iter().filter(|e| is_throttled(judge::text(e, "outcome"))).count();
    println!("account {account}: {} calls, {throttled} throttled", calls.len());
    assert!(throttled * THROTTLED_ONE_IN <= calls.len(), "{throttled} of {} calls were throttled", calls.len());
}

/// What AWS takes of an account in a region: the service, whether reads or changes, what a full bucket holds, calls a second. The first
/// is documented (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>), the others are the simulator's.
const AWS_RATES: [(&str, Option<bool>, f64, f64); 5] = [
    ("route53", None, 5.0, 5.0),
    ("eks", Some(true), 60.0, 20.0),
    ("eks", Some(false), 20.0, 5.0),
    ("cloudformation", Some(true), 40.0, 10.0),
    ("cloudformation", Some(false), 20.0, 5.0),
];
/// Simulated time in which calls are counted.
const WINDOW_MS: i64 = 60_000;
/// Calls arrive later than they were sent, and some of them together.
const WINDOW_SLACK: f64 = 1.1;

/// In no window did the daemons together call more than a full bucket and what it earns meanwhile, throttled calls included.
#[expect(clippy::print_stdout, reason = "the figures are shown")]
fn windows_are_kept(journal: &[serde_json::Value], account: &str) {
    for (service, reads, burst, rate) in AWS_RATES {
        let is_read = |e: &serde_json::Value| {
            ["Describe", "List", "Get"].iter().any(|verb| judge::text(e, "action").starts_with(verb))
        };
        let is_one = |e: &&serde_json::Value| {
            e["origin"] == "call"
                && e["account"] == account
                && e["service"] == service
                && reads.is_none_or(|reads| reads == is_read(e))
        };
        let mut times: Vec<i64> = journal.iter().filter(is_one).filter_map(|e| e["sim_ms"].as_i64()).collect();
        times.sort_unstable();
        let within = |(at, end): (usize, &i64)| at + 1 - times.partition_point(|time| *time <= end - WINDOW_MS);
        let most = times.iter().enumerate().map(within).max().unwrap_or(0);
        let allowed = (burst + rate * WINDOW_MS as f64 / 1_000.0) * WINDOW_SLACK;
        println!(
            "account {account}, {service}, reads {reads:?}: {} calls, {most} of {allowed:.0} in a minute",
            times.len()
        );
        assert!(most as f64 <= allowed, "{service}: {most} calls in a minute, where {allowed:.0} are taken");
    }
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
#[expect(clippy::print_stdout, reason = "what happened is shown")]
fn long_three_replicas_keep_every_promise_under_faults() {
    let minutes = std::env::var("LANDLORD_LONG_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(MINUTES);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start("faults");
    let clouds = vec![&EKS, &GKE, &AKS];
    let options = WorldOptions {
        time_scale: FAST * 10.0,
        clouds: clouds.clone(),
        store_url: server.database(),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    clouds.iter().for_each(|cloud| world.simulator().control().lift_quotas(cloud.account).unwrap());
    assert!(world.stop_daemon().unwrap());
    let mut replicas: Vec<Faulty> = (0..3)
        .map(|index| {
            let proxy = runtime.block_on(Proxy::before(&server));
            let url = proxy.url(&options.store_url);
            Faulty { replica: None, proxy, url, index }
        })
        .collect();
    replicas.iter_mut().for_each(|replica| replica.start(&world));
    let cli = |index: usize| Cli::new(&world.binaries().landlord, &socket(&world, index));
    let tenants: Vec<TenantFile> = (0..TENANTS)
        .map(|turn| TenantFile::new("acme", &format!("t{turn}"), &clouds[turn % clouds.len()].bare_class()))
        .collect();
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut ordered, mut changes) = (0, BTreeMap::new());
    for turn in 0.. {
        let over = Instant::now() > until;
        if over && ordered == TENANTS {
            break;
        }
        if !over {
            let victim = &mut replicas[rand::random::<u32>() as usize % 3];
            let fault = victim.suffer(&world, (&server, &options.store_url));
            println!("replica {}: {fault}", victim.index);
        }
        // Orders come in all the while; one that is refused is repeated, as its customer would.
        if let Some(tenant) = tenants.get(ordered) {
            let is_accepted = (0..30).any(|turn| {
                let accepted = cli(turn % 3).apply(tenant).inspect_err(|error| println!("{error:#}")).is_ok();
                accepted || {
                    std::thread::sleep(Duration::from_secs(1));
                    false
                }
            });
            assert!(is_accepted, "{} is not accepted by any replica", tenant.name());
            ordered += 1;
        }
        let changed = &tenants[rand::random::<u32>() as usize % ordered];
        let labelled = runtime.block_on(label(&socket(&world, turn % 3), &changed.name(), turn));
        let (kept, tried) = changes.entry(changed.name()).or_insert((None, Vec::new()));
        match labelled {
            Ok(()) => {
                *kept = Some(turn);
                tried.retain(|(_, since): &(usize, Instant)| since.elapsed() < LATE_MAX);
            }
            // It may have been accepted all the same.
            Err(status) => {
                println!("a change has no answer: {status}");
                tried.push((turn, Instant::now()));
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    // Every acknowledged order survived, and is built; so did every change.
    let journal = || world.simulator().control().journal(0).unwrap();
    for tenant in &tenants {
        cli(0).wait_for(&tenant.name(), "READY", TIMEOUT * 10).unwrap();
        let shown = cli(0).tenant(&tenant.name()).unwrap().unwrap();
        if let Some((kept, tried)) = changes.get(&tenant.name()) {
            let label = shown["labels"]["turn"].as_str().and_then(|turn| turn.parse::<usize>().ok());
            assert!(
                label == *kept || label.is_some_and(|label| tried.iter().any(|(turn, _)| *turn == label)),
                "{shown}: {kept:?} {tried:?}"
            );
        }
        let uid = shown["uid"].as_str().unwrap();
        let is_its = |object: &serde_json::Value| object["tags"]["landlord-tenant-uid"] == uid;
        let its: Vec<_> =
            journal().into_iter().filter(|e| e["objects"].as_array().unwrap().iter().any(is_its)).collect();
        judge::intents_are_older(&its, &cli(0).events(&tenant.name()).unwrap()).unwrap();
    }
    let entries = journal();
    judge::nothing_made_twice(&entries, TENANTS).unwrap();
    judge::never_two_at_once(&entries).unwrap();
    judge::only_ours_is_touched(&entries).unwrap();
    clouds.iter().for_each(|cloud| judge::everything_is_marked(&entries, cloud.account).unwrap());
    clouds.iter().for_each(|cloud| rates_are_kept(&entries, cloud.account));
    windows_are_kept(&entries, EKS.account);
    for tenant in &tenants {
        cli(1).ok(&["delete", &tenant.name()]).unwrap();
    }
    for tenant in &tenants {
        cli(2).wait_for(&tenant.name(), "GONE", TIMEOUT * 10).unwrap();
    }
    clouds.iter().for_each(|cloud| judge::account_is_empty(world.simulator().control(), cloud.account).unwrap());
}
