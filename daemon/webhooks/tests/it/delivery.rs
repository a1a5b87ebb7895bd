//! What arrives: once at least, in order, signed, whatever the receiver and the daemon do.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use landlord_core::ports::{Commit, EventKind, TenantStore as _, Webhooks as _, WorkStore as _};
use landlord_store_contract::fixtures;
use landlord_webhooks::{EventType, Secret, WebhookOptions};

use crate::{
    receiver::{self, Mode, Receiver, Request},
    world::{SECRET, World, options},
};

/// Reasons by tenant, in the order in which they were taken; each once.
fn by_tenant(requests: &[Request]) -> BTreeMap<String, Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.taken && seen.insert(request.id().to_owned())) {
        all.entry(request.tenant()).or_default().push(request.reason());
    }
    all
}

/// Has the scheme's own library for Python check every signature.
fn verify(receiver: &Receiver) {
    verify_by(SECRET, &receiver.requests());
}

/// The same with another secret.
fn verify_by(secret: &str, requests: &[Request]) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standardwebhooks");
    let python = landlord_test_kube::python_env(&own.join("requirements.txt")).unwrap();
    let mut child = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(own.join("verify.py"))
        .arg(secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(receiver::as_json(requests).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let verified: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert_eq!(verified, requests.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_in_order_and_signed() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    world.order("before").await;
    let daemon = world.daemon("a", vec![options("portal", &receiver)]).await;
    fixtures::claim_one(&*world.store).await;
    world.events("one", &["Paused", "Failed", "Ready"]).await;
    let requests = receiver.taken(4).await;
    assert_eq!(by_tenant(&requests)["one"], ["CreateAccepted", "Paused", "Failed", "Ready"]);
    // What was before the webhook is not its business.
    assert!(!by_tenant(&requests).contains_key("before"));
    let types: Vec<String> = requests.iter().map(|r| r.event()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types.last().unwrap(), EventType::Ready.as_str());
    let event = requests[3].event();
    assert_eq!((event["specversion"].as_str(), event["id"].as_str()), (Some("1.0"), Some(requests[3].id())));
    assert_eq!(event["source"], "//landlord.dev/installations/test");
    assert_eq!(event["subject"], "customers/acme/tenants/one");
    assert!(requests[3].headers["content-type"].starts_with("application/cloudevents+json"));
    // A receiver that traces goes on with the operation's trace.
    let name = "customers/acme/tenants/one".parse().unwrap();
    let operation = world.store.get(&name).await.unwrap().operation;
    let traceparent = landlord_trace::traceparent_of(operation);
    assert!(requests.iter().all(|request| request.headers.get("traceparent") == Some(&traceparent)));
    let test = daemon.service.test("portal").await.unwrap();
    assert_eq!((test.status, test.error.as_str()), (Some(204), ""));
    verify(&receiver);
    let state = world.until("portal", |state| state.delivered_count == 4).await;
    assert!(state.held.is_empty() && state.error.is_empty() && state.delivery_time.is_some());
    daemon.end().await;
    // It gave its lease back.
    assert_eq!(world.state("portal").await.daemon, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_down_for_long_misses_nothing() {
    let (world, mut receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    let _daemon = world.daemon("a", vec![options("portal", &receiver)]).await;
    receiver.down().await;
    for index in 0..30 {
        world.events(&format!("t{index}"), &["Paused", "Ready"]).await;
    }
    // 3 s at a backoff of 20 ms are an hour at one of 24 s.
    let state = world.until("portal", |state| state.held.iter().any(|held| held.attempts >= 8)).await;
    assert!(state.failing_since.is_some() && state.held.len() <= 16 + 50, "{}", state.held.len());
    receiver.up().await;
    let requests = receiver.taken(90).await;
    let all = by_tenant(&requests);
    assert_eq!(all.len(), 30);
    assert!(all.values().all(|reasons| *reasons == ["CreateAccepted", "Paused", "Ready"]), "{all:?}");
    let state = world.until("portal", |state| state.delivered_count == 90 && state.held.is_empty()).await;
    assert_eq!((state.parked_count, state.missed_count, state.failing_since), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_refused_holds_its_own_tenant_only() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::RefuseTenant("bad")).await);
    let _daemon = world.daemon("a", vec![options("portal", &receiver)]).await;
    world.events("bad", &["Paused", "Ready"]).await;
    world.events("good", &["Paused", "Ready"]).await;
    let requests = receiver.taken(3).await;
    assert_eq!(by_tenant(&requests)["good"], ["CreateAccepted", "Paused", "Ready"]);
    let state = world.until("portal", |state| state.held.iter().any(|held| held.attempts > 2)).await;
    assert_eq!(state.held.len(), 1);
    // Its later events were not tried before it.
    let refused = receiver.requests().into_iter().filter(|request| request.tenant() == "bad");
    assert_eq!(refused.map(|request| request.reason()).collect::<BTreeSet<_>>(), ["CreateAccepted".to_owned()].into());
    receiver.set(Mode::Take);
    let requests = receiver.taken(6).await;
    assert_eq!(by_tenant(&requests)["bad"], ["CreateAccepted", "Paused", "Ready"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_whose_events_are_refused_delays_no_other_customer() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::RefuseCustomer("bad")).await);
    let _daemon = world.daemon("a", vec![options("portal", &receiver)]).await;
    let order = async |tenants: std::ops::Range<u32>| {
        for index in tenants {
            fixtures::created(&*world.store, "bad", &format!("t{index}")).await;
        }
    };
    order(0..8).await;
    world.until("portal", |state| state.held.iter().filter(|held| held.attempts > 1).count() == 8).await;
    // More than the receiver may refuse before it counts as down: none of these is tried.
    order(8..30).await;
    world.until("portal", |state| state.held.len() == 30).await;
    let began = Instant::now();
    world.order("good").await;
    receiver.taken(1).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let state = world.state("portal").await;
    assert_eq!(state.held.len(), 30);
    let tried: BTreeSet<(String, String)> =
        receiver.requests().iter().map(|request| (request.customer(), request.tenant())).collect();
    assert_eq!(tried.len(), 9, "{tried:?}");
    receiver.set(Mode::Take);
    let requests = receiver.taken(31).await;
    assert_eq!(by_tenant(&requests).len(), 31);
    let state = world.until("portal", |state| state.held.is_empty()).await;
    assert_eq!((state.parked_count, state.missed_count, state.delivered_count), (0, 0, 31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_event_that_the_store_forgets_is_counted_as_missed() {
    let (world, receiver) = (World::keeping(500).await, Receiver::start(Mode::RefuseTenant("bad")).await);
    let mut accepted = options("portal", &receiver);
    accepted.event_types = vec![EventType::Accepted];
    let _daemon = world.daemon("a", vec![accepted]).await;
    world.events("bad", &[]).await;
    world.until("portal", |state| state.held.iter().any(|held| held.attempts > 1)).await;
    // In small parts, which the webhook follows: at the thousandth the store forgets the first half.
    world.order("good").await;
    let claim = fixtures::claim_one(&*world.store).await;
    for _ in 0..110 {
        let events = vec![fixtures::event(EventKind::Tenant, "Paused"); 10];
        world.store.commit(&claim, Commit { events, ..Commit::default() }).await.unwrap();
    }
    let state = world.until("portal", |state| state.held.is_empty()).await;
    assert_eq!((state.missed_count, state.parked_count, state.delivered_count), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_delays_no_other() {
    // Far longer than all of it takes on a busy machine: who waits for it once is late.
    let slowness = Duration::from_secs(60);
    let (world, slow) = (World::new().await, Receiver::start(Mode::Sleep(slowness)).await);
    let (late, fast) = (Receiver::start(Mode::Sleep(slowness)).await, Receiver::start(Mode::Take).await);
    let patient = WebhookOptions { timeout: slowness, ..options("slow", &slow) };
    let _daemon = world.daemon("a", vec![patient, options("late", &late), options("fast", &fast)]).await;
    let began = Instant::now();
    for index in 0..10 {
        world.events(&format!("t{index}"), &["Ready"]).await;
    }
    fast.taken(20).await;
    assert!(began.elapsed() < slowness, "{:?}", began.elapsed());
    let state = world.until("late", |state| !state.held.is_empty()).await;
    assert!(state.error.contains("no answer in time"), "{state:?}");
    assert_eq!((state.delivered_count, world.state("slow").await.delivered_count), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_not_read_to_its_end() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Babble(1_000_000)).await);
    let _daemon = world.daemon("a", vec![options("portal", &receiver)]).await;
    let began = Instant::now();
    world.events("one", &["Ready"]).await;
    // Two terabytes would take longer, also on a busy machine.
    let state = world.until("portal", |state| state.delivered_count == 2).await;
    assert!(began.elapsed() < Duration::from_secs(60) && state.error.is_empty(), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_in_time_is_parked_shown_and_replayed() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Refuse(500)).await);
    let mut impatient = options("portal", &receiver);
    impatient.retry_timeout = Duration::from_millis(400);
    let daemon = world.daemon("a", vec![impatient]).await;
    world.events("one", &["Ready"]).await;
    let state = world.until("portal", |state| state.parked_count == 2).await;
    assert!(state.error.contains("500"));
    let view = daemon.view("portal").await;
    let (id, parked) = view.parked.last().unwrap().clone();
    assert_eq!(parked.event_type, EventType::Accepted.as_str());
    assert_eq!(receiver.requests()[0].id(), id);
    receiver.set(Mode::Take);
    let position = daemon.service.position(&id).unwrap();
    daemon.service.replay("portal", position).await.unwrap();
    let requests = receiver.taken(2).await;
    assert_eq!(by_tenant(&requests)["one"], ["CreateAccepted", "Ready"]);
    let state = world.until("portal", |state| state.delivered_count == 2).await;
    assert_eq!((state.parked_count, state.error.as_str()), (0, ""));
    verify(&receiver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_rotated_and_both_sign_meanwhile() {
    const NEXT: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    let lines = Arc::new(Mutex::new(SECRET.to_owned()));
    let mut rotating = options("portal", &receiver);
    let read = lines.clone();
    rotating.secrets = Arc::new(move || Ok(Secret::parse_lines(&read.lock().unwrap().clone().into()).unwrap()));
    let _daemon = world.daemon("a", vec![rotating]).await;
    let mut sent = Vec::new();
    for (tenant, file) in [("one", SECRET.to_owned()), ("two", format!("{NEXT}\n{SECRET}")), ("three", NEXT.to_owned())]
    {
        *lines.lock().unwrap() = file;
        world.order(tenant).await;
        sent.push(receiver.taken(sent.len() + 1).await.pop().unwrap());
    }
    let count = |request: &Request| request.headers["webhook-signature"].split(' ').count();
    assert_eq!(sent.iter().map(count).collect::<Vec<_>>(), [1, 2, 1]);
    // Whoever knows the old one alone, or the new one alone, misses nothing while both are there.
    verify_by(SECRET, &sent[..2]);
    verify_by(NEXT, &sent[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_for_a_secret_that_can_not_be_read_and_are_sent_when_it_can() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    let content = Arc::new(Mutex::new(Ok(SECRET.to_owned())));
    let mut unreadable = options("portal", &receiver);
    let read = content.clone();
    unreadable.secrets = Arc::new(move || {
        let content = read.lock().unwrap().clone();
        content.map(|text: String| Secret::parse_lines(&text.into()).unwrap())
    });
    let _daemon = world.daemon("a", vec![unreadable]).await;
    world.order("one").await;
    receiver.taken(1).await;
    *content.lock().unwrap() = Err("secret_file: it is gone".to_owned());
    world.order("two").await;
    let state = world.until("portal", |state| !state.error.is_empty()).await;
    assert!(state.error.contains("it is gone") && state.failing_since.is_none(), "{state:?}");
    *content.lock().unwrap() = Ok(SECRET.to_owned());
    // Though nothing else happens.
    receiver.taken(2).await;
    world.until("portal", |state| state.error.is_empty() && state.delivered_count == 2).await;
    verify(&receiver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Busy(2)).await);
    let _daemon = world.daemon("a", vec![options("portal", &receiver)]).await;
    world.order("one").await;
    receiver.until(1, |_| true).await;
    receiver.set(Mode::Take);
    receiver.taken(1).await;
    let [busy, taken] = receiver.requests().try_into().unwrap();
    // Without it the next attempt comes after 20 ms.
    let left_alone = taken.came - busy.came;
    assert!(left_alone > Duration::from_millis(1_500), "{left_alone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_before_it_records_has_the_event_sent_again() {
    // Longer than it takes until the daemon is killed, on any machine.
    let patience = Duration::from_secs(60);
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Sleep(patience)).await);
    let first = world.daemon("a", vec![WebhookOptions { timeout: patience, ..options("portal", &receiver) }]).await;
    world.order("one").await;
    // Sent, not answered, not recorded.
    receiver.until(1, |_| true).await;
    first.kill();
    receiver.set(Mode::Take);
    let _second = world.daemon("b", vec![options("portal", &receiver)]).await;
    let again = receiver.taken(1).await;
    assert_eq!(again[0].id(), receiver.requests()[0].id());
    world.until("portal", |state| state.delivered_count == 1 && state.daemon.as_deref() == Some("b")).await;
    verify(&receiver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_daemons_one_delivers_and_the_other_follows_it() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    let first = world.daemon("a", vec![options("portal", &receiver)]).await;
    world.events("one", &["Ready"]).await;
    receiver.taken(2).await;
    // It has the webhook; the other one comes later and waits.
    assert_eq!(world.state("portal").await.daemon.as_deref(), Some("a"));
    let second = world.daemon("b", vec![options("portal", &receiver)]).await;
    first.end().await;
    world.events("two", &["Ready"]).await;
    let requests = receiver.taken(4).await;
    // In order, and nothing twice: the first one has ended as it should.
    assert_eq!(requests.len(), 4);
    assert_eq!(by_tenant(&requests)["two"], ["CreateAccepted", "Ready"]);
    assert_eq!(world.state("portal").await.daemon.as_deref(), Some("b"));
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_gets_what_it_asks_for() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    let other = Receiver::start(Mode::Take).await;
    let mut ready = options("ready", &receiver);
    ready.event_types = vec![EventType::Ready];
    let mut globex = options("globex", &other);
    globex.customers = vec!["globex".parse().unwrap()];
    let _daemon = world.daemon("a", vec![ready, globex]).await;
    world.events("one", &["Paused", "Ready"]).await;
    fixtures::created(&*world.store, "globex", "theirs").await;
    let requests = receiver.taken(1).await;
    assert_eq!(by_tenant(&requests)["one"], ["Ready"]);
    let requests = other.taken(1).await;
    assert_eq!(requests[0].event()["subject"], "customers/globex/tenants/theirs");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((receiver.requests().len(), other.requests().len()), (1, 1));
}
