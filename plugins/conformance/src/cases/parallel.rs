//! Calls at the same moment: for one tenant from two processes, and for two tenants.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use landlord_plugin_host::Plugin;
use landlord_provider_api::{
    TEARDOWN,
    v1::{ResourceKind as Kind, progress::Outcome},
};

use crate::{
    fault::{Fault, Rule},
    owned::difference,
    tenant::{Stage, Tenant},
    world::{Observation, Step, World, fail, failed, is_retried, word},
};

/// Calls at once.
const AT_ONCE: usize = 8;
/// Each outside call takes this much longer, so that calls overlap that would otherwise follow one another.
const OVERLAP: Duration = Duration::from_millis(15);

pub(crate) async fn concurrency(world: &World) -> Step<String> {
    let reference = world.reference().await?.clone();
    let mut tenant = world.tenant();
    // As two daemons would, one of which has lost its lease and does not know yet.
    let plugins = [world.plugin()?, world.session.beside().map_err(failed)?];
    if let Some(proxy) = &world.proxy {
        proxy.set(Rule::Every(Fault::Delay(OVERLAP)));
    }
    for stage in world.stages() {
        all_ready(world, &plugins, &mut tenant, stage).await?;
    }
    world.expect_counts(&tenant, &reference, "after all calls came eight times at once").await?;
    for kind in TEARDOWN {
        all_gone(world, &plugins, &tenant, kind).await?;
    }
    world.take_down(&tenant).await?;
    Ok(format!("{} calls at once from 2 processes", AT_ONCE))
}

async fn all_ready(world: &World, plugins: &[Arc<Plugin>; 2], tenant: &mut Tenant, stage: Stage) -> Step {
    let deadline = Instant::now() + world.config.stage_timeout();
    loop {
        let mut tenants = vec![tenant.clone(); AT_ONCE];
        let calls = tenants.iter_mut().enumerate().map(|(n, tenant)| world.ensure_with(&plugins[n % 2], tenant, stage));
        let observations = join_all(calls).await.into_iter().collect::<Step<Vec<Observation>>>()?;
        if observations.iter().all(|observation| matches!(observation, Observation::Done)) {
            if let Some(other) = tenants.iter().find(|other| other.made.ids() != tenants[0].made.ids()) {
                let (one, two) = (tenants[0].made.ids(), other.made.ids());
                fail!("{AT_ONCE} calls at once of ensure {} give different objects: {one:?}, {two:?}", stage.word());
            }
            *tenant = tenants.swap_remove(0);
            return Ok(());
        }
        if Instant::now() > deadline {
            fail!("ensure {} called {AT_ONCE} times at once never becomes ready: {observations:?}", stage.word());
        }
        tokio::time::sleep(shortest(world, &observations)).await;
    }
}

fn shortest(world: &World, observations: &[Observation]) -> Duration {
    let pauses = observations.iter().filter_map(|observation| match observation {
        Observation::Wait { pause, .. } => Some(*pause),
        Observation::Done => None,
    });
    world.config.pause(pauses.min().unwrap_or_default())
}

async fn all_gone(world: &World, plugins: &[Arc<Plugin>; 2], tenant: &Tenant, kind: Kind) -> Step {
    let deadline = Instant::now() + world.config.stage_timeout();
    loop {
        let results = join_all((0..AT_ONCE).map(|n| tenant.delete(&plugins[n % 2], kind))).await;
        let mut gone = true;
        for result in results {
            match result {
                Ok(progress) => gone &= matches!(progress.outcome, Some(Outcome::Gone(_))),
                Err(error) if is_retried(error.kind) => gone = false,
                Err(error) => fail!("delete {} called {AT_ONCE} times at once: {error}", word(kind)),
            }
        }
        if gone {
            return Ok(());
        }
        if Instant::now() > deadline {
            fail!("delete {} called {AT_ONCE} times at once never ends", word(kind));
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
}

pub(crate) async fn neighbours(world: &World) -> Step<String> {
    let (mut one, mut two) = (world.tenant(), world.tenant());
    let (built_one, built_two) = tokio::join!(world.build(&mut one), world.build(&mut two));
    built_one?;
    built_two?;
    let before = world.made(&two).await?;
    let first = world.made(&one).await?;
    if first != before {
        fail!("two tenants of the same order have different inventories: {}", difference(&before, &first));
    }
    world.take_down(&one).await?;
    world.expect_counts(&two, &before, "of the other tenant after one was deleted").await?;
    let mark = world.mark();
    for stage in world.stages() {
        if let Observation::Wait { why, .. } = world.ensure(&mut two, stage).await? {
            fail!("{} of the other tenant is not ready any more: {why}", stage.word());
        }
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("the other tenant had to be mended: {}", changes.join(", "));
    }
    world.take_down(&two).await?;
    Ok("2 tenants, one deleted beside the other".into())
}
