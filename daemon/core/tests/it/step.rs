//! Properties of plan and journal together: whatever the cloud responds, the loop reaches a resting
//! state, in order, and a delete always ends with nothing.

use std::{collections::BTreeMap, time::Duration};

use landlord_core::{
    DesiredState, EnvironmentKind, ErrorKind, Failure, HostCluster, HostClusterSpec, Level, OperationId, OperationKind,
    OperationOutcome, Owner, Placement, Stage, StageRecord, StageState, State, Tenant, TenantSpec, TenantUid,
    Timestamp,
    environment::{Adoption, HostClusterInput, LastReady, SpecInput},
    graph::graph,
    journal::{self, CallReport, RetryRules},
    lifecycle,
    ports::{EnvironmentPatch, ProviderKey, ReleaseOf, ReleasePlan, Work},
    step::{self, Steady, Step, Unwind},
};
use proptest::prelude::*;

/// Far above the calls that any sequence of responses below can cause.
const ROUNDS_MAX: usize = 5_000;

fn rules() -> RetryRules {
    RetryRules {
        retry_timeout: Duration::from_secs(3_600),
        teardown_timeout: Duration::from_secs(600),
        resync_interval: Duration::from_secs(1_800),
        capacity_interval: Duration::from_secs(300),
        time_scale: 1.0,
        trial_timeout: None,
    }
}

fn placement(stack: bool) -> Placement {
    let key = ProviderKey { provider: "cloud".parse().unwrap(), credentials: "default".into() };
    let placement =
        Placement::without_choices("small".parse().unwrap(), Level::Cluster, key, String::new(), "here".into());
    Placement {
        stack: stack.then(|| "apps".parse().unwrap()),
        platform: stack.then(|| "standard".parse().unwrap()),
        machine_type: "m".into(),
        node_count: 1,
        ..placement
    }
}

fn releases() -> Vec<ReleasePlan> {
    let release = |of: ReleaseOf, app: &str, after: &[&str]| ReleasePlan {
        of,
        app: app.parse().unwrap(),
        depends_on: after.iter().map(|app| app.parse().unwrap()).collect(),
        expected: Duration::from_secs(60),
        part: None,
    };
    vec![
        release(ReleaseOf::Platform, "gateway", &[]),
        release(ReleaseOf::Platform, "edge", &["gateway"]),
        release(ReleaseOf::Stack, "vectors", &[]),
        release(ReleaseOf::Stack, "llm", &[]),
        release(ReleaseOf::Stack, "chat", &["vectors", "llm"]),
    ]
}

fn work(stack: bool) -> Work {
    let input = SpecInput { domain: "a.example.com".into(), storage_gib: 1, ..SpecInput::default() };
    let id = uuid::Uuid::nil();
    Work {
        environment: lifecycle::accept(
            TenantUid(id),
            Owner::Tenant(Tenant {
                name: "customers/a/tenants/b".parse().unwrap(),
                spec: TenantSpec::parse(input).unwrap(),
                host: None,
                last_ready: None,
            }),
            placement(stack),
            OperationId(id),
            Timestamp(0),
        ),
        operation_kind: OperationKind::Create,
        operation_done: false,
        operation_generation: 1,
        frozen: None,
        stages: Vec::new(),
        host: None,
        now: Timestamp(0),
    }
}

/// The tenant that is worked on.
fn tenant(work: &mut Work) -> &mut Tenant {
    match &mut work.environment.owner {
        Owner::Tenant(tenant) => tenant,
        Owner::HostCluster(host_cluster) => panic!("{} is no tenant", host_cluster.id),
    }
}

/// A record of each kind.
fn work_of(kind: EnvironmentKind, stack: bool) -> Work {
    let mut work = work(stack);
    match kind {
        EnvironmentKind::Tenant(level) => work.environment.placement.level = level,
        EnvironmentKind::HostCluster | EnvironmentKind::AdoptedHostCluster => {
            work.environment.placement.stack = None;
            let adoption = (kind == EnvironmentKind::AdoptedHostCluster).then(Adoption::default);
            let spec = HostClusterSpec::parse(HostClusterInput { adoption, ..HostClusterInput::default() }).unwrap();
            let host_cluster = HostCluster { id: "one".parse().unwrap(), spec, last_ready: None };
            work.environment.owner = Owner::HostCluster(host_cluster);
        }
    }
    assert_eq!(work.environment.kind(), kind);
    work
}

