//! Properties of plan and journal together: whatever the cloud answers, the loop reaches a resting
//! state, in order, and a delete always ends with nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

use landlord_core::{
    Direction, ErrorKind, Failure, Level, Offer, OperationId, OperationKind, Stage, StageState, State, Tenant,
    TenantSpec, TenantUid, Timestamp,
    graph::graph,
    journal::{self, CallReport, RetryRules},
    plan::{self, Plan, Settle, Turn},
    ports::{ReleasePlan, Work},
    tenant::{SpecInput, TenantStatus},
};
use proptest::prelude::*;

/// Far above the calls that any sequence of answers below can cause.
const ROUNDS_MAX: usize = 5_000;

fn rules() -> RetryRules {
    RetryRules {
        patience: Duration::from_secs(3_600),
        teardown_patience: Duration::from_secs(600),
        resync_interval: Duration::from_secs(1_800),
        time_scale: 1.0,
    }
}

fn offer(stack: bool) -> Offer {
    Offer {
        class: "small".parse().unwrap(),
        rule: String::new(),
        level: Level::Cluster,
        provider: "cloud".parse().unwrap(),
        credentials: "default".into(),
        account: String::new(),
        region: "here".into(),
        stack: stack.then(|| "apps".parse().unwrap()),
        machine_type: "m".into(),
        node_count: 1,
        disk_size_gib: 0,
        parameters: serde_json::Map::new(),
    }
}

fn releases() -> Vec<ReleasePlan> {
    let release = |app: &str, after: &[&str]| ReleasePlan {
        app: app.parse().unwrap(),
        depends_on: after.iter().map(|app| app.parse().unwrap()).collect(),
        expected: Duration::from_secs(60),
    };
    vec![release("vectors", &[]), release("llm", &[]), release("chat", &["vectors", "llm"])]
}

fn work(stack: bool) -> Work {
    let input = SpecInput { domain: "a.example.com".into(), storage_gib: 1, ..SpecInput::default() };
    let id = uuid::Uuid::nil();
    Work {
        tenant: Tenant {
            uid: TenantUid(id),
            name: "customers/a/tenants/b".parse().unwrap(),
            spec: TenantSpec::parse(input).unwrap(),
            offer: offer(stack),
            generation: 1,
            direction: Direction::Present,
            force_delete: false,
            status: TenantStatus {
                state: State::Pending,
                observed_generation: 0,
                conditions: Vec::new(),
                endpoints: Vec::new(),
            },
            etag: String::new(),
            operation: OperationId(id),
            cancel_requested: false,
            last_ready: None,
            create_time: Timestamp(0),
            update_time: Timestamp(0),
            delete_time: None,
        },
        operation_kind: OperationKind::Create,
        operation_done: false,
        stages: Vec::new(),
        now: Timestamp(0),
    }
}

/// What the cloud answers to one call.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Done,
    Pending,
    Fails(ErrorKind),
}

fn report(answer: Answer) -> Result<CallReport, Failure> {
    match answer {
        Answer::Done => Ok(CallReport { done: true, ..CallReport::default() }),
        Answer::Pending => Ok(CallReport { poll_after: Duration::from_secs(10), ..CallReport::default() }),
        Answer::Fails(kind) => Err(Failure::new(kind, "scripted")),
    }
}

