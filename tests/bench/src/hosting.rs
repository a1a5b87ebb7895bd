//! Many tenants of level NAMESPACE on one host cluster: the daemon's memory, calls of the API server and of the cloud for
//! each tenant, and what goes on when nothing changes. Without apps, whose pods no test machine has room for; a few
//! tenants with apps are watched at rest beside them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use landlord_test_harness::{World, process::children};

use crate::{
    Bed,
    audit::{Counts, Who},
    cluster::Cluster,
    figures::{Sample, each, mib, resident_bytes},
    lifecycle::Memory,
    order, say, shared,
};

/// Fast enough that the cloud's part (a zone) is no wait.
const TIME_SCALE: f64 = 1.0 / 600.0;
/// Room for the few tenants with apps.
const NODES: u32 = 2;
/// A thousand tenants take minutes on two busy cores.
const TIMEOUT: Duration = Duration::from_secs(1_800);
/// How often tenants at rest are observed in the second part.
const RESYNC: Duration = Duration::from_secs(20);
/// As `engine.resync_interval` has it: checks in an hour.
const OBSERVATIONS_PER_HOUR: f64 = 2.0;
/// Checks that are counted.
const OBSERVATIONS: u32 = 3;
/// Lines with fewer calls than this for each tenant are summed up.
const SHOWN_MIN: f64 = 0.05;

/// Runs and prints it.
pub(crate) fn tables(bed: &Bed, tenants: usize, resting: usize) -> Result<()> {
    bed.in_world(&shared::options(TIME_SCALE, true, "")?, async |world| many(world, tenants).await)?;
    let often = format!("[engine]\nresync_interval = '{}s'\n", RESYNC.as_secs());
    bed.in_world(&shared::options(TIME_SCALE, true, &often)?, async |world| at_rest(world, resting).await)
}

async fn many(world: &mut World, tenants: usize) -> Result<()> {
    shared::host(world, NODES).await?;
    let cluster = Cluster::of(world)?;
    order::ready(world, shared::BARE_NAMESPACE, "first", 1, TIMEOUT, || {}).await?;
    let daemon = world.daemon().context("no daemon")?.pid();
    let before = Marks::now(world, &cluster).await?;
    let started = Instant::now();
    let mut memory = Memory::of(world)?;
    let idle = memory.daemon;
    let ready = order::ready(world, shared::BARE_NAMESPACE, "t", tenants, TIMEOUT, || memory.observe()).await?;
    let took_s = started.elapsed().as_secs_f64();
    ensure!(ready.len() == tenants, "{} of {tenants} tenants are READY", ready.len());
    let took = Sample::new(ready.iter().map(|tenant| tenant.took_ms / 1_000.0).collect());
    say(&format!("{tenants} tenants of level NAMESPACE without apps, ordered at once on one host cluster"));
    say("| all READY after | p50 | p95 | daemon RSS before | peak | after | plugin RSS |");
    say("|---|---|---|---|---|---|---|");
    let plugin = children(daemon).into_iter().map(resident_bytes).max().unwrap_or(0);
    say(&format!(
        "| {took_s:.0} s | {:.0} s | {:.0} s | {} | {} | {} | {} |",
        took.percentile(50),
        took.percentile(95),
        mib(idle),
        mib(memory.daemon),
        mib(resident_bytes(daemon)),
        mib(plugin)
    ));
    let changes = before.until_now(world, &cluster).await?;
    changes.report("calls for each tenant, create→READY", tenants);
    Ok(())
}

async fn at_rest(world: &mut World, tenants: usize) -> Result<()> {
    shared::host(world, NODES).await?;
    let cluster = Cluster::of(world)?;
    for (class, what) in [(shared::BARE_NAMESPACE, "without apps"), (shared::NAMESPACE, "with all apps")] {
        order::ready(world, class, "rest", tenants, TIMEOUT, || {}).await?;
        // The first observation may find something that was still settling.
        tokio::time::sleep(RESYNC * 2).await;
        let before = Marks::now(world, &cluster).await?;
        tokio::time::sleep(RESYNC * OBSERVATIONS).await;
        let changes = before.until_now(world, &cluster).await?;
        // Every observation of a tenant reads its zone once, and none at a host cluster, so that is how often they were inspected.
        let observations = changes.plugin.get("EnsureDnsZone").copied().unwrap_or(0);
        ensure!(observations > 0, "nothing was inspected within {:?}", RESYNC * OBSERVATIONS);
        let title = format!("calls for each observation of a tenant {what} that rests ({observations} observations)");
        changes.report(&title, observations);
        let ours: usize =
            [Who::Daemon, Who::DaemonAsDeployer, Who::Helm].into_iter().map(|who| changes.api.of(who)).sum();
        let an_hour = each(ours, observations) * OBSERVATIONS_PER_HOUR;
        say(&format!(
            "{an_hour:.0} calls of the API server an hour for each tenant, at {OBSERVATIONS_PER_HOUR:.0} observations an hour"
        ));
        order::remove(world, "rest", TIMEOUT).await?;
    }
    Ok(())
}

