//! Runs the cases: which there are, in what order, what is skipped, and the cleaning up after each. Judges only that
//! nothing is left.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use landlord_provider_api::ProviderError;

use crate::{
    capture, cases,
    config::Config,
    fault::Rule,
    hook,
    proxy::{self, Proxy},
    report::{CaseReport, Outcome, Report},
    session::Session,
    world::{Step, Stop, World},
};

type Run = for<'a> fn(&'a World) -> BoxFuture<'a, Step<String>>;

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Name, as in `--only` and in a skip.
    pub name: &'static str,
    /// What it holds the plugin to.
    pub about: &'static str,
    /// Whether it needs the proxy, and so a plugin that speaks HTTP.
    pub outside: bool,
    run: Run,
}

macro_rules! cases {
    ($($name:literal $outside:ident $run:path: $about:literal;)*) => {
        /// All cases, in the order in which they run.
        pub const CASES: &[Case] = &[$(Case {
            name: $name,
            about: $about,
            outside: cases!(@ $outside),
            run: |world| Box::pin($run(world)),
        }),*];
    };
    (@ anywhere) => { false };
    (@ outside) => { true };
}

cases! {
    "describe" anywhere cases::describe::describe:
        "Describe is complete and agrees with itself: name, semver, schemas, durations, buckets with sources, costs";
    "versions" anywhere cases::describe::versions:
        "a newer daemon is understood: unknown methods are refused by a typed error, unknown fields are ignored";
    "completions" anywhere cases::completions::completions:
        "each call is completed exactly once, as the ABI requires";
    "garbage" anywhere cases::garbage::garbage:
        "random, empty, cut and oversized messages and hostile uids get INVALID or INTERNAL, change nothing, and the process lives";
    "configure" anywhere cases::configure::configure:
        "a wrong configuration is refused as INVALID or AUTH, names every problem at once and echoes no secret";
    "validate" anywhere cases::configure::validate:
        "validate finds nothing wrong with the configured tenant, all that is wrong with a broken one at once, and changes nothing";
    "capabilities" anywhere cases::capabilities::capabilities:
        "what the plugin does not offer it refuses, at every level, and nothing is made for it";
    "delete-absent" anywhere cases::lifecycle::delete_absent:
        "deleting what never was succeeds at once, for every kind, and changes nothing";
    "lifecycle" anywhere cases::lifecycle::lifecycle:
        "every stage becomes ready, the cluster can be reached by a token that expires later, and deletes in reverse order leave nothing";
    "inventory" anywhere cases::inventory::inventory:
        "list_owned shows what was made, each object once, with role and tenant, for the tenant and for the installation";
    "observe" anywhere cases::inventory::observe:
        "observe agrees with what is there and changes nothing";
    "idempotency" anywhere cases::repeat::idempotency:
        "ensure of what is ready and delete of what is gone make no changing call";
    "adopt" anywhere cases::repeat::adopt:
        "a process that remembers nothing goes on where another was, and makes nothing twice";
    "delete-midway" anywhere cases::lifecycle::delete_midway:
        "a delete in the middle of a create leaves nothing";
    "concurrency" anywhere cases::parallel::concurrency:
        "the same call eight times at once, from two processes, makes one object";
    "neighbours" anywhere cases::parallel::neighbours:
        "two tenants side by side do not touch one another";
    "shared-cluster" anywhere cases::shared::shared_cluster:
        "tenants in a shared cluster get node pools of their own there; nothing else of it is touched";
    "node-pool" outside cases::pools::node_pool:
        "labels, taints and disk of an order reach the cloud, and so does what is ordered later";
    "failed-objects" anywhere cases::failures::failed_objects:
        "an object that ends in error is reported with the cloud's cause, goes, and a retry recreates it";
    "duplicates" anywhere cases::failures::duplicates:
        "of an object that is there twice one is left, and none after the tenant";
    "keys" outside cases::keys::keys:
        "a repeated create carries the same idempotency key, and no two objects share one";
    "lost-request" outside cases::faults::lost_request:
        "each outside call may get lost on its way";
    "lost-answer" outside cases::faults::lost_answer:
        "each outside call may take effect and its response get lost; nothing is made twice";
    "cut-answer" outside cases::faults::cut_answer:
        "each outside call's response may end in the middle";
    "crash" outside cases::faults::crash:
        "the process may be killed before and after each outside call";
    "throttling" outside cases::throttle::throttling:
        "a throttled cloud gives THROTTLED after a bounded number of attempts, and only delays";
    "deadlines" outside cases::throttle::deadlines:
        "a call to a cloud that hangs ends at its deadline, and the next one works";
    "name-taken" anywhere cases::names::name_taken:
        "a foreign object under our name is NAME_TAKEN with a remedy, and is never touched";
    "secrets" anywhere cases::secrets::secrets:
        "no secret is in a log line or an error of the whole run";
}

/// Cases in which a plugin has nothing to ask its cloud: they pass before there is one.
const CALL_NOBODY: [&str; 6] = ["describe", "versions", "completions", "garbage", "configure", "validate"];

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The plugin's file.
    pub library: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// Program that is executed with the argument `plugin-child`; it must call
    /// [`run_child`](landlord_plugin_host::run_child) then.
    pub program: PathBuf,
    /// Only these cases; empty: all.
    pub only: Vec<String>,
}

