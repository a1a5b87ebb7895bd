//! Lifecycles in which each outside call goes wrong once: lost before, lost after, cut, killed at. What comes out must be
//! what a clean lifecycle makes, and then nothing.

use crate::{
    fault::{Fault, Rule},
    proxy::Proxy,
    world::{Step, World, fail},
};

/// A lifecycle with more outside calls than this is not swept call by call.
const LIFECYCLES_MAX: usize = 1_000;

pub(crate) async fn lost_request(world: &World) -> Step<String> {
    swept(world, &[Fault::LoseRequest], "lost on their way").await
}

pub(crate) async fn lost_answer(world: &World) -> Step<String> {
    swept(world, &[Fault::LoseAnswer], "applied and their responses lost").await
}

pub(crate) async fn cut_answer(world: &World) -> Step<String> {
    swept(world, &[Fault::CutAnswer], "applied and their responses cut").await
}

pub(crate) async fn crash(world: &World) -> Step<String> {
    let mut account = swept(world, &[Fault::KillBefore, Fault::KillAfter], "at which the process was killed").await?;
    if world.config.crash_every_call {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let lifecycles = every(world, fault).await?;
            account.push_str(&format!(", {lifecycles} lifecycles with {fault:?}"));
        }
    }
    Ok(account)
}

fn proxy(world: &World) -> Step<&Proxy> {
    match &world.proxy {
        Some(proxy) => Ok(proxy),
        None => fail!("there is no proxy"),
    }
}

/// One lifecycle in which each distinct call suffers each of the faults once.
pub(crate) async fn swept(world: &World, faults: &[Fault], how: &str) -> Step<String> {
    let proxy = proxy(world)?;
    struck(world, || Rule::sweep(faults)).await?;
    let strikes = proxy.set(Rule::None).strikes();
    if strikes == 0 {
        fail!("no outside call came to the proxy: the plugin does not use endpoint_override");
    }
    Ok(format!("{strikes} calls {how}"))
}

/// As many lifecycles as one has outside calls, each struck at another.
async fn every(world: &World, fault: Fault) -> Step<usize> {
    let proxy = proxy(world)?;
    for at in 1..=LIFECYCLES_MAX {
        struck(world, || Rule::nth(at, fault)).await?;
        if proxy.set(Rule::None).strikes() == 0 {
            return Ok(at - 1);
        }
    }
    Ok(LIFECYCLES_MAX)
}

async fn struck(world: &World, rule: impl FnOnce() -> Rule) -> Step {
    let reference = world.reference().await?.clone();
    let mut tenant = world.tenant();
    proxy(world)?.set(rule());
    world.build(&mut tenant).await?;
    world.expect_counts(&tenant, &reference, "after a lifecycle with faults").await?;
    world.take_down(&tenant).await?;
    Ok(())
}
