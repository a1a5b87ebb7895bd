//! State, conditions and log follow what happens: drift, a retry, and one tenant's lines by one field.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use landlord_core::{
    Condition, CustomerRole, Environment, EnvironmentName, OperationId, OperationOutcome, Stage, StageState, State,
    ports::{
        CheckOutcome, CheckResult, Concern, EventQuery, StageProgress, StoreError, TenantStore as _, Verified,
        WorkStore as _,
    },
};
use landlord_provider_api::{ErrorKind, v1::ResourceKind};
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    cloud::{Fault, Faults, fails_while},
    name, no_faults,
    world::{Life, World},
};

fn condition<'a>(tenant: &'a Environment, kind: &str) -> &'a Condition {
    tenant.status.conditions.iter().find(|condition| condition.r#type == kind).unwrap()
}

/// Waits until a tenant is as `wanted`.
async fn until(world: &World, name: &EnvironmentName, wanted: impl Fn(&Environment) -> bool) -> Environment {
    for _ in 0..2_000 {
        let tenant = world.store.get(name).await.unwrap();
        if wanted(&tenant) {
            return tenant;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never so: {:?}", world.store.get(name).await.unwrap().status);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanished_is_updating_and_not_ready_from_the_first_observation() {
    let mut world = World::new(false).await;
    world.resync_interval = Duration::from_millis(400);
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    // The rebuild takes until it is let.
    world.cloud.slow(true);
    world.cloud.vanish(&uid, ResourceKind::NodePool);
    let seen = until(&world, &tenant, |tenant| tenant.status.state != State::Ready).await;
    assert_eq!(seen.status.state, State::Updating);
    let ready = condition(&seen, "Ready");
    assert!(!ready.status && ready.reason == "Drifted" && ready.message.contains("node-pool"), "{ready:?}");
    assert!(condition(&seen, "Progressing").status);
    world.cloud.slow(false);
    let ended = until(&world, &tenant, |tenant| tenant.status.state == State::Ready).await;
    assert!(condition(&ended, "Ready").status && !condition(&ended, "Progressing").status, "{:?}", ended.status);
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_of_now_and_keep_the_cause_during_a_retry() {
    let kind = Arc::new(Mutex::new(Some(ErrorKind::Quota)));
    let script = Arc::clone(&kind);
    let faults: Faults =
        Arc::new(move |method, _| if method == "node-pool" { script.lock().map(Fault::Fails) } else { None });
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    let tenant = name("one");
    world.create(&tenant).await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    let failed = world.store.get(&tenant).await.unwrap();
    assert_eq!(condition(&failed, "Progressing").reason, "StageFailed");

    // A retry works on: what failed before is over, and what fails now is reported.
    *kind.lock() = Some(ErrorKind::Conflict);
    world.retry(&tenant).await;
    let retrying = until(&world, &tenant, |tenant| condition(tenant, "Progressing").reason == "Retrying").await;
    assert_eq!(retrying.status.state, State::Provisioning);
    let progressing = condition(&retrying, "Progressing");
    let cause = progressing.status && progressing.message.contains("CONFLICT: scripted");
    assert!(cause && condition(&retrying, "Ready").reason == "Working", "{:?}", retrying.status);

    *kind.lock() = None;
    let ready = until(&world, &tenant, |tenant| tenant.status.state == State::Ready).await;
    assert!(ready.status.conditions.iter().all(|c| !c.message.contains("scripted")), "{:?}", ready.status);
    world.stop().await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Fields of a line by name, those of its spans included.
fn fields(line: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    let spans = line["spans"].as_array().cloned().unwrap_or_default();
    spans.iter().filter_map(|span| span.as_object().cloned()).flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_does_not_offer_is_skipped_with_a_cluster_of_its_own_too() {
    // Whatever is requested all the same fails for good.
    let faults: Faults =
        Arc::new(|method, _| matches!(method, "dns-zone" | "identity").then_some(Fault::Fails(ErrorKind::Invalid)));
    let mut world = World::new(false).await;
    *world.cloud.capabilities.lock() = Some(vec!["networks".into(), "clusters".into(), "node-pools".into()]);
    world.start(Life::until(None), faults);
    let tenant = name("one");
    let created = world.create(&tenant).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    let stages = world.store.operation(created.id).await.unwrap().stages;
    for stage in [Stage::DnsZone, Stage::Identity] {
        let record = stages.iter().find(|record| record.stage == stage).unwrap();
        assert_eq!(record.state, StageState::Skipped, "{record:?}");
        assert!(record.detail.contains("does not offer it"), "{record:?}");
    }
    // A provider that can do more by now is requested what is to go all the same.
    *world.cloud.capabilities.lock() = None;
    world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
}

#[tokio::test]
async fn one_field_follows_a_tenant_through_the_log() {
    let log = Log::default();
    // With one subscriber alone, tracing takes the default of whichever thread meets a line first for everybody's, and the
    // threads of other tests have none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    // A line for each span, too, when it begins: calls are spans, whether anything is written in them or not.
    let spans = tracing_subscriber::fmt::format::FmtSpan::NEW;
    let subscriber = tracing_subscriber::fmt().json().with_span_events(spans).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    let [one, two] = [name("one"), name("two")];
    let (of_one, _) = (world.create(&one).await, world.create(&two).await);
    for tenant in [&one, &two] {
        world.wait_for(tenant, Some(State::Ready)).await;
    }
    world.stop().await;
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let uid = of_one.uid.to_string();
    let own: Vec<_> =
        lines.filter(|line| fields(line).get("tenant.id").is_some_and(|id| *id == uid.as_str())).collect();
    for step in ["preflight", "network", "cluster", "addons", "node-pool", "dns-zone", "identity"] {
        let line = own.iter().map(fields).find(|fields| fields.get("step").is_some_and(|name| name == step));
        let line = line.unwrap_or_else(|| panic!("no line of {step} in {text}"));
        assert_eq!(line["operation.id"], of_one.id.to_string().as_str());
        assert_eq!((&line["provider"], &line["attempt"]), (&"cloud".into(), &1.into()));
    }
    assert!(own.iter().all(|line| !line.to_string().contains("tenants/two")), "another tenant's line: {text}");
    // Every call to the outside, with all that it is found by.
    let begun = own.iter().filter(|line| line["span"]["name"] == "call");
    let calls: Vec<_> =
        begun.map(|line| (fields(line), line["span"].as_object().cloned().unwrap_or_default())).collect();
    assert!(calls.len() >= 8, "{} calls in {text}", calls.len());
    for (mut call, own) in calls {
        call.extend(own);
        for field in ["tenant.id", "operation.id", "provider", "step", "attempt", "rpc.method"] {
            assert!(call.get(field).is_some_and(|value| *value != ""), "no {field} in {call:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_lacks_is_not_requested() {
    let mut world = World::new(false).await;
    let can = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    *world.cloud.capabilities.lock() = can(&["networks", "clusters", "node-pools"]);
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    let made = world.cloud.objects(&uid);
    assert!(made.contains(&ResourceKind::NodePool) && made.contains(&ResourceKind::Network), "{made:?}");
    assert!(!made.contains(&ResourceKind::DnsZone) && !made.contains(&ResourceKind::Identity), "{made:?}");

    // What can't be built at all is refused before anything is made.
    *world.cloud.capabilities.lock() = can(&["networks", "dns", "identity"]);
    let tenant = name("two");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Failed)).await;
    assert_eq!(world.cloud.effects(&uid), Vec::<String>::new());
    let failed = world.store.get(&tenant).await.unwrap();
    assert!(condition(&failed, "Ready").message.contains("makes no clusters"), "{:?}", failed.status);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_too_late_by_the_databases_clock_is_due_soon() {
    let mut world = World::new(false).await;
    world.resync_interval = Duration::from_millis(200);
    world.start(Life::until(None), no_faults());
    world.create(&name("one")).await;
    world.wait_for(&name("one"), Some(State::Ready)).await;
    // As a lease, and a due time, of before the clock was set back; this machine's own clock goes on as ever.
    world.holds_off.store(true, Ordering::SeqCst);
    let days = Duration::from_secs(10 * 24 * 60 * 60);
    let mut turn = 0;
    // A claim that the engine had begun may still take what is accepted; then another one is.
    let claim = loop {
        turn += 1;
        assert!(turn < 100, "the engine claims all the same");
        world.accept(&name(&format!("late-{turn}"))).await;
        // In the engine's name, which has the account's lease.
        if let Some(claim) = world.store.claim("owner-0", 10, days).await.unwrap().pop() {
            break claim;
        }
    };
    world.holds_off.store(false, Ordering::SeqCst);
    let is_lost = async || matches!(world.store.load(&claim).await, Err(StoreError::FenceLost(_)));
    for _ in 0..1_000 {
        if is_lost().await {
            return world.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody works on it for days");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_can_not_be_used_is_a_condition_with_its_remedy() {
    let damaged = Arc::new(AtomicBool::new(true));
    let faults = fails_while(&damaged, "releases", ErrorKind::Internal);
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    let tenant = name("one");
    let uid = world.create_with_stack(&tenant, "desk").await.uid.to_string();
    let is_unusable = |wanted: bool| {
        move |tenant: &Environment| {
            tenant.status.conditions.iter().any(|own| own.r#type == "RevisionUnusable" && own.status == wanted)
        }
    };
    let seen = until(&world, &tenant, is_unusable(true)).await;
    let shown = condition(&seen, "RevisionUnusable");
    assert_eq!(shown.message, "revision desk is damaged; restore the store");
    assert_eq!(world.cloud.objects(&uid), Vec::new(), "nobody knows what there is to build");
    damaged.store(false, Ordering::SeqCst);
    // A change is a reason to look again.
    world.cancel(seen.operation).await;
    until(&world, &tenant, is_unusable(false)).await;
    world.stop().await;
}

fn verified(outcome: CheckOutcome, concern: Option<Concern>) -> Verified {
    let check = |name: &str, outcome, concern| CheckResult {
        name: name.into(),
        outcome,
        detail: "as scripted".into(),
        remedy: "mend it".into(),
        duration: Duration::ZERO,
        concern,
    };
    let needs = if outcome == CheckOutcome::Failed { CheckOutcome::NotRun } else { CheckOutcome::Passed };
    let progress = match outcome {
        CheckOutcome::Failed => {
            StageProgress::Pending { poll_after: Duration::from_secs(30), detail: "a check failed".into() }
        }
        CheckOutcome::Passed | CheckOutcome::NotRun => StageProgress::Done,
    };
    let checks = vec![check("answers", outcome, concern), check("knows", needs, None)];
    Verified { progress, endpoints: Vec::new(), pending: Vec::new(), checks }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_an_environment_from_ready_is_a_condition_and_an_event() {
    let mut world = World::new(false).await;
    world.resync_interval = Duration::from_millis(200);
    *world.cloud.capabilities.lock() = Some(vec!["clusters".into(), "node-pools".into()]);
    *world.cloud.verified.lock() = Some(verified(CheckOutcome::Passed, None));
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    world.create_with_stack(&tenant, "desk").await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    for concern in [Concern::ModelMissing, Concern::DiskNearlyFull, Concern::CertificateExpiring] {
        let kind = format!("{concern:?}");
        let holds = |wanted: bool| {
            let kind = kind.clone();
            move |tenant: &Environment| {
                tenant.status.conditions.iter().any(|own| own.r#type == kind && own.status == wanted)
            }
        };
        *world.cloud.verified.lock() = Some(verified(CheckOutcome::Failed, Some(concern)));
        let seen = until(&world, &tenant, holds(true)).await;
        assert_eq!(seen.status.state, State::Updating, "{:?}", seen.status);
        assert_eq!(condition(&seen, &kind).message, "answers: as scripted; mend it");
        *world.cloud.verified.lock() = Some(verified(CheckOutcome::Passed, None));
        until(&world, &tenant, holds(false)).await;
        let events = world.store.events(&EventQuery { limit: 1_000, ..EventQuery::default() }).await.unwrap();
        let begun = events.iter().filter(|event| event.event.reason == kind).count();
        assert_eq!(begun, 1, "{events:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_whose_checks_fail_go_back_and_a_role_follows_its_class() {
    let mut world = World::new(false).await;
    *world.cloud.capabilities.lock() = Some(vec!["clusters".into(), "node-pools".into()]);
    *world.cloud.verified.lock() = Some(verified(CheckOutcome::Passed, None));
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    let uid = world.create_with_stack(&tenant, "desk").await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    let role = |world: &World| world.cloud.roles.lock()[&uid];
    assert_eq!(role(&world), CustomerRole::None);
    let ended = async |world: &World, operation: OperationId| {
        for _ in 0..6_000 {
            let outcome = world.store.operation(operation).await.unwrap().outcome;
            if let Some(outcome) = outcome {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never ends: {:?}", world.store.get(&tenant).await.unwrap().status)
    };
    let to_edit = world.renew(&tenant, CustomerRole::Edit).await.id;
    assert_eq!(ended(&world, to_edit).await, OperationOutcome::Ready);
    assert_eq!(role(&world), CustomerRole::Edit);
    // Withdrawn, and taken back.
    let to_none = world.renew(&tenant, CustomerRole::None).await.id;
    assert_eq!(ended(&world, to_none).await, OperationOutcome::Ready);
    assert_eq!(role(&world), CustomerRole::None);
    // A revision whose check never passes.
    *world.cloud.verified.lock() = Some(verified(CheckOutcome::Failed, None));
    let failing = world.renew(&tenant, CustomerRole::View).await.id;
    let outcome = ended(&world, failing).await;
    let OperationOutcome::Failed { failure } = outcome else { panic!("{outcome:?}") };
    assert!(
        failure.kind == landlord_core::ErrorKind::Conflict && failure.message.contains("a check failed"),
        "{failure}"
    );
    assert!(failure.message.contains("those of before are back"), "{failure}");
    *world.cloud.verified.lock() = Some(verified(CheckOutcome::Passed, None));
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert_eq!(role(&world), CustomerRole::None, "it is as it was");
    world.stop().await;
}