/// Runs the cases; `progress` hears of each as it ends.
///
/// # Errors
/// What keeps the run from beginning: an unknown case, a file that is no plugin or can't be loaded, a plugin that refuses
/// its configuration, no proxy, no cloud at the endpoint.
pub async fn run(options: Options, mut progress: impl FnMut(&CaseReport)) -> Result<Report, String> {
    let known = |name: &String| CASES.iter().any(|case| case.name == *name);
    let unknown: Vec<&String> = options.only.iter().filter(|name| !known(name)).collect();
    let skips = options.config.skip.iter().map(|skip| &skip.case).filter(|name| !known(name));
    if let Some(name) = unknown.into_iter().chain(skips).next() {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("there is no case {name:?}; the cases are {}", names.join(", ")));
    }
    capture::install();
    let config = options.config;
    let chosen = |case: &&Case| options.only.is_empty() || options.only.iter().any(|only| only == case.name);
    let needs_cloud =
        config.witness.is_some() || CASES.iter().filter(chosen).any(|case| !CALL_NOBODY.contains(&case.name));
    if needs_cloud && !config.endpoint.is_empty() {
        proxy::reach(&config.endpoint).await?;
    }
    let proxy = if config.endpoint.is_empty() { None } else { Some(Proxy::start(&config).await?) };
    let endpoint = proxy.as_ref().map_or("", Proxy::url).to_owned();
    let session = Session::new(&options.library, options.program, &config, &endpoint)?;
    let world = World::new(config, session, proxy)?;
    let mut cases = Vec::new();
    if let Err(error) = world.session.plugin().start().await {
        return Err(not_up(&world.config, &error));
    }
    let description = world.session.plugin().description().cloned().unwrap_or_default();
    let _ = world.offered.set(description.capabilities);
    for case in CASES.iter().filter(chosen) {
        let report = one(&world, case).await;
        progress(&report);
        cases.push(report);
    }
    let plugin = match world.session.plugin().description() {
        Some(description) => format!("{} {}", description.name, description.version),
        None => options.library.display().to_string(),
    };
    Ok(Report { plugin, sha256: world.session.sha256().to_owned(), cases })
}

/// A plugin that does not come up can't be judged: that is reported once, and not by each case. What a plugin says may hold a
/// secret.
fn not_up(config: &Config, error: &ProviderError) -> String {
    let remedy = if error.remedy.is_empty() { String::new() } else { format!("; {}", error.remedy) };
    let reported = format!("the plugin does not come up: {error}{remedy}");
    config.secrets().iter().fold(reported, |reported, secret| reported.replace(secret, "[a secret]"))
}

fn plain(case: &Case, outcome: Outcome, detail: impl Into<String>) -> CaseReport {
    CaseReport {
        name: case.name.into(),
        about: case.about.into(),
        outcome,
        detail: detail.into(),
        seconds: 0.0,
        outside_calls: 0,
    }
}

async fn one(world: &World, case: &Case) -> CaseReport {
    if let Some(skip) = world.config.skip.iter().find(|skip| skip.case == case.name) {
        return plain(case, Outcome::Skipped, skip.reason.clone());
    }
    if case.outside && world.proxy.is_none() {
        return plain(case, Outcome::Skipped, "the configuration names no endpoint, so no outside call can be seen");
    }
    world.begin();
    let began = Instant::now();
    let before = hook::witnessed(world).await;
    let judged = (case.run)(world).await;
    let outside_calls = world.proxy.as_ref().map_or(0, Proxy::count);
    let cleaned = clean(world, before).await;
    // With the cleaning up, which takes its time where something was left.
    let seconds = began.elapsed().as_secs_f64();
    let (outcome, detail) = match (judged, cleaned) {
        (Err(Stop::Failed(why)), Err(Stop::Failed(more))) => (Outcome::Failed, format!("{why}; afterwards: {more}")),
        (Err(Stop::Failed(why)), _) => (Outcome::Failed, why),
        (_, Err(Stop::Failed(why))) => (Outcome::Failed, format!("afterwards: {why}")),
        (Err(Stop::Skipped(why)), _) | (_, Err(Stop::Skipped(why))) => (Outcome::Skipped, why),
        (Ok(detail), Ok(())) => (Outcome::Passed, detail),
    };
    CaseReport { seconds, outside_calls, ..plain(case, outcome, detail) }
}

/// Takes down what a case left standing, and checks by the witness whether the account is as it was.
async fn clean(world: &World, before: Step<Option<usize>>) -> Step {
    if let Some(proxy) = &world.proxy {
        proxy.set(Rule::None);
    }
    world.mend(&world.session.plugin())?;
    // The newest first: tenants in a shared cluster before their host.
    for tenant in world.leftover_tenants().into_iter().rev() {
        world.take_down(&tenant).await?;
    }
    let before = before?;
    let deadline = Instant::now() + Duration::from_millis(world.config.settle_ms);
    loop {
        let after = hook::witnessed(world).await?;
        if after == before {
            return Ok(());
        }
        if Instant::now() > deadline {
            let number = |count: Option<usize>| count.unwrap_or_default();
            return Err(Stop::Failed(format!(
                "the witness counts {} objects in the account and counted {} before, though list_owned is empty",
                number(after),
                number(before)
            )));
        }
        tokio::time::sleep(Duration::from_millis(world.config.poll_min_ms.max(10))).await;
    }
}
