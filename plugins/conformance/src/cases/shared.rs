//! Tenants in a shared cluster: their node pools are in it, carry their markers, and go; nothing else there is touched.

use landlord_provider_api::{ErrorKind, TEARDOWN, v1::ResourceKind as Kind, v1::progress::Outcome};

use crate::{
    tenant::{Stage, Tenant},
    world::{Counts, Observation, Step, Stop, World, fail, failed, is_retried, word},
};

/// Stages of the host that a tenant in it has none of.
const OF_HOST: [Stage; 4] = [Stage::Network, Stage::Cluster, Stage::Addons, Stage::Identity];
/// What of a tenant in a shared cluster is removed by the kind's own call.
const OWN: [Kind; 3] = [Kind::NodePool, Kind::DnsZone, Kind::DnsRecords];

pub(crate) async fn shared_cluster(world: &World) -> Step<String> {
    if !world.offers(Stage::NodePool) {
        return Err(Stop::Skipped("the plugin makes no node pools (capability node-pools)".into()));
    }
    let mut host = world.tenant();
    let of_host: Vec<Stage> =
        [Stage::Network, Stage::Cluster, Stage::NodePool].into_iter().filter(|stage| world.offers(*stage)).collect();
    for stage in &of_host {
        world.until_ready(&mut host, &[*stage]).await?;
    }
    let before = world.made(&host).await?;
    let (mut one, mut two) = (world.guest(&host)?, world.guest(&host)?);
    let (built_one, built_two) =
        tokio::join!(world.until_ready(&mut one, &[Stage::NodePool]), world.until_ready(&mut two, &[Stage::NodePool]));
    built_one?;
    built_two?;
    let first = pools(world, &one).await?;
    refused(world, &one).await?;
    adopted(world, &mut one).await?;
    kept(world, &one).await?;
    keeps(world, &host, &before).await?;
    world.take_down(&one).await?;
    world.expect_counts(&two, &first, "of the other tenant after one was deleted").await?;
    world.take_down(&two).await?;
    world.expect_counts(&host, &before, "of the host after its tenants went").await?;
    let mark = world.mark();
    for stage in &of_host {
        if let Observation::Wait { why, .. } = world.ensure(&mut host, *stage).await? {
            fail!("{} of the host is not ready any more: {why}", stage.word());
        }
    }
    unchanged(world, mark, "the host had to be mended")?;
    world.take_down(&host).await?;
    Ok(format!("2 tenants on nodes of their own in one cluster, {} objects each", first.values().sum::<usize>()))
}

/// The tenant's objects, all of which are there for its pool.
async fn pools(world: &World, tenant: &Tenant) -> Step<Counts> {
    let found = world.made(tenant).await?;
    let plugin = world.plugin()?;
    let observation = tenant.observe(&plugin, Kind::NodePool).await;
    let observation =
        observation.map_err(|error| failed(format!("observe node-pool in a shared cluster failed: {error}")))?;
    let outcome = observation.progress.and_then(|progress| progress.outcome);
    if !matches!(outcome, Some(Outcome::Ready(_))) || observation.objects.is_empty() {
        fail!("observe node-pool in a shared cluster is {outcome:?} with {} objects", observation.objects.len());
    }
    Ok(found)
}

/// Nothing of the host's is missing. Machines in its cluster may count as its own, whoever's they are.
async fn keeps(world: &World, host: &Tenant, before: &Counts) -> Step {
    let now = world.settled(host).await?;
    let missing: Vec<&str> = before
        .iter()
        .filter(|(what, count)| now.get(*what).is_none_or(|there| there < count))
        .map(|(what, _)| what.as_str())
        .collect();
    if missing.is_empty() { Ok(()) } else { fail!("the host has lost {} since tenants came", missing.join(", ")) }
}

/// What the tenant has none of is not made for it.
async fn refused(world: &World, tenant: &Tenant) -> Step {
    let before = world.settled(tenant).await?;
    let plugin = world.plugin()?;
    let mark = world.mark();
    for stage in OF_HOST.into_iter().filter(|stage| world.offers(*stage)) {
        match tenant.ensure(&plugin, stage).await {
            Err(error) if error.kind == ErrorKind::Invalid || is_retried(error.kind) => {
                world.note(&format!("ensure {} in a shared cluster", stage.word()), &error)?;
            }
            Err(error) => fail!("ensure {} in a shared cluster: {error} instead of INVALID", stage.word()),
            Ok(_) => {}
        }
    }
    unchanged(world, mark, "what a tenant in a shared cluster has none of is made or changed")?;
    world.expect_counts(tenant, &before, "of a tenant in a shared cluster").await
}

async fn adopted(world: &World, tenant: &mut Tenant) -> Step {
    tenant.checkpoints.clear();
    world.session.fresh().map_err(failed)?;
    let mark = world.mark();
    world.until_ready(tenant, &[Stage::NodePool]).await?;
    unchanged(world, mark, "another process changes a pool that is ready")
}

/// The host's is Gone for the tenant, at once.
async fn kept(world: &World, tenant: &Tenant) -> Step {
    let plugin = world.plugin()?;
    let mark = world.mark();
    for kind in TEARDOWN.into_iter().filter(|kind| !OWN.contains(kind)) {
        match tenant.delete(&plugin, kind).await {
            Ok(progress) if matches!(progress.outcome, Some(Outcome::Gone(_))) && progress.removed.is_empty() => {}
            other => fail!("delete {} of a tenant in a shared cluster: {other:?} instead of Gone", word(kind)),
        }
    }
    unchanged(world, mark, "a tenant's deletes change the shared cluster")
}

fn unchanged(world: &World, mark: crate::world::Mark, what: &str) -> Step {
    let changes = world.changes(mark);
    if changes.is_empty() { Ok(()) } else { fail!("{what}: {}", changes.join(", ")) }
}
