//! The release before works on while this one's schema is there already, and is replaced under load: no request fails, and nothing of
//! the installation differs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use landlord_e2e::{FAST, binaries};
use landlord_store_contract::postgres::Server;
use landlord_test_harness::{
    Binaries, Replica, TenantFile, World, WorldOptions, binaries::checkout, cloud::EKS, judge,
};
use landlord_test_kube::cache_folder;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::replicas::{Load, TIMEOUT, judged};

/// The commit whose daemon is "the release before": the last one that another schema, or another meaning of one, came after.
const BEFORE: &str = include_str!("../previous-release");
/// Names a program that was built from it, instead of building one.
const GIVEN: &str = "LANDLORD_PREVIOUS";
const REQUESTS_PER_SECOND: u32 = 50;
/// Of everything that goes on at each step.
const STEP: Duration = Duration::from_secs(2);

/// The release before's daemon, built once.
fn before() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(GIVEN) {
        return Ok(given.into());
    }
    let commit = BEFORE.trim();
    let folder = cache_folder()?.join("previous").join(commit);
    let program = folder.join("landlordd");
    if program.is_file() {
        return Ok(program);
    }
    let source = folder.join("source");
    std::fs::create_dir_all(&source)?;
    let (repository, unpack) = (checkout(), format!("git archive {commit} | tar -x -C {}", source.display()));
    run(Command::new("sh").args(["-ec", &unpack]).current_dir(&repository))?;
    let target = folder.join("target");
    run(Command::new("cargo")
        .args(["build", "-p", "landlordd"])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", &target))?;
    std::fs::copy(target.join("debug/landlordd"), &program)?;
    std::fs::remove_dir_all(&target)?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// What one release shows, another shows too: it may show more.
fn differences(before: &Value, after: &Value, at: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                differences(value, after.get(key).unwrap_or(&Value::Null), &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (turn, (before, after)) in before.iter().zip(after).enumerate() {
                differences(before, after, &format!("{at}[{turn}]"), found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{at}: {before} became {after}")),
    }
}

/// All that a replica shows of tenants and of who ordered them, by what was asked.
fn shown(replica: &Replica, tenants: &[String]) -> Value {
    let json = |arguments: &[&str]| -> Value {
        let text = replica.cli.ok(&[arguments, &["-o", "json"]].concat()).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    };
    let of_tenants = tenants.iter().map(|name| {
        let events = replica.cli.events(name).unwrap();
        // By their place: more may come.
        let events: Map<String, Value> = events.into_iter().enumerate().map(|(at, event)| (at.to_string(), event)).collect();
        let all = json!({ "tenant": json(&["get", name.as_str()]), "operations": json(&["get", "operations", name.as_str()]), "events": events });
        (name.clone(), all)
    });
    let mut all: Map<String, Value> = of_tenants.collect();
    all.insert("customers".to_owned(), json(&["get", "customers"]));
    Value::Object(all)
}

fn migrate(program: &Path, world: &World) {
    run(Command::new(program).args(["--config", &world.config().display().to_string(), "migrate"])).unwrap();
}

#[test]
#[ignore = "builds the release before: cargo xtask test --long"]
fn long_the_release_before_works_on_the_new_schema_and_is_replaced_under_load() {
    let new = binaries().unwrap();
    let old = Binaries { landlordd: before().unwrap(), ..new.clone() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start("upgrade");
    let options = WorldOptions { time_scale: FAST, store_url: server.database(), ..WorldOptions::default() };
    let mut world = World::temporary(&old, &options).unwrap();
    let tenants: Vec<TenantFile> =
        (0..6).map(|turn| TenantFile::new("acme", &format!("t{turn}"), &EKS.bare_class())).collect();
    for tenant in &tenants[..4] {
        world.cli().apply(tenant).unwrap();
    }
    for tenant in &tenants[..4] {
        world.cli().wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    }
    assert!(world.stop_daemon().unwrap());
    let mut replicas = vec![Replica::start(&world, "r0", &[]).unwrap(), Replica::start(&world, "r1", &[]).unwrap()];
    let load = {
        let _within = runtime.enter();
        let sockets = ["r0", "r1"].map(|name| Replica::socket_of(&world, name));
        Arc::new(Load::new(sockets.into_iter(), &tenants[0].name()))
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut running, mut watching) = (JoinSet::new(), JoinSet::new());
    running.spawn_on(load.clone().run(REQUESTS_PER_SECOND), runtime.handle());
    watching.spawn_on(load.clone().watch(seen.clone()), runtime.handle());
    std::thread::sleep(STEP);
    migrate(&new.landlordd, &world);
    // On the new schema the old daemons build, and remove.
    replicas[1].cli.apply(&tenants[4]).unwrap();
    replicas[0].cli.ok(&["delete", &tenants[1].name()]).unwrap();
    replicas[0].cli.wait_for(&tenants[4].name(), "READY", TIMEOUT).unwrap();
    replicas[1].cli.wait_for(&tenants[1].name(), "GONE", TIMEOUT).unwrap();
    let still: Vec<String> = [2, 3, 4].map(|turn| tenants[turn].name()).into();
    let before = shown(&replicas[0], &still);
    assert!(
        before[&still[2]]["events"].as_object().unwrap().len() > 5 && before["customers"][0].is_object(),
        "{before}"
    );
    // One after the other is replaced.
    let world = world.with_programs(new.clone());
    for turn in 0..2 {
        std::thread::sleep(STEP);
        assert!(replicas.remove(turn).service.stop(TIMEOUT).unwrap(), "it was killed");
        replicas.insert(turn, Replica::start(&world, &format!("r{turn}"), &[]).unwrap());
    }
    std::thread::sleep(STEP);
    let mut found = Vec::new();
    differences(&before, &shown(&replicas[0], &still), "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    load.stop();
    runtime.block_on(async {
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
        judged(&load, &seen).await;
    });
    replicas[1].cli.apply(&tenants[5]).unwrap();
    replicas[0].cli.wait_for(&tenants[5].name(), "READY", TIMEOUT).unwrap();
    for tenant in [0, 2, 3, 4, 5].map(|turn| &tenants[turn]) {
        replicas[0].cli.ok(&["delete", &tenant.name()]).unwrap();
        replicas[1].cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    }
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
    judge::nothing_made_twice(&world.simulator().control().journal(0).unwrap(), tenants.len()).unwrap();
}
