//! kill -9 at every outside call, judged by the simulator's journal.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_e2e::{FAST, PATIENT, bare_world, kubernetes_world, on_every_cloud, patient_world};
use landlord_test_harness::{Cloud, HostFile, TenantFile, World, cloud::EKS, judge, simulator::Control};
use landlord_test_kube::Artifacts;
use serde_json::{Value, json};

/// Far above what it takes (seconds): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Of each action, so many calls are boundaries.
#[derive(Debug, Clone, Copy)]
struct Depth {
    changes: u64,
    reads: u64,
}

/// The first and the second call of a change are different boundaries; later ones are like the
/// second. Of reads, which change nothing, the first is enough.
const WHOLE: Depth = Depth { changes: 2, reads: 1 };
/// What is run on the second and the third cloud: every action once.
const ONCE: Depth = Depth { changes: 1, reads: 1 };
/// Whoever survives a kill at each change learns nothing from one at a read.
const CHANGES: Depth = Depth { changes: 1, reads: 0 };

/// How long a call is waited for before the tenant's state is observed.
const HOLD_WAIT: Duration = Duration::from_millis(100);

/// Kills in a life, while it is made and again while it is removed. More of them share the cost of a life; fewer leave each
/// restart more of the life before it goes on to the next.
const KILLS_MAX: usize = 6;

/// Worlds side by side: a lifecycle mostly waits for simulated time.
const WORLDS: usize = 4;

/// A boundary: before or after the nth call of an action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Boundary {
    service: String,
    action: String,
    skip: u64,
    phase: &'static str,
}

fn boundaries(journal: &[Value], depth: Depth) -> Vec<Boundary> {
    let mut calls: BTreeMap<(String, String), u64> = BTreeMap::new();
    for entry in journal.iter().filter(|entry| entry["origin"] == "call") {
        let key = (judge::text(entry, "service").into(), judge::text(entry, "action").into());
        *calls.entry(key).or_default() += 1;
    }
    let mut all = Vec::new();
    for ((service, action), count) in calls {
        let reads = judge::is_read(&action);
        for skip in 0..count.min(if reads { depth.reads } else { depth.changes }) {
            for phase in ["before", "after"] {
                all.push(Boundary { service: service.clone(), action: action.clone(), skip, phase });
            }
        }
    }
    all
}

fn hold(control: &Control, boundary: &Boundary) -> Result<()> {
    control.post(
        "faults",
        &json!({
            "kind": "hold", "service": boundary.service, "action": boundary.action,
            "skip": boundary.skip, "count": 1, "phase": boundary.phase,
        }),
    )?;
    Ok(())
}

/// The calls that are held; waits a moment until there is one.
fn holds(control: &Control) -> Result<Vec<Value>> {
    match control.get(&format!("holds?wait_ms={}", HOLD_WAIT.as_millis()))? {
        Value::Array(items) => Ok(items),
        Value::Object(map) => Ok(map.into_iter().find_map(|(_, v)| v.as_array().cloned()).unwrap_or_default()),
        other => bail!("holds: {other}"),
    }
}

/// Who dies while a call is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Daemon,
    /// The process that the plugin runs in; the daemon lives on.
    Plugin,
}

/// A life with a kill at each of the boundaries, which are of one phase; each is met while it is made or removed.
fn lifecycle_with_kills(
    world: &mut World,
    cloud: &Cloud,
    victim: Victim,
    tenant: &TenantFile,
    boundaries: &[Boundary],
) -> Result<()> {
    let mut met = BTreeSet::new();
    let since = journal_end(world)?;
    let cli = world.cli();
    hold_at_each(world, boundaries)?;
    cli.apply(tenant)?;
    kill_wherever_held(world, victim, &tenant.name(), "READY", &mut met)?;
    cli.wait_for(&tenant.name(), "READY", TIMEOUT)?;
    let events = cli.events(&tenant.name())?;
    // A second call may be one of the removal; the first ones are met once more there.
    if boundaries.iter().all(|boundary| boundary.skip == 0) {
        world.simulator().control().delete("faults")?;
        hold_at_each(world, boundaries)?;
    }
    cli.ok(&["delete", &tenant.name()])?;
    kill_wherever_held(world, victim, &tenant.name(), "GONE", &mut met)?;
    world.simulator().control().delete("faults")?;
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT)?;
    let daemon = world.daemon().context("no daemon")?;
    if let Some(status) = daemon.ended()? {
        bail!("the daemon ended with {status} beside what was killed");
    }
    let control = world.simulator().control();
    judge::account_is_empty(control, cloud.account)?;
    let journal = control.journal(since)?;
    judge::nothing_made_twice(&journal, 1)?;
    judge::intents_are_older(&journal, &events)?;
    judge::only_ours_is_touched(&journal)?;
    let is_met = |b: &&Boundary| met.contains(&(b.service.clone(), b.action.clone()));
    // A read is a poll, and may not be needed this time; a second call may only repeat the first, and not in every life.
    let may_lack = |b: &Boundary| judge::is_read(&b.action) || b.skip > 0;
    let missed: Vec<&Boundary> = boundaries.iter().filter(|b| !is_met(b) && !may_lack(b)).collect();
    let Some(first) = missed.first() else { return Ok(()) };
    let reported = |entry: &&Value| entry["action"] == *first.action && entry["service"] == *first.service;
    let outcomes: Vec<String> =
        journal.iter().filter(reported).map(|e| format!("{} {}", e["origin"], e["outcome"])).collect();
    bail!("nobody was killed at {missed:?}; of the first the journal has {outcomes:?}")
}

