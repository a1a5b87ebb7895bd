//! The same call again: by the same process, and by one that remembers nothing.

use landlord_provider_api::{TEARDOWN, v1::progress::Outcome};

use crate::{
    tenant::{Made, Tenant},
    world::{Observation, Step, World, fail, failed, word},
};

/// Repetitions of each call.
const REPEATS: usize = 2;

pub(crate) async fn idempotency(world: &World) -> Step<String> {
    let mut tenant = world.tenant();
    world.build(&mut tenant).await?;
    world.made(&tenant).await?;
    let before = tenant.made.clone();
    let stages = world.stages();
    for stage in stages.iter().copied() {
        let mark = world.mark();
        for _ in 0..REPEATS {
            if let Observation::Wait { why, .. } = world.ensure(&mut tenant, stage).await? {
                fail!("ensure {} was ready, and is not when requested again: {why}", stage.word());
            }
        }
        let changes = world.changes(mark);
        if !changes.is_empty() {
            fail!("ensure {} of what is ready makes changing calls: {}", stage.word(), changes.join(", "));
        }
    }
    same(&before, &tenant.made)?;
    world.take_down(&tenant).await?;
    let plugin = world.plugin()?;
    for kind in TEARDOWN {
        let mark = world.mark();
        for _ in 0..REPEATS {
            match tenant.delete(&plugin, kind).await {
                Ok(progress) if matches!(progress.outcome, Some(Outcome::Gone(_))) && progress.removed.is_empty() => {}
                other => fail!("delete {} of what is gone: {other:?}", word(kind)),
            }
        }
        let changes = world.changes(mark);
        if !changes.is_empty() {
            fail!("delete {} of what is gone makes changing calls: {}", word(kind), changes.join(", "));
        }
    }
    Ok(format!("{} stages, {} deletes, {REPEATS} times each", stages.len(), TEARDOWN.len()))
}

fn same(before: &Made, after: &Made) -> Step {
    let (before, after) = (before.ids(), after.ids());
    if before == after { Ok(()) } else { fail!("the same tenant has other objects: {before:?}, then {after:?}") }
}

pub(crate) async fn adopt(world: &World) -> Step<String> {
    let reference = world.reference().await?.clone();
    let mut tenant = world.tenant();
    let mut processes = 0;
    for stage in world.stages() {
        // A fresh process for the first call, and another one for what the first began.
        for _ in 0..2 {
            forget(world, &mut tenant)?;
            processes += 1;
            if let Observation::Done = world.ensure(&mut tenant, stage).await? {
                break;
            }
        }
        world.until_ready(&mut tenant, &[stage]).await?;
    }
    world.expect_counts(&tenant, &reference, "after another process went on at every stage").await?;
    let mark = world.mark();
    let mut again = world.forgotten(&tenant);
    forget(world, &mut again)?;
    for stage in world.stages() {
        world.until_ready(&mut again, &[stage]).await?;
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("a process that finds everything ready makes changing calls: {}", changes.join(", "));
    }
    same(&tenant.made, &again.made)?;
    world.take_down(&again).await?;
    Ok(format!("{processes} processes, none with a checkpoint"))
}

fn forget(world: &World, tenant: &mut Tenant) -> Step {
    tenant.checkpoints.clear();
    world.session.fresh().map(drop).map_err(failed)
}
