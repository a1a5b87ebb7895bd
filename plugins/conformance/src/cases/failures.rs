//! Objects that end in error after the cloud took the order for them, and objects that are there twice.

use std::time::{Duration, Instant};

use landlord_provider_api::{ProviderError, v1::progress::Outcome};

use crate::{
    config::{Duplicate, Failure},
    hook,
    offered::stage_named,
    tenant::{Stage, Tenant},
    world::{Counts, ERROR_PAUSE, Observation, Step, Stop, World, fail, failed, is_retried},
};

/// The error of a failed object comes again while the cloud keeps failing: its name is freed for each attempt.
const TIMES_SEEN: usize = 2;

pub(crate) async fn failed_objects(world: &World) -> Step<String> {
    let entries = &world.config.failure;
    if entries.is_empty() {
        return Err(Stop::Skipped(
            "the configuration says in no [[failure]] how an object of this cloud ends in error".into(),
        ));
    }
    let reference = world.reference().await?.clone();
    let mut stages = Vec::new();
    for entry in entries {
        let stage = stage_named(&entry.stage, "failure.stage")?;
        let mut tenant = world.tenant();
        for wave in world.waves().iter().take_while(|wave| !wave.contains(&stage)) {
            world.until_ready(&mut tenant, wave).await?;
        }
        arm(world, entry, &tenant, stage).await?;
        for _ in 0..TIMES_SEEN {
            let error = received(world, entry, &mut tenant, stage).await?;
            world.note(&format!("ensure {} of an object that fails", stage.word()), &error)?;
        }
        if let Some(disarm) = &entry.disarm {
            let (disarmed, reported) = hook::carry_out(world, disarm, &tenant).await?;
            if !disarmed {
                fail!("the failure of {} can't be ended: {reported}", stage.word());
            }
        }
        // A retry: by a process that knows nothing of it.
        world.session.fresh().map_err(failed)?;
        tenant.checkpoints.clear();
        eventually(world, &mut tenant, stage).await?;
        world.build(&mut tenant).await?;
        world.expect_counts(&tenant, &reference, "after objects that failed were recreated").await?;
        world.take_down(&tenant).await?;
        stages.push(stage.word());
    }
    Ok(format!("{} failed and were recreated", stages.join(", ")))
}

async fn arm(world: &World, entry: &Failure, tenant: &Tenant, stage: Stage) -> Step {
    let (armed, reported) = hook::carry_out(world, &entry.arm, tenant).await?;
    if armed { Ok(()) } else { fail!("{} can't be made to fail: {reported}", stage.word()) }
}

/// Repeats until the failure is returned, with its cause.
async fn received(world: &World, entry: &Failure, tenant: &mut Tenant, stage: Stage) -> Step<ProviderError> {
    let deadline = Instant::now() + world.config.stage_timeout();
    let what = format!("ensure {} of an object that ends in error", stage.word());
    loop {
        let plugin = world.plugin()?;
        let (pause, why) = match tenant.ensure(&plugin, stage).await {
            Err(error) if is_reported(&error, &entry.cause) => return Ok(error),
            Err(error) if is_retried(error.kind) => (error.retry_after.unwrap_or(ERROR_PAUSE), error.to_string()),
            Err(error) => fail!("{what}: {error}, without the cloud's cause {:?}", entry.cause),
            Ok((progress, _)) => match progress.outcome {
                Some(Outcome::Pending(pending)) => {
                    tenant.checkpoints.insert(stage, pending.checkpoint);
                    let pause = pending.poll_after.and_then(|after| Duration::try_from(after).ok());
                    (pause.unwrap_or(ERROR_PAUSE), pending.detail)
                }
                other => fail!("{what} is {other:?}, and its failure was never reported"),
            },
        };
        if Instant::now() > deadline {
            fail!(
                "{what} is never reported as an error with the cloud's cause {:?}; last received: {why}",
                entry.cause
            );
        }
        tokio::time::sleep(world.config.pause(pause)).await;
    }
}

fn is_reported(error: &ProviderError, cause: &str) -> bool {
    error.message.contains(cause) || error.code.contains(cause)
}

/// Errors of attempts that were under way are waited for.
async fn eventually(world: &World, tenant: &mut Tenant, stage: Stage) -> Step {
    let deadline = Instant::now() + world.config.stage_timeout();
    loop {
        let plugin = world.plugin()?;
        let why = match world.ensure_with(&plugin, tenant, stage).await {
            Ok(Observation::Done) => return Ok(()),
            Ok(Observation::Wait { why, .. }) | Err(Stop::Failed(why)) => why,
            Err(stop) => return Err(stop),
        };
        if Instant::now() > deadline {
            fail!("a retry of {} after its cause was mended never gets ready; last received: {why}", stage.word());
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
}

pub(crate) async fn duplicates(world: &World) -> Step<String> {
    let entries = &world.config.duplicate;
    if entries.is_empty() {
        return Err(Stop::Skipped("the configuration says in no [[duplicate]] how an object is there twice".into()));
    }
    let reference = world.reference().await?.clone();
    for entry in entries {
        let stage = stage_named(&entry.stage, "duplicate.stage")?;
        converges(world, entry, stage, &reference).await?;
        goes(world, entry, stage).await?;
    }
    Ok(format!("{} duplicates became one, and went with their tenant", entries.len()))
}

async fn plant(world: &World, entry: &Duplicate, tenant: &Tenant, stage: Stage) -> Step {
    let (planted, reported) = hook::carry_out(world, &entry.plant, tenant).await?;
    if planted { Ok(()) } else { fail!("a second {} can't be made: {reported}", stage.word()) }
}

/// Exactly one is left when the stage is requested again.
async fn converges(world: &World, entry: &Duplicate, stage: Stage, reference: &Counts) -> Step {
    let mut tenant = world.tenant();
    world.build(&mut tenant).await?;
    plant(world, entry, &tenant, stage).await?;
    let deadline = Instant::now() + world.config.stage_timeout();
    loop {
        world.until_ready(&mut tenant, &[stage]).await?;
        let found = world.counts(&tenant).await?;
        if found == *reference {
            break;
        }
        if Instant::now() > deadline {
            let more = crate::owned::difference(reference, &found);
            fail!("ensure {} leaves an object beside its twin: {more}", stage.word());
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
    world.take_down(&tenant).await?;
    Ok(())
}

/// Both go with the tenant.
async fn goes(world: &World, entry: &Duplicate, stage: Stage) -> Step {
    let mut tenant = world.tenant();
    world.build(&mut tenant).await?;
    plant(world, entry, &tenant, stage).await?;
    world.take_down(&tenant).await?;
    Ok(())
}