/// Kills the victim whenever a call is held, and has it start again, until the tenant is in `end`. A boundary that is met
/// is used up.
fn kill_wherever_held(
    world: &mut World,
    victim: Victim,
    name: &str,
    end: &str,
    met: &mut BTreeSet<(String, String)>,
) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let cli = world.cli();
    while Instant::now() < deadline {
        let held = holds(world.simulator().control())?;
        if !held.is_empty() {
            match victim {
                Victim::Daemon => world.crash_daemon()?,
                Victim::Plugin => drop(landlord_e2e::kill_plugins(world)?),
            }
            let control = world.simulator().control();
            for call in &held {
                met.insert((judge::text(call, "service").into(), judge::text(call, "action").into()));
                resolve(control, call)?;
            }
            if victim == Victim::Daemon {
                world.start_daemon()?;
            }
        }
        if cli.state(name)? == end {
            let control = world.simulator().control();
            // Sent by one who died before it could matter.
            return holds(control)?.iter().try_for_each(|call| resolve(control, call));
        }
    }
    bail!("neither held nor {end} after {TIMEOUT:?}")
}

/// Lets go of a call whose caller is dead. What was held before its effect has none: the dead never made that call.
fn resolve(control: &Control, call: &Value) -> Result<()> {
    let verdict = if call["phase"] == "before" { "drop" } else { "release" };
    control.post(&format!("holds/{}/{verdict}", call["id"]), &json!({}))?;
    Ok(())
}

/// The rest of the account is the host cluster's and its other tenants'.
fn nothing_is_owned(control: &Control, cloud: &Cloud, uid: &str) -> Result<()> {
    let objects = control.objects(cloud.account)?;
    let left: Vec<&Value> = objects.iter().filter(|object| object["tags"]["landlord-tenant-uid"] == uid).collect();
    if left.is_empty() { Ok(()) } else { bail!("left of {uid}: {left:?}") }
}

fn journal_end(world: &World) -> Result<i64> {
    let journal = world.simulator().control().journal(0)?;
    Ok(journal.last().and_then(|entry| entry["seq"].as_i64()).unwrap_or(0))
}

on_every_cloud!(
    killed_before_and_after_every_call_it_resumes_and_makes_nothing_twice,
    a_plugin_killed_before_and_after_every_call_costs_a_retry_and_nothing_else,
    killed_again_and_again_it_still_ends,
);

fn killed_before_and_after_every_call_it_resumes_and_makes_nothing_twice(cloud: &'static Cloud) {
    let depth = if cloud.provider == EKS.provider { WHOLE } else { ONCE };
    sweep_all(cloud, Victim::Daemon, depth);
}

fn a_plugin_killed_before_and_after_every_call_costs_a_retry_and_nothing_else(cloud: &'static Cloud) {
    // The daemon's journal is untouched by it, so the first call of each kind shows what there is to see.
    let depth = if cloud.provider == EKS.provider { ONCE } else { CHANGES };
    sweep_all(cloud, Victim::Plugin, depth);
}