/// Turns the loop until it rests, checking at every call that what it waits for is done.
fn turn(work: &mut Work, mut answer: impl FnMut(&Stage) -> Answer) -> Settle {
    let all = releases();
    for _ in 0..ROUNDS_MAX {
        let calls = match plan::plan(work, &all) {
            Plan::Settle(settle) => return settle,
            Plan::Turn(Turn::Unwind) => {
                work.tenant.direction = Direction::Absent;
                continue;
            }
            Plan::Turn(Turn::Revert(..)) => panic!("nothing to go back to"),
            Plan::Work(calls) => calls,
        };
        let direction = work.tenant.direction;
        for stage in &calls.begin {
            let nodes = graph(direction, &work.tenant.offer, &all);
            let node = nodes.iter().find(|node| node.stage == *stage).unwrap();
            for before in &node.after {
                let state = plan::record(work, before).map(|record| record.state);
                assert!(matches!(state, Some(StageState::Done | StageState::Skipped)), "{stage} began before {before}");
            }
            let intent =
                journal::intend(stage, direction, work.tenant.generation, Duration::from_secs(60), None, work.now);
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
            let index =
                work.stages.iter().position(|r| r.stage == stage && r.direction == direction).expect("an intent");
            let before = work.stages[index].clone();
            work.stages[index] = journal::record(&before, report(answer(&stage)), false, &rules(), 0.5, work.now);
        }
    }
    panic!("no rest after {ROUNDS_MAX} rounds");
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Done),
        4 => Just(Answer::Pending),
        1 => Just(Answer::Fails(ErrorKind::Throttled)),
        1 => Just(Answer::Fails(ErrorKind::Transient)),
        1 => Just(Answer::Fails(ErrorKind::Conflict)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn passing_trouble_only_delays(stack: bool, script in proptest::collection::vec(answers(), 0..60)) {
        let mut work = work(stack);
        let mut script = script.into_iter();
        let settled = turn(&mut work, |_| script.next().unwrap_or(Answer::Done));
        let ready = matches!(settled, Settle::Ready { .. });
        prop_assert!(ready, "{:?}", settled);
        // At rest, and again at rest: the same input gives the same plan.
        prop_assert_eq!(plan::plan(&work, &releases()), Plan::Settle(settled));
    }

    #[test]
    fn a_delete_at_any_moment_ends_with_nothing(stack: bool, calls in 0_usize..30, script in proptest::collection::vec(answers(), 0..60)) {
        let mut work = work(stack);
        let mut made = 0;
        // The create is stopped by a fatal failure after some calls, then deleted.
        let _ = turn(&mut work, |_| {
            made += 1;
            if made > calls { Answer::Fails(ErrorKind::Quota) } else { Answer::Done }
        });
        work.tenant.direction = Direction::Absent;
        let present: BTreeMap<Stage, _> =
            work.stages.iter().map(|record| (record.stage.clone(), record.clone())).collect();
        let mut script = script.into_iter();
        let settled = turn(&mut work, |_| script.next().unwrap_or(Answer::Done));
        prop_assert_eq!(settled, Settle::Gone);
        for record in work.stages.iter().filter(|record| record.direction == Direction::Present) {
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
            Answer::Fails(kind)
        });
        assert!(matches!(settled, Settle::Failed { .. }) && calls == 1, "{kind:?}: {settled:?} after {calls} calls");
    }
    for kind in [ErrorKind::Transient, ErrorKind::Conflict, ErrorKind::Capacity, ErrorKind::Internal] {
        let mut work = work(false);
        let mut calls = 0;
        let settled = turn(&mut work, |_| {
            calls += 1;
            Answer::Fails(kind)
        });
        assert!(matches!(settled, Settle::Failed { .. }) && calls > 1, "{kind:?}: {settled:?} after {calls} calls");
        assert!(work.now.0 <= 2 * 3_600_000, "{kind:?} was retried until {}", work.now);
    }
}

#[test]
fn a_failed_stage_goes_on_after_a_retry() {
    let mut work = work(true);
    let settled =
        turn(&mut work, |stage| if *stage == Stage::Network { Answer::Fails(ErrorKind::Quota) } else { Answer::Done });
    assert!(matches!(settled, Settle::Failed { stage: Stage::Network, .. }), "{settled:?}");
    // As the store's Retry does it.
    for record in work.stages.iter_mut().filter(|record| record.state == StageState::Failed) {
        record.state = StageState::Running;
        record.poll_time = work.now;
    }
    assert!(matches!(turn(&mut work, |_| Answer::Done), Settle::Ready { .. }));
}

#[test]
fn an_unreachable_api_server_delays_a_delete_and_then_is_skipped() {
    let mut work = work(true);
    turn(&mut work, |_| Answer::Done);
    work.tenant.direction = Direction::Absent;
    let begun = work.now;
    let settled =
        turn(
            &mut work,
            |stage| {
                if *stage == Stage::Teardown { Answer::Fails(ErrorKind::Transient) } else { Answer::Done }
            },
        );
    assert_eq!(settled, Settle::Gone);
    let waited = work.now.since(begun);
    assert!(waited >= Duration::from_secs(600) && waited < Duration::from_secs(900), "{waited:?}");
    let teardown = plan::record(&work, &Stage::Teardown).unwrap();
    assert_eq!(teardown.state, StageState::Skipped);
}

#[test]
fn a_cancelled_create_unwinds_and_a_paused_tenant_rests() {
    let mut cancelled = work(false);
    turn(&mut cancelled, |stage| if *stage == Stage::Cluster { Answer::Fails(ErrorKind::Quota) } else { Answer::Done });
    cancelled.tenant.cancel_requested = true;
    assert_eq!(turn(&mut cancelled, |_| Answer::Done), Settle::Gone);

    let mut paused = work(false);
    paused.tenant.spec.paused = true;
    assert_eq!(turn(&mut paused, |_| panic!("a paused tenant was worked on")), Settle::Paused);
}

#[test]
fn being_throttled_uses_up_no_patience_for_what_fails_after_it() {
    let rules = rules();
    let before = journal::intend(&Stage::Network, Direction::Present, 1, Duration::from_secs(60), None, Timestamp(0));
    let answered = |record, kind, at| {
        journal::record(record, report(Answer::Fails(kind)), false, &rules, 0.5, Timestamp(0).after(at))
    };
    let throttled = answered(&before, ErrorKind::Throttled, Duration::from_secs(1));
    let failed_once = answered(&throttled, ErrorKind::Transient, rules.patience * 2);
    assert_eq!(failed_once.state, StageState::Running, "one error after a long throttling is not given up");
    let failed_long = answered(&failed_once, ErrorKind::Transient, rules.patience * 4);
    assert_eq!(failed_long.state, StageState::Failed);
}
