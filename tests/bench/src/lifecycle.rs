//! create→READY over the critical path of the cloud's own latencies, as the simulator gives it.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_proto::v1::{
    GetTenantRequest, ListTenantsRequest, Tenant, tenant::State, tenant_service_client::TenantServiceClient,
};
use landlord_test_harness::{Cloud, World, client, process::children};
use serde_json::json;
use tonic::transport::Channel;

use crate::requests::create;

/// The least, with room for a busy machine.
const PATIENCE_MIN: Duration = Duration::from_secs(600);
/// In simulated time: the slowest of the heavy tails, and the account's own rates with 1,000 tenants.
const PATIENCE: Duration = Duration::from_hours(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The account's quotas that many tenants would meet; what is measured is the daemon.
const QUOTAS: [&str; 12] = [
    "vpcs",
    "eips",
    "internet-gateways",
    "nat-gateways-per-az",
    "security-groups",
    "clusters",
    "launch-templates",
    "instances",
    "hosted-zones",
    "stacks",
    "roles",
    "load-balancers",
];

type Client = TenantServiceClient<Channel>;

/// One line of the table.
pub(crate) fn row(
    world: &mut World,
    cloud: &Cloud,
    runtime: &tokio::runtime::Runtime,
    tenants: usize,
    time_scale: f64,
) -> Result<String> {
    let limits: serde_json::Map<String, serde_json::Value> =
        QUOTAS.into_iter().map(|quota| (quota.to_owned(), json!(1_000_000))).collect();
    world.simulator().control().post("quotas", &json!({"account": cloud.account, "limits": limits}))?;
    let daemon = world.daemon().context("no daemon")?.pid();
    let (ready, daemon_kib, plugin_kib) =
        runtime.block_on(run(world, cloud, daemon, tenants, PATIENCE.mul_f64(time_scale).max(PATIENCE_MIN)))?;
    let paths =
        world.simulator().control().get(&format!("critical-path?account={}&tag=landlord-tenant-uid", cloud.account))?;
    let mut ratios = Vec::new();
    let mut critical = Vec::new();
    for (uid, took_ms) in ready {
        let path_ms = paths[&uid]["create_ms"].as_f64().context("the simulator knows no critical path")?;
        ratios.push(took_ms / path_ms);
        critical.push(path_ms / 1_000.0);
    }
    ratios.sort_by(f64::total_cmp);
    critical.sort_by(f64::total_cmp);
    let middle = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    Ok(format!(
        "| {tenants} | {:.3} | {:.3} | {:.1} s | {} MiB | {} MiB |",
        middle(&ratios),
        ratios.last().copied().unwrap_or(f64::NAN),
        middle(&critical),
        daemon_kib / 1024,
        plugin_kib / 1024
    ))
}

async fn run(
    world: &World,
    cloud: &Cloud,
    daemon: u32,
    tenants: usize,
    patience: Duration,
) -> Result<(Vec<(String, f64)>, u64, u64)> {
    let mut client = Client::new(client::connect(&world.socket()).await?);
    for index in 0..tenants {
        client.create_tenant(create(cloud, &format!("t{index}"), false)).await?;
    }
    let deadline = Instant::now() + patience;
    let (mut daemon_kib, mut plugin_kib) = (0, 0);
    loop {
        daemon_kib = daemon_kib.max(resident_kib(daemon));
        plugin_kib = plugin_kib.max(children(daemon).into_iter().map(resident_kib).max().unwrap_or(0));
        let request =
            ListTenantsRequest { parent: "customers/-".into(), page_size: 1_000, ..ListTenantsRequest::default() };
        let all = client.list_tenants(request).await?.into_inner().tenants;
        if let Some(failed) = all.iter().find(|tenant| tenant.state() == State::Failed) {
            bail!("{} failed: {:?}", failed.name, failed.conditions);
        }
        if all.iter().all(|tenant| tenant.state() == State::Ready) {
            break;
        }
        if Instant::now() > deadline {
            bail!("not all of {tenants} tenants are READY after {patience:?}");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let mut ready = Vec::new();
    for index in 0..tenants {
        let name = format!("customers/bench/tenants/t{index}");
        let tenant = client.get_tenant(GetTenantRequest { name }).await?.into_inner();
        ready.push((tenant.uid.clone(), took_ms(&tenant)?));
    }
    Ok((ready, daemon_kib, plugin_kib))
}

/// From its acceptance to its Ready condition, by the daemon's clock.
fn took_ms(tenant: &Tenant) -> Result<f64> {
    let millis = |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000);
    let ready = tenant.conditions.iter().find(|condition| condition.r#type == "Ready");
    let ready = ready.and_then(|condition| condition.last_transition_time.as_ref()).map(millis);
    let accepted = tenant.create_time.as_ref().map(millis);
    let took = ready.zip(accepted).map(|(ready, accepted)| ready - accepted).context("no times")?;
    #[expect(clippy::cast_precision_loss, reason = "minutes in milliseconds")]
    Ok(took as f64)
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