const KINDS: [EnvironmentKind; 5] = [
    EnvironmentKind::Tenant(Level::Cluster),
    EnvironmentKind::Tenant(Level::Node),
    EnvironmentKind::Tenant(Level::Namespace),
    EnvironmentKind::HostCluster,
    EnvironmentKind::AdoptedHostCluster,
];

/// What the cloud responses to one call.
#[derive(Debug, Clone, Copy)]
enum Response {
    Done,
    Pending,
    Fails(ErrorKind),
}

fn report(response: Response) -> Result<CallReport, Failure> {
    match response {
        Response::Done => Ok(CallReport { done: true, ..CallReport::default() }),
        Response::Pending => Ok(CallReport { poll_after: Duration::from_secs(10), ..CallReport::default() }),
        Response::Fails(kind) => Err(Failure::new(kind, "scripted")),
    }
}

/// As the store does what the engine commits.
fn go_back(work: &mut Work, last: LastReady) {
    let patch = EnvironmentPatch { revert: Some(last), ..EnvironmentPatch::default() };
    work.environment = lifecycle::patched(&work.environment, &patch, work.now);
}

/// Turns the loop until it rests, checking at every call that what it waits for is done.
fn turn(work: &mut Work, mut response: impl FnMut(&Stage) -> Response) -> Steady {
    let all = releases();
    for _ in 0..ROUNDS_MAX {
        let calls = match step::next_step(work, &all) {
            Step::Rest(settle) => return settle,
            Step::Unwind(Unwind::Remove) => {
                work.environment.desired_state = DesiredState::Absent;
                continue;
            }
            Step::Unwind(Unwind::GiveUp(last, failure)) => {
                work.operation_done = true;
                assert!(failure.message.contains("those of before are back"), "{failure:?}");
                go_back(work, last);
                continue;
            }
            Step::Unwind(Unwind::Revert(last)) => {
                go_back(work, last);
                continue;
            }
            Step::Call(calls) => calls,
        };
        let desired_state = work.environment.desired_state;
        for stage in &calls.begin {
            let nodes = graph(desired_state, work.environment.kind(), &work.environment.placement, &all);
            let node = nodes.iter().find(|node| node.stage == *stage).unwrap();
            for before in &node.after {
                let state = step::record(work, before).map(|record| record.state);
                assert!(matches!(state, Some(StageState::Done | StageState::Skipped)), "{stage} began before {before}");
            }
            let intent = journal::intend(
                stage,
                desired_state,
                work.environment.generation,
                Duration::from_secs(60),
                None,
                work.now,
            );
            work.stages.retain(|old| old.desired_state != desired_state || old.stage != *stage);
            work.stages.push(intent);
        }
        let stages: Vec<Stage> = calls.begin.into_iter().chain(calls.due).collect();
        if stages.is_empty() {
            let wake = calls.wake_time.expect("nothing to do, nothing to wait for, and not at rest");
            assert!(wake > work.now, "woken for nothing");
            work.now = wake;
            continue;
        }
        for stage in stages {
            let index = work
                .stages
                .iter()
                .position(|r| r.stage == stage && r.desired_state == desired_state)
                .expect("an intent");
            let before = work.stages[index].clone();
            let rules =
                RetryRules { trial_timeout: step::is_on_trial(work).then_some(journal::TRIAL_TIMEOUT), ..rules() };
            work.stages[index] = journal::record(&before, report(response(&stage)), false, &rules, 0.5, work.now);
        }
    }
    panic!("no rest after {ROUNDS_MAX} rounds");
}