/// Where the counters stand.
struct Marks {
    audit_bytes: u64,
    journal_seq: i64,
    plugin: BTreeMap<String, usize>,
    requests: f64,
}

/// What was called since.
struct Changes {
    api: Counts,
    plugin: BTreeMap<String, usize>,
    cloud: BTreeMap<String, usize>,
    requests: f64,
}

impl Marks {
    async fn now(world: &World, cluster: &Cluster) -> Result<Self> {
        let health = world.simulator().control().get("health")?;
        Ok(Self {
            audit_bytes: std::fs::metadata(cluster.audit_log())?.len(),
            journal_seq: health["seq"].as_i64().context("the simulator reports no sequence number")?,
            plugin: plugin_calls(&world.metrics()?),
            requests: requests(&cluster.kubectl(&["get", "--raw", "/metrics"]).await?),
        })
    }

    async fn until_now(&self, world: &World, cluster: &Cluster) -> Result<Changes> {
        let mut cloud = BTreeMap::new();
        for entry in world.simulator().control().journal(self.journal_seq)? {
            if entry["origin"] == "call" {
                let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                *cloud.entry(format!("{} {}", text("service"), text("action"))).or_default() += 1;
            }
        }
        let mut plugin = plugin_calls(&world.metrics()?);
        for (method, count) in &mut plugin {
            *count -= self.plugin.get(method).copied().unwrap_or(0);
        }
        let requests = requests(&cluster.kubectl(&["get", "--raw", "/metrics"]).await?) - self.requests;
        Ok(Changes { api: Counts::read(&cluster.audit_log(), self.audit_bytes)?, plugin, cloud, requests })
    }
}

impl Changes {
    fn report(&self, title: &str, tenants: usize) {
        say(&format!("\n| {title} | calls |\n|---|---|"));
        for who in [Who::Daemon, Who::DaemonAsDeployer, Who::Helm, Who::Cluster] {
            say(&format!("| API server: {who} | {:.1} |", each(self.api.of(who), tenants)));
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let all = self.requests / tenants as f64;
        say(&format!("| API server: all by `apiserver_request_total` | {all:.1} |"));
        say(&format!("| plugin | {:.1} |", each(self.plugin.values().sum(), tenants)));
        say(&format!("| cloud | {:.1} |", each(self.cloud.values().sum(), tenants)));
        say("\n| by whom | call | for each |\n|---|---|---|");
        let mut rest = 0;
        let api = self.api.ours().into_iter().map(|(who, what, count)| (who.to_string(), what.to_owned(), count));
        let plugin = self.plugin.iter().map(|(method, count)| ("daemon, of the plugin".into(), method.clone(), *count));
        let cloud = self.cloud.iter().map(|(action, count)| ("plugin, of the cloud".into(), action.clone(), *count));
        for (who, what, count) in api.chain(plugin).chain(cloud) {
            if each(count, tenants) < SHOWN_MIN {
                rest += count;
            } else {
                say(&format!("| {who} | {what} | {:.2} |", each(count, tenants)));
            }
        }
        say(&format!("| all | what is rarer | {:.2} |\n", each(rest, tenants)));
    }
}

/// Calls of plugins by method, from the daemon's figures.
fn plugin_calls(metrics: &str) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("landlord_plugin_calls_total{")) {
        let method = line.split_once("method=\"").and_then(|(_, rest)| rest.split_once('"'));
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok());
        if let Some(((method, _), count)) = method.zip(count) {
            *calls.entry(method.to_owned()).or_default() += count;
        }
    }
    calls
}

/// The API server's own count of requests, whoever made them.
fn requests(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with("apiserver_request_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed() {
        let metrics = "landlord_plugin_calls_total{plugin=\"eks/a\",method=\"Validate\",outcome=\"ok\"} 3\n\
                       landlord_plugin_calls_total{plugin=\"eks/a\",method=\"Validate\",outcome=\"THROTTLED\"} 2\n\
                       landlord_plugin_starts_total{plugin=\"eks/a\"} 1\n";
        assert_eq!(plugin_calls(metrics), BTreeMap::from([("Validate".to_owned(), 5)]));
        let metrics =
            "apiserver_request_total{verb=\"GET\"} 1.5e+03\napiserver_request_total{verb=\"LIST\"} 2\nother 7\n";
        assert!((requests(metrics) - 1_502.0).abs() < 1e-9);
    }
}
