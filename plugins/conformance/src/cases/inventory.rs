//! What list_owned and observe report, compared with what was made.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use landlord_plugin_host::Plugin;
use landlord_provider_api::v1::{self, progress::Outcome};

use crate::{
    owned::{SETTLE_PAUSE, count, difference},
    tenant::{Stage, Tenant},
    world::{Counts, Step, World, fail, failed},
};

pub(crate) async fn inventory(world: &World) -> Step<String> {
    let mut tenant = world.tenant();
    let mut seen = BTreeMap::new();
    let stages = world.stages();
    let shown = [Stage::Network, Stage::DnsZone, Stage::Cluster, Stage::NodePool];
    for stage in stages.iter().copied() {
        world.until_ready(&mut tenant, &[stage]).await?;
        // A cloud may make the first pool together with the cluster.
        let since = if stage == Stage::NodePool { Stage::Cluster } else { stage };
        let before = stages.iter().rev().find(|other| **other < since).and_then(|other| seen.get(other));
        let now = if shown.contains(&stage) {
            grown(world, &tenant, stage, before).await?
        } else {
            world.counts(&tenant).await?
        };
        seen.insert(stage, now);
    }
    let objects = world.owned(&tenant.scope).await?;
    each(&objects, &tenant)?;
    same_for_all(world, &tenant).await?;
    let other = v1::Scope { installation: format!("{}-other", tenant.scope.installation), ..tenant.scope.clone() };
    let foreign = world.owned(&other).await?;
    if !foreign.is_empty() {
        fail!("list_owned shows another installation {} of our objects", foreign.len());
    }
    world.take_down(&tenant).await?;
    Ok(format!("{} objects", objects.len()))
}

/// The inventory once it shows what a stage made. Lists of clouds may lag.
async fn grown(world: &World, tenant: &Tenant, stage: Stage, before: Option<&Counts>) -> Step<Counts> {
    let deadline = Instant::now() + Duration::from_millis(world.config.settle_ms);
    loop {
        let now = world.counts(tenant).await?;
        if !now.is_empty() && Some(&now) != before {
            return Ok(now);
        }
        if Instant::now() >= deadline {
            fail!("{} is ready and list_owned shows nothing new that carries a role", stage.word());
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// The installation's inventory has of a tenant what its own has. Lists of clouds may lag.
async fn same_for_all(world: &World, tenant: &Tenant) -> Step {
    let all = v1::Scope { tenant_uid: String::new(), ..tenant.scope.clone() };
    let deadline = Instant::now() + Duration::from_millis(world.config.settle_ms);
    loop {
        let marked: Vec<_> = world.owned(&tenant.scope).await?;
        let ours: Vec<_> = world.owned(&all).await?;
        let ours: Vec<_> = ours.into_iter().filter(|object| object.tenant_uid == tenant.scope.tenant_uid).collect();
        let (ours, marked) = (count(&ours, tenant), count(&marked, tenant));
        if ours == marked {
            return Ok(());
        }
        if Instant::now() >= deadline {
            fail!("list_owned of the installation: {}", difference(&marked, &ours));
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

fn each(objects: &[v1::OwnedObject], tenant: &Tenant) -> Step {
    let mut ids = BTreeSet::new();
    for object in objects {
        let (kind, id) = (&object.r#type, &object.id);
        if kind.is_empty() || id.is_empty() {
            fail!("an object of list_owned lacks type or id: {object:?}");
        }
        if !ids.insert((kind, id)) {
            fail!("list_owned shows {kind} {id} twice");
        }
        if !object.tenant_uid.is_empty() && object.tenant_uid != tenant.scope.tenant_uid {
            fail!("list_owned of one tenant shows {kind} {id} of the tenant {}", object.tenant_uid);
        }
    }
    Ok(())
}

pub(crate) async fn observe(world: &World) -> Step<String> {
    let mut tenant = world.tenant();
    let plugin = world.plugin()?;
    let stages = world.stages();
    let mark = world.mark();
    for stage in stages.iter().copied() {
        if !matches!(observed(&plugin, &tenant, stage).await?, (Outcome::Gone(_), _)) {
            fail!("observe {} of a tenant that never was is not Gone", stage.word());
        }
    }
    unchanged(world, mark)?;
    world.build(&mut tenant).await?;
    let mark = world.mark();
    for stage in stages.iter().copied() {
        match observed(&plugin, &tenant, stage).await? {
            (Outcome::Ready(_), objects) if !objects.is_empty() => {
                if stage == Stage::Addons {
                    shown(world, &tenant, &objects).await?;
                }
            }
            (Outcome::Ready(_), _) => fail!("observe {} is Ready and names no object", stage.word()),
            (other, _) => fail!("observe {} of a ready tenant is {other:?}", stage.word()),
        }
    }
    unchanged(world, mark)?;
    world.take_down(&tenant).await?;
    let mark = world.mark();
    for stage in stages.iter().copied() {
        if !matches!(observed(&plugin, &tenant, stage).await?, (Outcome::Gone(_), _)) {
            fail!("observe {} of a deleted tenant is not Gone", stage.word());
        }
    }
    unchanged(world, mark)?;
    Ok(format!("{} kinds, before, during and after", stages.len()))
}

/// What is built into another object is shown as that one: one that there is. Lists of clouds may lag.
async fn shown(world: &World, tenant: &Tenant, objects: &[v1::OwnedObject]) -> Step {
    let deadline = Instant::now() + Duration::from_millis(world.config.settle_ms);
    loop {
        let owned = world.owned(&tenant.scope).await?;
        let known = |object: &v1::OwnedObject| {
            owned.iter().any(|other| other.r#type == object.r#type && other.id.eq_ignore_ascii_case(&object.id))
        };
        let Some(object) = objects.iter().find(|object| !known(object)) else { return Ok(()) };
        if Instant::now() >= deadline {
            fail!("observe addons names {} {}, which list_owned does not show", object.r#type, object.id);
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

async fn observed(plugin: &Plugin, tenant: &Tenant, stage: Stage) -> Step<(Outcome, Vec<v1::OwnedObject>)> {
    let response = tenant.observe(plugin, stage.kind()).await;
    let response = response.map_err(|error| failed(format!("observe {} failed: {error}", stage.word())))?;
    match response.progress.and_then(|progress| progress.outcome) {
        Some(outcome) => Ok((outcome, response.objects)),
        None => fail!("observe {} reports no outcome", stage.word()),
    }
}

fn unchanged(world: &World, mark: crate::world::Mark) -> Step {
    let changes = world.changes(mark);
    if changes.is_empty() { Ok(()) } else { fail!("observe makes changing calls: {}", changes.join(", ")) }
}
