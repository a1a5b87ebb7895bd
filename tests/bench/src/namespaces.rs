//! Level NAMESPACE with all apps: create→READY beside kubectl and Helm that make the same objects on the same API server in
//! the same run, with as many writers at once. Pods are ready at once (kwok), so what is timed is everything else.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use landlord_test_harness::{World, process::children};

use crate::{
    Bed,
    cluster::Cluster,
    figures::{Sample, cpu_seconds, each},
    order,
    rivals::{self, Template},
    say, shared,
};

/// Fast enough that the cloud's part (a zone, records) is no wait.
const TIME_SCALE: f64 = 1.0 / 600.0;
/// Room for the pods of the most tenants.
const NODES: u32 = 8;
/// Far above what a busy machine takes.
const TIMEOUT: Duration = Duration::from_secs(1_200);

/// Runs and prints it.
pub(crate) fn table(bed: &Bed, tenants: &[usize], rounds: usize, explain: bool) -> Result<()> {
    bed.in_world(&shared::options(TIME_SCALE, false, "")?, async |world| run(world, tenants, rounds, explain).await)
}

async fn run(world: &mut World, tenants: &[usize], rounds: usize, explain: bool) -> Result<()> {
    shared::host(world, NODES).await?;
    let cluster = Cluster::of(world)?;
    // The first tenant brings what the host cluster needs once; it is the others' template and is not measured.
    let first = order::ready(world, shared::NAMESPACE, "first", 1, TIMEOUT, || {}).await?;
    let first = first.first().context("no tenant")?;
    let template = Template::of(&cluster, first, world.folder()).await?;
    say(
        "| tenants | what | p50 | p95 | max | p50 over kubectl's | and in order | p95 over kubectl's | and in order | processor time each |",
    );
    say("|---|---|---|---|---|---|---|---|---|---|");
    for count in tenants {
        let mut arms: [Arm; 4] = Default::default();
        let mut events = Vec::new();
        for round in 0..if *count == 1 { rounds } else { 1 } {
            let prefix = format!("t{count}-{round}-");
            let daemon = world.daemon().context("no daemon")?.pid();
            let before = landlord_cpu(daemon);
            let ready = order::ready(world, shared::NAMESPACE, &prefix, *count, TIMEOUT, || {}).await?;
            arms[0].add(ready.iter().map(|tenant| tenant.took_ms).collect(), landlord_cpu(daemon) - before);
            if explain && let Some(last) = ready.last() {
                events = world.cli().events(&last.name)?;
            }
            order::remove(world, &prefix, TIMEOUT).await?;
            let namespaces: Vec<String> = ready.into_iter().map(|tenant| tenant.namespace).collect();
            rivals::settled(&cluster, &namespaces).await?;
            kubectl(&cluster, &template, *count, false, &mut arms[1]).await?;
            kubectl(&cluster, &template, *count, true, &mut arms[2]).await?;
            helm(&cluster, &template, *count, &mut arms[3]).await?;
        }
        lines(*count, arms);
        order::explained(&events)?;
    }
    Ok(())
}

/// What one way of doing it took.
#[derive(Debug, Default)]
struct Arm {
    took_ms: Vec<f64>,
    cpu_s: f64,
}

impl Arm {
    fn add(&mut self, took_ms: Vec<f64>, cpu_s: f64) {
        self.took_ms.extend(took_ms);
        self.cpu_s += cpu_s;
    }
}

/// Of the daemon, the Helms that it ran, and its plugin.
fn landlord_cpu(daemon: u32) -> f64 {
    cpu_seconds(daemon) + children(daemon).into_iter().map(cpu_seconds).sum::<f64>()
}

async fn kubectl(cluster: &Cluster, template: &Template, count: usize, in_order: bool, arm: &mut Arm) -> Result<()> {
    let all: Vec<_> = (0..count).map(|_| template.fresh()).collect();
    let before = cpu_seconds(std::process::id());
    let each = |fresh| async move {
        let fresh: &rivals::Fresh<'_> = fresh;
        if in_order { fresh.kubectl_in_order().await } else { fresh.kubectl().await }
    };
    let took = try_join_all(all.iter().map(each)).await?;
    arm.add(took, cpu_seconds(std::process::id()) - before);
    try_join_all(all.iter().take(1).map(rivals::Fresh::check)).await?;
    remove(cluster, &all).await
}

async fn helm(cluster: &Cluster, template: &Template, count: usize, arm: &mut Arm) -> Result<()> {
    let all: Vec<_> = (0..count).map(|_| template.fresh()).collect();
    try_join_all(all.iter().map(rivals::Fresh::isolate)).await?;
    let before = cpu_seconds(std::process::id());
    let took = try_join_all(all.iter().map(rivals::Fresh::helm)).await?;
    arm.add(took, cpu_seconds(std::process::id()) - before);
    try_join_all(all.iter().take(1).map(rivals::Fresh::check)).await?;
    remove(cluster, &all).await
}

async fn remove(cluster: &Cluster, all: &[rivals::Fresh<'_>]) -> Result<()> {
    let names: Vec<String> = all.iter().map(|fresh| fresh.namespace.clone()).collect();
    rivals::remove(cluster, &names).await
}

fn lines(count: usize, arms: [Arm; 4]) {
    let arms = arms.map(|arm| (arm.cpu_s / each(arm.took_ms.len(), 1), Sample::new(arm.took_ms)));
    let whats = [
        "landlord, create→READY",
        "kubectl apply, rollout status",
        "kubectl in the stack's order",
        "helm upgrade --install --wait, charts only",
    ];
    let [_, (_, at_once), (_, in_order), _] = &arms;
    for (what, (cpu_s, sample)) in whats.into_iter().zip(&arms) {
        let [p50, p95] = [50, 95].map(|percent| sample.percentile(percent));
        let over = |rival: &Sample, percent: usize| sample.percentile(percent) / rival.percentile(percent);
        say(&format!(
            "| {count} | {what} | {:.2} s | {:.2} s | {:.2} s | {:.2} | {:.2} | {:.2} | {:.2} | {cpu_s:.2} s |",
            p50 / 1_000.0,
            p95 / 1_000.0,
            sample.max() / 1_000.0,
            over(at_once, 50),
            over(in_order, 50),
            over(at_once, 95),
            over(in_order, 95)
        ));
    }
}