/// Whatever an undisturbed lifecycle shows as boundaries, killed at in lifecycles with some of them each.
fn sweep_all(cloud: &'static Cloud, victim: Victim, depth: Depth) {
    let world = bare_world(cloud, FAST).unwrap();
    let cli = world.cli();
    let first = TenantFile::new("acme", "first", &cloud.bare_class());
    cli.apply(&first).unwrap();
    cli.wait_for(&first.name(), "READY", TIMEOUT).unwrap();
    cli.ok(&["delete", &first.name()]).unwrap();
    cli.wait_for(&first.name(), "GONE", TIMEOUT).unwrap();
    let all = boundaries(&world.simulator().control().journal(0).unwrap(), depth);
    assert!(all.len() > 20, "the journal shows only {} boundaries", all.len());
    drop(world);
    let lives = &lives(&all);
    let problems: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORLDS)
            .map(|worker| scope.spawn(move || sweep(cloud, victim, lives.iter().skip(worker).step_by(WORLDS))))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(problems.is_empty(), "{} of {} lives:\n{}", problems.len(), lives.len(), problems.join("\n"));
}

/// The boundaries of each life: of one phase and turn, so that none stands in another's way, and from all over it.
fn lives(all: &[Boundary]) -> Vec<Vec<Boundary>> {
    let mut alike: BTreeMap<(u64, &str), Vec<&Boundary>> = BTreeMap::new();
    for boundary in all {
        alike.entry((boundary.skip, boundary.phase)).or_default().push(boundary);
    }
    let mut lives = Vec::new();
    for boundaries in alike.values() {
        let count = boundaries.len().div_ceil(KILLS_MAX);
        lives.extend((0..count).map(|life| boundaries.iter().skip(life).step_by(count).copied().cloned().collect()));
    }
    lives
}

/// Lifecycles with kills, one after the other in a world of their own; what went wrong.
fn sweep<'a>(cloud: &'static Cloud, victim: Victim, lives: impl Iterator<Item = &'a Vec<Boundary>>) -> Vec<String> {
    let mut world = patient_world(cloud).unwrap();
    let mut problems = Vec::new();
    for (index, boundaries) in lives.enumerate() {
        let tenant = TenantFile::new("acme", &format!("t{index}"), &cloud.bare_class());
        if let Err(error) = lifecycle_with_kills(&mut world, cloud, victim, &tenant, boundaries) {
            problems.push(format!("{boundaries:?}: {error:#}"));
            world = patient_world(cloud).unwrap();
        }
    }
    problems
}

/// One world, one host cluster, and for each level one life of a tenant that shares it: the daemon dies before and after
/// the first of each of its calls, one after the other, and the neighbour never notices.
#[test]
fn tenants_of_a_shared_cluster_survive_kills_at_every_call() {
    let mut world = kubernetes_world(&EKS, FAST, &(PATIENT.to_owned() + &EKS.bare_shared_classes())).unwrap();
    let cli = world.cli();
    let host = HostFile::new("shared", &EKS.bare_class(), 1, 20);
    cli.apply_host(&host).unwrap();
    let [namespace, node] = ["namespace", "node"].map(|level| EKS.bare_shared_class(level));
    let keeper = TenantFile::new("keeper", "prod", &namespace);
    cli.apply(&keeper).unwrap();
    cli.wait_for(&keeper.name(), "READY", TIMEOUT).unwrap();
    let before = namespaces_of_tenants(&world, &keeper);
    for (class, least) in [(namespace.as_str(), 8), (node.as_str(), 20)] {
        let since = journal_end(&world).unwrap();
        let first = TenantFile::new("acme", class, class);
        cli.apply(&first).unwrap();
        cli.wait_for(&first.name(), "READY", TIMEOUT).unwrap();
        cli.ok(&["delete", &first.name()]).unwrap();
        cli.wait_for(&first.name(), "GONE", TIMEOUT).unwrap();
        let mut left = boundaries(&world.simulator().control().journal(since).unwrap(), ONCE);
        assert!(left.len() >= least, "the journal of {class} shows only {} boundaries", left.len());
        let tenant = TenantFile::new("acme", &format!("{class}-killed"), class);
        a_life_with_all_kills(&mut world, &tenant, &mut left).unwrap();
        assert!(left.is_empty(), "{class} never came to {left:?}");
    }
    assert_eq!(namespaces_of_tenants(&world, &keeper), before, "a namespace is left, or the neighbour's is gone");
    cli.wait_for(&keeper.name(), "READY", TIMEOUT).unwrap();
    cli.ok(&["delete", &keeper.name(), "--wait", "--timeout", "3m"]).unwrap();
    cli.ok(&["delete", "hostcluster", "shared", "--wait", "--timeout", "5m"]).unwrap();
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
    assert!(world.stop().unwrap(), "a process had to be killed");
}

