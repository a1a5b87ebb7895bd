//! Foreign objects under names that are ours: found, reported, never touched.

use std::time::{Duration, Instant};

use landlord_provider_api::{ErrorKind, v1::progress::Outcome};

use crate::{
    config::{Hook, NameTaken},
    hook,
    offered::stage_named,
    tenant::{Stage, Tenant},
    world::{Observation, Step, Stop, World, fail, is_retried},
};

pub(crate) async fn name_taken(world: &World) -> Step<String> {
    let entries = &world.config.name_taken;
    if entries.is_empty() {
        return Err(Stop::Skipped(
            "the configuration says in no [[name_taken]] how somebody else makes an object".into(),
        ));
    }
    for entry in entries {
        one(world, entry, stage_named(&entry.stage, "name_taken.stage")?).await?;
    }
    Ok(format!("{} foreign objects", entries.len()))
}

async fn one(world: &World, entry: &NameTaken, stage: Stage) -> Step {
    let mut tenant = world.tenant();
    for wave in world.waves().iter().take_while(|wave| !wave.contains(&stage)) {
        world.until_ready(&mut tenant, wave).await?;
    }
    let (planted, reported) = hook::carry_out(world, &entry.plant, &tenant).await?;
    if !planted {
        fail!("the foreign {} can't be made: {reported}", stage.word());
    }
    let judged = judge(world, entry, &mut tenant, stage).await;
    if let Some(remove) = &entry.remove {
        let removed = cleared(world, remove, &tenant, stage).await;
        if judged.is_ok() {
            removed?;
        }
    }
    judged?;
    world.take_down(&tenant).await?;
    Ok(())
}

/// A cloud may not let go of what it is still making.
async fn cleared(world: &World, remove: &Hook, tenant: &Tenant, stage: Stage) -> Step {
    let deadline = Instant::now() + world.config.stage_timeout();
    loop {
        let (removed, reported) = hook::carry_out(world, remove, tenant).await?;
        if removed {
            return Ok(());
        }
        if Instant::now() > deadline {
            fail!("the foreign {} can't be removed: {reported}", stage.word());
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
}

async fn judge(world: &World, entry: &NameTaken, tenant: &mut Tenant, stage: Stage) -> Step {
    there(world, entry, tenant, "as soon as it was made").await?;
    refused(world, tenant, stage).await?;
    there(world, entry, tenant, &format!("after ensure {}", stage.word())).await?;
    let removed = world.until_gone(tenant, stage.kind()).await?;
    if !removed.is_empty() {
        fail!("delete {} of a foreign object removed {removed:?}", stage.word());
    }
    there(world, entry, tenant, &format!("after delete {}", stage.word())).await?;
    held(world, tenant, stage).await?;
    there(world, entry, tenant, &format!("after a recorded delete {}", stage.word())).await
}

/// What the daemon's records call the tenant's is never gone while something responds under its name.
async fn held(world: &World, tenant: &Tenant, stage: Stage) -> Step {
    let deadline = Instant::now() + world.config.stage_timeout();
    let what = format!("a recorded delete {} of what lost its markers", stage.word());
    loop {
        let plugin = world.plugin()?;
        let why = match tenant.delete_recorded(&plugin, stage.kind()).await {
            Err(error) if error.kind == ErrorKind::NameTaken => {
                world.note(&what, &error)?;
                if error.remedy.trim().is_empty() {
                    fail!("{what} is NAME_TAKEN without a remedy");
                }
                return Ok(());
            }
            Err(error) if is_retried(error.kind) => error.to_string(),
            Err(error) => fail!("{what}: {error} instead of NAME_TAKEN"),
            Ok(progress) if matches!(progress.outcome, Some(Outcome::Pending(_))) => "it is pending".to_owned(),
            Ok(_) => fail!("{what} is called gone, and is there"),
        };
        if Instant::now() > deadline {
            fail!("{what} is never NAME_TAKEN; last received: {why}");
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
}

async fn refused(world: &World, tenant: &mut Tenant, stage: Stage) -> Step {
    let deadline = Instant::now() + world.config.stage_timeout();
    let what = format!("ensure {} under a name that somebody else has", stage.word());
    loop {
        let plugin = world.plugin()?;
        let observation = match tenant.ensure(&plugin, stage).await {
            Err(error) if error.kind == ErrorKind::NameTaken => {
                world.note(&what, &error)?;
                if error.remedy.trim().is_empty() {
                    fail!("{what} is NAME_TAKEN without a remedy");
                }
                return Ok(());
            }
            Err(error) if is_retried(error.kind) => error.to_string(),
            Err(error) => fail!("{what}: {error} instead of NAME_TAKEN"),
            Ok(_) => match world.ensure(tenant, stage).await {
                Ok(Observation::Done) => fail!("{what} is ready: it took a foreign object for its own"),
                Ok(Observation::Wait { why, .. }) => why,
                // The next turn reports the error as it is.
                Err(_) => String::new(),
            },
        };
        if Instant::now() > deadline {
            fail!("{what} is never NAME_TAKEN; last received: {observation}");
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
}

async fn there(world: &World, entry: &NameTaken, tenant: &Tenant, when: &str) -> Step {
    let (there, reported) = hook::carry_out(world, &entry.check, tenant).await?;
    if there { Ok(()) } else { fail!("the foreign {} is not there {when}: {reported}", entry.stage) }
}
