//! Level NODE: create→READY over the critical path of the cloud's node pools. Without apps: the pods would be ready at
//! once here, and what they add is measured at the level NAMESPACE.

use anyhow::Result;
use landlord_test_harness::{World, cloud};

use crate::{
    Bed,
    figures::mib,
    lifecycle::{Memory, Ratios, ratios, timeout},
    order, say, shared,
};

/// The host cluster's own; tenants bring theirs.
const HOST_NODES: u32 = 1;

/// Runs and prints it.
pub(crate) fn table(bed: &Bed, tenants: &[usize], time_scale: f64, explain: bool) -> Result<()> {
    say(&format!("eks, 1 simulated second in {time_scale:.3} s"));
    say("| tenants in flight | ratio p50 | ratio p95 | ratio max | critical path p50 | daemon RSS | plugin RSS |");
    say("|---|---|---|---|---|---|---|");
    for count in tenants {
        let options = shared::options(time_scale, false, "")?;
        say(&bed.in_world(&options, async |world| row(world, *count, time_scale, explain).await)?);
    }
    Ok(())
}

async fn row(world: &mut World, tenants: usize, time_scale: f64, explain: bool) -> Result<String> {
    shared::host(world, HOST_NODES).await?;
    // The first tenant brings the host cluster's policies along, once for all.
    order::ready(world, shared::BARE_NODE, "first", 1, timeout(time_scale), || {}).await?;
    let mut memory = Memory::of(world)?;
    let ready = order::ready(world, shared::BARE_NODE, "t", tenants, timeout(time_scale), || memory.observe()).await?;
    let Ratios { over, critical_s, slowest } = ratios(world, &cloud::EKS, &ready)?;
    if explain {
        order::explained(&world.cli().events(&slowest)?)?;
    }
    Ok(format!(
        "| {tenants} | {:.3} | {:.3} | {:.3} | {:.1} s | {} | {} |",
        over.percentile(50),
        over.percentile(95),
        over.max(),
        critical_s.percentile(50),
        mib(memory.daemon),
        mib(memory.plugin)
    ))
}