/// Takes each boundary out of `left` when the daemon was killed there.
fn a_life_with_all_kills(world: &mut World, tenant: &TenantFile, left: &mut Vec<Boundary>) -> Result<()> {
    let since = journal_end(world)?;
    let cli = world.cli();
    // Before the order: the first calls follow it at once.
    hold_at_each(world, left)?;
    cli.apply(tenant)?;
    kill_at_each(world, &tenant.name(), "READY", left)?;
    let record = cli.wait_for(&tenant.name(), "READY", TIMEOUT)?.context("no record")?;
    let events = cli.events(&tenant.name())?;
    hold_at_each(world, left)?;
    cli.ok(&["delete", &tenant.name()])?;
    kill_at_each(world, &tenant.name(), "GONE", left)?;
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT)?;
    let control = world.simulator().control();
    nothing_is_owned(control, &EKS, judge::text(&record, "uid"))?;
    let journal = control.journal(since)?;
    judge::nothing_made_twice(&journal, 1)?;
    judge::intents_are_older(&journal, &events)?;
    judge::only_ours_is_touched(&journal)
}

/// A request that was sent reaches the simulator well within this, and its sender is gone.
const IN_FLIGHT: Duration = Duration::from_millis(300);

fn hold_at_each(world: &World, left: &[Boundary]) -> Result<()> {
    left.iter().try_for_each(|boundary| hold(world.simulator().control(), boundary))
}

/// Whichever of the boundaries that are held is met first, again and again, until the tenant is in `end`.
fn kill_at_each(world: &mut World, name: &str, end: &str, left: &mut Vec<Boundary>) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let cli = world.cli();
    while Instant::now() < deadline {
        if !holds(world.simulator().control())?.is_empty() {
            world.crash_daemon()?;
            // What the dead have sent already is still to be held: let through, it would never be made again.
            std::thread::sleep(IN_FLIGHT);
            let control = world.simulator().control();
            control.delete("faults")?;
            // Calls go side by side, so it may have died in several.
            for at in holds(control)? {
                let met = |b: &Boundary| {
                    ["service", "action", "phase"].map(|key| judge::text(&at, key)) == [&b.service, &b.action, b.phase]
                };
                let index = left.iter().position(met).with_context(|| format!("nothing was set to hold {at}"))?;
                left.remove(index);
                resolve(control, &at)?;
            }
            hold_at_each(world, left)?;
            world.start_daemon()?;
        }
        if cli.state(name)? == end {
            world.simulator().control().delete("faults")?;
            return Ok(());
        }
    }
    bail!("neither held nor {end} after {TIMEOUT:?}, with {left:?} left")
}

/// By name and uid, as the API server lists them to the operator.
fn namespaces_of_tenants(world: &World, tenant: &TenantFile) -> String {
    let file = world.folder().join("operator.kubeconfig");
    std::fs::write(&file, world.cli().ok(&["kubeconfig", &tenant.name(), "--for", "operator"]).unwrap()).unwrap();
    let kubebox = Artifacts::ensure(&mut |_| {}).unwrap().kubebox;
    let names = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
    let output = Command::new(kubebox)
        .args(["kubectl", "--kubeconfig"])
        .arg(&file)
        .args(["get", "namespaces", "-l", "landlord.dev/level", "-o", names])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("tenant-"), "{shown}");
    shown
}

fn killed_again_and_again_it_still_ends(cloud: &'static Cloud) {
    let mut world = patient_world(cloud).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    let cli = world.cli();
    cli.apply(&tenant).unwrap();
    for step in 0..20_u64 {
        std::thread::sleep(Duration::from_millis(60 + 37 * (step % 5)));
        world.crash_daemon().unwrap();
        world.start_daemon().unwrap();
    }
    cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    cli.ok(&["delete", &tenant.name()]).unwrap();
    for step in 0..20_u64 {
        std::thread::sleep(Duration::from_millis(60 + 37 * (step % 5)));
        world.crash_daemon().unwrap();
        world.start_daemon().unwrap();
    }
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    let control = world.simulator().control();
    judge::account_is_empty(control, cloud.account).unwrap();
    judge::nothing_made_twice(&control.journal(0).unwrap(), 1).unwrap();
}
