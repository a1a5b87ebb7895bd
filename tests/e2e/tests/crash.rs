//! kill -9 at every outside call, judged by the simulator's journal.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_e2e::{FAST, bare_world, kubernetes_world, on_every_cloud};
use landlord_test_harness::{
    Cloud, HostFile, TenantFile, World, cloud::EKS, judge, process::children, simulator::Control,
};
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
/// What is asked of the second and the third cloud: every action once.
const ONCE: Depth = Depth { changes: 1, reads: 1 };
/// Whoever survives a kill at each change is not told more by one at a read.
const CHANGES: Depth = Depth { changes: 1, reads: 0 };

/// How long a call is waited for before the tenant's state is observed.
const HOLD_WAIT: Duration = Duration::from_millis(100);

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

/// Waits until a call is held, kills the victim there, and has it start anew. `false`: the tenant
/// reached `end` without meeting the boundary (a poll that was not needed this time).
fn crash_at(world: &mut World, victim: Victim, name: &str, end: &str) -> Result<bool> {
    let deadline = Instant::now() + TIMEOUT;
    let cli = world.cli();
    loop {
        let held = holds(world.simulator().control())?;
        if let Some(id) = held.first().and_then(|hold| hold["id"].as_u64()) {
            match victim {
                Victim::Daemon => world.crash_daemon()?,
                Victim::Plugin => kill_plugins(world)?,
            }
            let control = world.simulator().control();
            control.delete("faults")?;
            // The caller is dead: its connection is gone whatever becomes of the call.
            control.post(&format!("holds/{id}/release"), &json!({}))?;
            if victim == Victim::Daemon {
                world.start_daemon()?;
            }
            return Ok(true);
        }
        if cli.state(name)? == end {
            world.simulator().control().delete("faults")?;
            return Ok(false);
        }
        if Instant::now() > deadline {
            bail!("neither held nor {end} after {TIMEOUT:?}");
        }
    }
}

fn kill_plugins(world: &mut World) -> Result<()> {
    let daemon = world.daemon().context("no daemon")?.pid();
    for child in children(daemon) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(child)?).context("no process has the id 0")?;
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    Ok(())
}

fn lifecycle_with_crashes(
    world: &mut World,
    cloud: &Cloud,
    victim: Victim,
    tenant: &TenantFile,
    boundary: &Boundary,
) -> Result<u32> {
    let mut crashes = 0;
    let since = journal_end(world)?;
    let cli = world.cli();
    hold(world.simulator().control(), boundary)?;
    cli.apply(tenant)?;
    crashes += u32::from(crash_at(world, victim, &tenant.name(), "READY")?);
    cli.wait_for(&tenant.name(), "READY", TIMEOUT)?;
    let events = cli.events(&tenant.name())?;
    hold(world.simulator().control(), boundary)?;
    cli.ok(&["delete", &tenant.name()])?;
    crashes += u32::from(crash_at(world, victim, &tenant.name(), "GONE")?);
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
    Ok(crashes)
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
    // The daemon's journal is untouched by it, so the first call of each kind tells what there is to tell.
    let depth = if cloud.provider == EKS.provider { ONCE } else { CHANGES };
    sweep_all(cloud, Victim::Plugin, depth);
}

/// A lifecycle for each boundary that an undisturbed lifecycle shows, with its victim killed there.
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
    let outcomes: Vec<(u32, Vec<String>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORLDS)
            .map(|worker| {
                scope.spawn({
                    let all = &all;
                    move || sweep(cloud, victim, all.iter().skip(worker).step_by(WORLDS))
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let problems: Vec<&str> = outcomes.iter().flat_map(|(_, problems)| problems).map(String::as_str).collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), all.len(), problems.join("\n"));
    let crashes: u32 = outcomes.iter().map(|(crashes, _)| crashes).sum();
    let needed = u32::try_from(all.len()).unwrap();
    assert!(crashes >= needed, "only {crashes} crashes for {needed} boundaries");
}

/// Lifecycles with a crash at each of the boundaries, in a world of their own.
fn sweep<'a>(
    cloud: &'static Cloud,
    victim: Victim,
    boundaries: impl Iterator<Item = &'a Boundary>,
) -> (u32, Vec<String>) {
    let mut world = bare_world(cloud, FAST).unwrap();
    let mut crashes = 0;
    let mut problems = Vec::new();
    for (index, boundary) in boundaries.enumerate() {
        let tenant = TenantFile::new("acme", &format!("t{index}"), &cloud.bare_class());
        match lifecycle_with_crashes(&mut world, cloud, victim, &tenant, boundary) {
            Ok(times) => crashes += times,
            Err(error) => {
                problems.push(format!("{boundary:?}: {error:#}"));
                world = bare_world(cloud, FAST).unwrap();
            }
        }
    }
    (crashes, problems)
}

/// One world, one host cluster, and for each level one life of a tenant that shares it: the daemon dies before and after
/// the first of each of its calls, one after the other, and the neighbour never notices.
#[test]
fn tenants_of_a_shared_cluster_survive_kills_at_every_call() {
    let mut world = kubernetes_world(&EKS, FAST, &EKS.bare_shared_classes()).unwrap();
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
            // What the dead have sent already is still to be held: let through, it would never be asked for again.
            std::thread::sleep(IN_FLIGHT);
            let control = world.simulator().control();
            control.delete("faults")?;
            // Calls go side by side, so it may have died in several.
            for at in holds(control)? {
                let met = |b: &Boundary| {
                    ["service", "action", "phase"].map(|key| judge::text(&at, key)) == [&b.service, &b.action, b.phase]
                };
                let index = left.iter().position(met).with_context(|| format!("nobody asked to hold {at}"))?;
                // What was held before its effect has none: the dead never made that call.
                let verdict = if left.remove(index).phase == "before" { "drop" } else { "release" };
                control.post(&format!("holds/{}/{verdict}", at["id"]), &json!({}))?;
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

/// By name and uid, as the API server tells the operator.
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
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("tenant-"), "{told}");
    told
}

fn killed_again_and_again_it_still_ends(cloud: &'static Cloud) {
    let mut world = bare_world(cloud, FAST).unwrap();
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