fn responses() -> impl Strategy<Value = Response> {
    prop_oneof![
        4 => Just(Response::Done),
        4 => Just(Response::Pending),
        1 => Just(Response::Fails(ErrorKind::Throttled)),
        1 => Just(Response::Fails(ErrorKind::Transient)),
        1 => Just(Response::Fails(ErrorKind::Conflict)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn transient_errors_only_delay(kind in proptest::sample::select(&KINDS[..]), stack: bool, script in proptest::collection::vec(responses(), 0..60)) {
        let mut work = work_of(kind, stack);
        let mut script = script.into_iter();
        let settled = turn(&mut work, |_| script.next().unwrap_or(Response::Done));
        let ready = matches!(settled, Steady::Ready { .. });
        prop_assert!(ready, "{:?}", settled);
        // At rest, and again at rest: the same input gives the same plan.
        prop_assert_eq!(step::next_step(&work, &releases()), Step::Rest(settled));
    }

    #[test]
    fn a_delete_at_any_moment_ends_with_nothing(kind in proptest::sample::select(&KINDS[..]), stack: bool, calls in 0_usize..30, script in proptest::collection::vec(responses(), 0..60)) {
        let mut work = work_of(kind, stack);
        let mut made = 0;
        // The create is stopped by a fatal failure after some calls, then deleted.
        let _ = turn(&mut work, |_| {
            made += 1;
            if made > calls { Response::Fails(ErrorKind::Quota) } else { Response::Done }
        });
        work.environment.desired_state = DesiredState::Absent;
        let present: BTreeMap<Stage, _> =
            work.stages.iter().map(|record| (record.stage.clone(), record.clone())).collect();
        let mut script = script.into_iter();
        let settled = turn(&mut work, |_| script.next().unwrap_or(Response::Done));
        prop_assert_eq!(settled, Steady::Gone);
        for record in work.stages.iter().filter(|record| record.desired_state == DesiredState::Present) {
            prop_assert_eq!(&present[&record.stage], record, "a delete touched the record of the create");
        }
    }
}

#[test]
fn each_kind_has_its_rule() {
    let fatal = [ErrorKind::Quota, ErrorKind::Auth, ErrorKind::Invalid, ErrorKind::NameTaken];
    for kind in fatal {
        let mut calls = 0;
        let settled = turn(&mut work(false), |_| {
            calls += 1;
            Response::Fails(kind)
        });
        assert!(matches!(settled, Steady::Failed { .. }) && calls == 1, "{kind:?}: {settled:?} after {calls} calls");
    }
    for kind in [ErrorKind::Transient, ErrorKind::Conflict, ErrorKind::Capacity, ErrorKind::Internal] {
        let mut work = work(false);
        let mut calls = 0;
        let settled = turn(&mut work, |_| {
            calls += 1;
            Response::Fails(kind)
        });
        assert!(matches!(settled, Steady::Failed { .. }) && calls > 1, "{kind:?}: {settled:?} after {calls} calls");
        assert!(work.now.0 <= 2 * 3_600_000, "{kind:?} was retried until {}", work.now);
    }
}

#[test]
fn a_failed_stage_goes_on_after_a_retry() {
    let mut work = work(true);
    let settled =
        turn(
            &mut work,
            |stage| if *stage == Stage::Network { Response::Fails(ErrorKind::Quota) } else { Response::Done },
        );
    assert!(matches!(settled, Steady::Failed { stage: Stage::Network, .. }), "{settled:?}");
    // As the store's Retry does it.
    for record in work.stages.iter_mut().filter(|record| record.state == StageState::Failed) {
        record.state = StageState::Running;
        record.poll_time = work.now;
    }
    assert!(matches!(turn(&mut work, |_| Response::Done), Steady::Ready { .. }));
}

#[test]
fn an_unreachable_api_server_delays_a_delete_and_then_is_skipped() {
    let mut work = work(true);
    turn(&mut work, |_| Response::Done);
    work.environment.desired_state = DesiredState::Absent;
    let begun = work.now;
    let settled =
        turn(
            &mut work,
            |stage| {
                if *stage == Stage::Teardown { Response::Fails(ErrorKind::Transient) } else { Response::Done }
            },
        );
    assert_eq!(settled, Steady::Gone);
    let waited = work.now.since(begun);
    assert!(waited >= Duration::from_secs(600) && waited < Duration::from_secs(900), "{waited:?}");
    let teardown = step::record(&work, &Stage::Teardown).unwrap();
    assert_eq!(teardown.state, StageState::Skipped);
}

#[test]
fn a_shared_tenants_record_stays_until_its_namespace_is_known_to_be_gone() {
    for level in [Level::Node, Level::Namespace] {
        let mut work = work_of(EnvironmentKind::Tenant(level), true);
        turn(&mut work, |_| Response::Done);
        work.environment.desired_state = DesiredState::Absent;
        let begun = work.now;
        // The host cluster is away for a day: far longer than any timeout.
        let day = Duration::from_secs(24 * 3_600);
        let clock = std::cell::Cell::new(begun);
        let mut last = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let plan = step::next_step(&work, &releases());
            let Step::Call(calls) = plan else { panic!("{level:?} rests: {plan:?}") };
            for stage in &calls.begin {
                let earlier = Duration::from_secs(60);
                work.stages.push(journal::intend(stage, DesiredState::Absent, 1, earlier, None, work.now));
            }
            for stage in calls.begin.into_iter().chain(calls.due) {
                let response = match stage {
                    Stage::Teardown | Stage::Isolation => Response::Fails(ErrorKind::Transient),
                    _ => Response::Done,
                };
                let index =
                    work.stages.iter().position(|r| r.stage == stage && r.desired_state == DesiredState::Absent);
                let before = work.stages[index.unwrap()].clone();
                work.stages[index.unwrap()] =
                    journal::record(&before, report(response), false, &rules(), 0.5, work.now);
                last.push(stage);
            }
            work.now = calls.wake_time.unwrap_or(work.now).max(work.now.after(Duration::from_secs(30)));
            clock.set(work.now);
            if work.now.since(begun) > day {
                break;
            }
        }
        assert!(clock.get().since(begun) > day, "{level:?}");
        let state = |stage: &Stage| step::record(&work, stage).map(|record| record.state);
        // What costs money is gone, what holds data is not forgotten.
        assert_eq!(state(&Stage::Teardown), Some(StageState::Skipped), "{level:?}");
        assert_eq!(state(&Stage::DnsZone), Some(StageState::Done), "{level:?}");
        assert_eq!(state(&Stage::NodePool), (level == Level::Node).then_some(StageState::Done));
        assert_eq!(state(&Stage::Isolation), Some(StageState::Running), "{level:?}");
        assert_eq!(state(&Stage::Inventory), None, "{level:?}");
        // Once it is back, or the user takes it upon them.
        let mut back = work.clone();
        assert_eq!(turn(&mut back, |_| Response::Done), Steady::Gone);
        let before = step::record(&work, &Stage::Isolation).unwrap().clone();
        let forced =
            journal::record(&before, report(Response::Fails(ErrorKind::Transient)), true, &rules(), 0.5, work.now);
        assert_eq!(forced.state, StageState::Skipped);
    }
}

#[test]
fn what_is_shared_is_never_made_nor_removed_for_a_tenant() {
    use Stage::{Addons, Cluster, Identity, Leftovers, Network, NodePool};
    let stages = |kind, desired_state| -> Vec<Stage> {
        let work = work_of(kind, true);
        graph(desired_state, kind, &work.environment.placement, &releases())
            .into_iter()
            .map(|node| node.stage)
            .collect()
    };
    for desired_state in [DesiredState::Present, DesiredState::Absent] {
        for level in [Level::Node, Level::Namespace] {
            let all = stages(EnvironmentKind::Tenant(level), desired_state);
            for shared in [Network, Cluster, Addons, Identity, Leftovers] {
                assert!(!all.contains(&shared), "{level:?} {desired_state:?} has {shared}");
            }
            assert_eq!(all.contains(&NodePool), level == Level::Node, "{desired_state:?}");
            assert!(all.contains(&Stage::Isolation));
        }
    }
    assert_eq!(stages(EnvironmentKind::AdoptedHostCluster, DesiredState::Present), [Cluster, Stage::Capacity]);
    assert_eq!(stages(EnvironmentKind::AdoptedHostCluster, DesiredState::Absent), [Stage::Isolation]);
    let host = stages(EnvironmentKind::HostCluster, DesiredState::Present);
    assert!([Network, Cluster, Addons, NodePool].iter().all(|stage| host.contains(stage)));
    assert!(!host.contains(&Stage::DnsZone) && !host.contains(&Stage::Base));
}

#[test]
fn nothing_is_deployed_before_its_isolation_stands() {
    let work = work_of(EnvironmentKind::Tenant(Level::Namespace), true);
    let nodes = graph(DesiredState::Present, work.environment.kind(), &work.environment.placement, &releases());
    let before = |stage: &Stage| nodes.iter().find(|node| node.stage == *stage).unwrap().after.clone();
    assert_eq!(before(&Stage::Base), [Stage::Isolation]);
    for node in nodes.iter().filter(|node| matches!(node.stage, Stage::App(_))) {
        assert!(node.after.contains(&Stage::Base), "{node:?}");
    }
}

#[test]
fn a_stage_that_has_nothing_to_do_is_skipped_with_its_reason() {
    let before = journal::intend(&Stage::DnsZone, DesiredState::Present, 1, Duration::ZERO, None, Timestamp(0));
    let nothing = CallReport { done: true, skipped: true, detail: "no DNS".into(), ..CallReport::default() };
    let after = journal::record(&before, Ok(nothing), false, &rules(), 0.5, Timestamp(5));
    assert_eq!(
        (after.state, after.end_time, after.detail.as_str()),
        (StageState::Skipped, Some(Timestamp(5)), "no DNS")
    );
}

#[test]
fn a_cancelled_create_unwinds_and_a_paused_tenant_rests() {
    let mut cancelled = work(false);
    turn(
        &mut cancelled,
        |stage| if *stage == Stage::Cluster { Response::Fails(ErrorKind::Quota) } else { Response::Done },
    );
    cancelled.environment.cancel_requested = true;
    assert_eq!(turn(&mut cancelled, |_| Response::Done), Steady::Gone);

    let mut paused = work(false);
    tenant(&mut paused).spec.paused = true;
    assert_eq!(turn(&mut paused, |_| panic!("a paused tenant was worked on")), Steady::Paused);
}

#[test]
fn a_cancelled_retry_stops_and_goes_on_with_the_next() {
    let mut work = work(true);
    let quota =
        |stage: &Stage| if *stage == Stage::Addons { Response::Fails(ErrorKind::Quota) } else { Response::Done };
    assert!(matches!(turn(&mut work, quota), Steady::Failed { .. }));
    tenant(&mut work).spec.deletion_protection = true;
    work.operation_kind = OperationKind::Retry;
    work.environment.cancel_requested = true;
    let before = work.stages.clone();
    assert_eq!(turn(&mut work, |_| panic!("a stopped tenant was worked on")), Steady::Stopped);
    assert_eq!(step::operation_outcome(&work, &Steady::Stopped), Some(OperationOutcome::Cancelled));
    work.operation_done = true;
    assert_eq!(turn(&mut work, |_| panic!("a stopped tenant was worked on")), Steady::Stopped);
    assert_eq!((work.environment.desired_state, &work.stages), (DesiredState::Present, &before));
}

#[test]
fn a_cancelled_update_goes_back_and_ends_ready() {
    let mut work = work(false);
    turn(&mut work, |_| Response::Done);
    let placement = work.environment.placement.clone();
    let changed = tenant(&mut work);
    changed.last_ready = Some((changed.spec.clone(), placement));
    changed.spec.node_count = landlord_core::environment::NodeCount::try_from(3).ok();
    changed.spec.storage = landlord_core::environment::StorageSize::try_from(9).unwrap();
    (work.environment.generation, work.operation_generation) = (2, 2);
    work.operation_kind = OperationKind::Update;
    work.environment.cancel_requested = true;
    let settled = turn(&mut work, |_| Response::Done);
    assert!(matches!(settled, Steady::Ready { .. }), "{settled:?}");
    assert_eq!(step::operation_outcome(&work, &settled), Some(OperationOutcome::Cancelled));
    let spec = &tenant(&mut work).spec;
    assert_eq!((spec.node_count, spec.storage.gib()), (None, 9));
    assert_eq!((work.environment.desired_state, work.environment.generation), (DesiredState::Present, 3));
}

#[test]
fn revisions_on_trial_go_back_when_a_stage_gives_up() {
    let (mut work, before) = on_trial();
    let mut given_up = false;
    let settled = turn(&mut work, |stage| {
        let fails = *stage == Stage::Verify && !given_up;
        given_up |= fails;
        if fails { Response::Fails(ErrorKind::Invalid) } else { Response::Done }
    });
    assert!(matches!(settled, Steady::Ready { .. }), "{settled:?}");
    assert_eq!((&work.environment.placement, work.environment.generation), (&before, 3));
    // Without a trial it stays where it failed.
    work.environment.generation = 4;
    (work.operation_generation, work.operation_done) = (4, false);
    let fails =
        |stage: &Stage| if *stage == Stage::Verify { Response::Fails(ErrorKind::Invalid) } else { Response::Done };
    assert!(matches!(turn(&mut work, fails), Steady::Failed { .. }));
}

/// A tenant that was READY, with new revisions on trial; and what it was before.
fn on_trial() -> (Work, Placement) {
    let mut work = work(true);
    turn(&mut work, |_| Response::Done);
    let before = work.environment.placement.clone();
    let ready = tenant(&mut work);
    ready.last_ready = Some((ready.spec.clone(), before.clone()));
    work.environment.placement.skip_checks = vec!["names".into()];
    work.environment.placement.revisions.trial_generation = Some(2);
    (work.environment.generation, work.operation_generation) = (2, 2);
    (work.operation_kind, work.operation_done) = (OperationKind::Update, false);
    (work, before)
}

/// A host cluster that was READY, and gets other revisions.
fn host_on_trial() -> (Work, Placement) {
    let mut work = work_of(EnvironmentKind::HostCluster, false);
    assert!(matches!(turn(&mut work, |_| Response::Done), Steady::Ready { .. }));
    let mut status = work.environment.status.clone();
    (status.state, status.observed_generation) = (State::Ready, work.environment.generation);
    let ready = EnvironmentPatch { status: Some(status), mark_ready: true, ..EnvironmentPatch::default() };
    work.environment = lifecycle::patched(&work.environment, &ready, work.now);
    let before = work.environment.placement.clone();
    renew_host(&mut work);
    (work, before)
}

fn renew_host(work: &mut Work) {
    let placement = Placement { skip_checks: vec!["names".into()], ..work.environment.placement.clone() };
    let id = work.environment.operation;
    work.environment = lifecycle::renew(&work.environment, placement, id).unwrap().environment;
    work.operation_generation = work.environment.generation;
    (work.operation_kind, work.operation_done) = (OperationKind::Update, false);
}

#[test]
fn a_host_cluster_goes_back_when_a_release_of_its_platform_gives_up_or_never_comes_up() {
    let edge = Stage::Platform("edge".parse().unwrap());
    for response in [Response::Fails(ErrorKind::Invalid), Response::Pending] {
        let (mut work, before) = host_on_trial();
        let mut begun = 0;
        let settled = turn(&mut work, |stage| {
            // Each generation begins with a preflight.
            begun += u32::from(*stage == Stage::Preflight);
            if *stage == edge && begun < 2 { response } else { Response::Done }
        });
        assert!(matches!(settled, Steady::Ready { .. }), "{response:?}: {settled:?}");
        assert_eq!((&work.environment.placement, work.environment.generation), (&before, 3), "{response:?}");
    }
}

#[test]
fn a_host_cluster_without_a_way_back_says_so_and_one_that_was_ready_does_not() {
    let edge = Stage::Platform("edge".parse().unwrap());
    let fails = |stage: &Stage| if *stage == edge { Response::Fails(ErrorKind::Invalid) } else { Response::Done };
    let message = |settled: Steady| {
        let Steady::Failed { failure, .. } = settled else { panic!("{settled:?}") };
        failure.message
    };
    let (mut work, _) = host_on_trial();
    work.environment.status.state = State::Failed;
    renew_host(&mut work);
    let failed = message(turn(&mut work, fails));
    assert!(failed.contains("there is nothing to go back to"), "{failed}");
    work.operation_done = true;
    assert_eq!(message(turn(&mut work, fails)), failed, "it stays what it was");
    // READY with them, and failing later: that is no matter of the revisions.
    let (mut work, _) = host_on_trial();
    assert!(matches!(turn(&mut work, |_| Response::Done), Steady::Ready { .. }));
    work.operation_done = true;
    work.environment.status.observed_generation = work.environment.generation;
    let record = work.stages.iter_mut().find(|record| record.stage == edge).unwrap();
    record.state = StageState::Failed;
    record.failure = Some(Failure::new(ErrorKind::Invalid, "scripted"));
    assert_eq!(message(turn(&mut work, fails)), "scripted");
}

#[test]
fn revisions_on_trial_go_back_when_what_they_bring_never_comes_up() {
    // A check that fails, an app whose pods do not start, a load balancer that gets no address.
    for pending in [Stage::Verify, Stage::App("llm".parse().unwrap()), Stage::DnsRecords] {
        let (mut work, before) = on_trial();
        // Each generation begins with a preflight.
        let (mut begun, mut was_called) = (0, false);
        let settled = turn(&mut work, |stage| {
            begun += u32::from(*stage == Stage::Preflight);
            was_called |= *stage == pending;
            if *stage == pending && begun < 2 { Response::Pending } else { Response::Done }
        });
        assert!(was_called, "{pending} is no stage here");
        assert!(matches!(settled, Steady::Ready { .. }), "{pending}: {settled:?}");
        assert_eq!((&work.environment.placement, work.environment.generation), (&before, 3), "{pending}");
    }
}

#[test]
fn a_stage_on_trial_has_its_time_and_none_of_it_passes_unseen() {
    let rules = RetryRules { trial_timeout: Some(journal::TRIAL_TIMEOUT), ..rules() };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let begin = || journal::intend(&Stage::Verify, DesiredState::Present, 2, Duration::ZERO, None, Timestamp(0));
    let after = |record: &StageRecord, response, at: Duration, rules: &RetryRules| {
        journal::record(record, report(response), false, rules, 0.5, Timestamp(0).after(at))
    };
    // Looked at each half minute.
    let pending = |from: StageRecord, rules: &RetryRules, until: u64, at: u64| {
        (2 * at..=2 * until).fold(from, |record, half| {
            if record.state == StageState::Failed {
                return record;
            }
            let at = Duration::from_secs(30 * half);
            after(&StageRecord { poll_time: Timestamp(0).after(at), ..record }, Response::Pending, at, rules)
        })
    };
    assert_eq!(pending(begin(), &rules, 10, 0).state, StageState::Running);
    let given_up = pending(begin(), &rules, 11, 0);
    assert_eq!(given_up.state, StageState::Failed);
    let failure = given_up.failure.unwrap();
    assert!(failure.kind == ErrorKind::Conflict && !failure.remedy.is_empty(), "{failure:?}");
    // Nor does it pass unseen while a look lasts, as those of checks that wait for a chatbot do: each ends 90 s after it was due.
    let look = Duration::from_secs(90);
    let long_looks = (1..=8).fold(begin(), |record, turn| {
        let due = look * (turn - 1);
        let before = StageRecord { poll_time: Timestamp(0).after(due), ..record };
        let looked = report(Response::Pending).map(|report| CallReport { took: look, ..report });
        if before.state == StageState::Failed {
            return before;
        }
        journal::record(&before, looked, false, &rules, 0.5, Timestamp(0).after(due + look))
    });
    assert_eq!(long_looks.state, StageState::Failed, "12 minutes of looks");
    // Not without a trial, and what is long expected has its time.
    assert_eq!(pending(begin(), &self::rules(), 300, 0).state, StageState::Running);
    let long = StageRecord { expected_ms: 600_000, ..begin() };
    assert_eq!(pending(long.clone(), &rules, 30, 0).state, StageState::Running);
    assert_eq!(pending(long, &rules, 31, 0).state, StageState::Failed);
    // The daemon was away for an hour, or the tenant was paused, or waited for its turn.
    let away = after(&pending(begin(), &rules, 5, 0), Response::Pending, minutes(65), &rules);
    assert_eq!(pending(away, &rules, 74, 65).state, StageState::Running);
    let throttled = Response::Fails(ErrorKind::Throttled);
    let waited = after(&pending(begin(), &rules, 5, 0), throttled, minutes(6), &rules);
    let waited = StageRecord { poll_time: Timestamp(0).after(minutes(30)), ..waited };
    let turn = after(&waited, Response::Pending, minutes(30), &rules);
    assert_eq!(turn.state, StageState::Running, "{turn:?}");
    assert_eq!(pending(turn, &rules, 41, 30).state, StageState::Failed);
}

#[test]
fn being_throttled_does_not_use_up_the_timeout_of_what_fails_after_it() {
    let rules = rules();
    let before =
        journal::intend(&Stage::Network, DesiredState::Present, 1, Duration::from_secs(60), None, Timestamp(0));
    let responded = |record, kind, at| {
        journal::record(record, report(Response::Fails(kind)), false, &rules, 0.5, Timestamp(0).after(at))
    };
    let throttled = responded(&before, ErrorKind::Throttled, Duration::from_secs(1));
    let failed_once = responded(&throttled, ErrorKind::Transient, rules.retry_timeout * 2);
    assert_eq!(failed_once.state, StageState::Running, "one error after a long throttling is not given up");
    let failed_long = responded(&failed_once, ErrorKind::Transient, rules.retry_timeout * 4);
    assert_eq!(failed_long.state, StageState::Failed);
}

#[test]
fn a_frozen_tenant_rests_and_can_be_deleted() {
    let frozen = Work { frozen: Some("the customer is suspended".into()), ..work(false) };
    assert_eq!(step::next_step(&frozen, &[]), Step::Rest(Steady::Paused));
    let mut leaving = frozen;
    leaving.environment.desired_state = DesiredState::Absent;
    assert!(matches!(step::next_step(&leaving, &[]), Step::Call(_)));
}

#[test]
fn no_resync_pushes_back_what_is_under_way() {
    let mut work = work(false);
    // Everything is built but the node pool, whose machines are awaited.
    assert!(matches!(turn(&mut work, |_| Response::Done), Steady::Ready { .. }));
    let pool = work.stages.iter_mut().find(|record| record.stage == Stage::NodePool).unwrap();
    (pool.state, pool.poll_time) = (StageState::Running, work.now.after(Duration::from_secs(3_600)));
    // Its resync is due at every look, as with an interval of a second.
    for record in work.stages.iter_mut().filter(|record| record.stage != Stage::NodePool) {
        record.poll_time = work.now;
    }
    let due = |work: &Work| match step::next_step(work, &releases()) {
        Step::Call(calls) => (calls.due.len(), calls.wake_time),
        other => panic!("{other:?}"),
    };
    let soon = work.now.after(Duration::from_secs(300));
    assert_eq!(due(&work), (0, Some(soon)));
    work.now = soon;
    let built = work.stages.len() - 1;
    assert_eq!(due(&work).0, built, "for hours it is repaired all the same");
    // One that was READY and drifted is inspected as its class says.
    work.now = Timestamp(soon.0 - 299_000);
    work.operation_done = true;
    assert_eq!(due(&work).0, built);
}
