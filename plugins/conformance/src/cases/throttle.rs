//! A cloud that throttles, and one that does not respond.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use landlord_plugin_host::Plugin;
use landlord_provider_api::{ErrorKind, Inventory as _, ProviderError, TEARDOWN, v1};

use crate::{
    cases::faults::swept,
    fault::{Fault, Rule},
    outside::Signature,
    proxy::Proxy,
    tenant::{Stage, Tenant},
    world::{Step, World, fail, failed, word},
};

/// The host waits this long for a cancelled call, and a busy machine takes its time.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);

pub(crate) async fn throttling(world: &World) -> Step<String> {
    if world.config.throttle.is_empty() {
        fail!("the configuration has no [[throttle]]: how does this cloud say that it throttles?");
    }
    let Some(proxy) = &world.proxy else { fail!("there is no proxy") };
    let mut tenant = world.tenant();
    world.build(&mut tenant).await?;
    let plugin = world.plugin()?;
    proxy.set(Rule::Every(Fault::Throttle));
    let mut throttled = 0;
    for stage in world.stages() {
        let mark = proxy.count();
        let result = tenant.ensure(&plugin, stage).await.map(drop);
        throttled += judge(world, proxy, mark, &format!("ensure {}", stage.word()), result)?;
        let mark = proxy.count();
        let result = tenant.observe(&plugin, stage.kind()).await.map(drop);
        throttled += judge(world, proxy, mark, &format!("observe {}", stage.word()), result)?;
    }
    for kind in TEARDOWN {
        let mark = proxy.count();
        let result = tenant.delete(&plugin, kind).await.map(drop);
        throttled += judge(world, proxy, mark, &format!("delete {}", word(kind)), result)?;
    }
    let mark = proxy.count();
    let request = v1::ListOwnedRequest { scope: Some(tenant.scope.clone()), page_token: String::new() };
    throttled += judge(world, proxy, mark, "list_owned", plugin.list_owned(request).await.map(drop))?;
    proxy.set(Rule::None);
    world.take_down(&tenant).await?;
    if throttled == 0 {
        fail!("no call of the plugin was throttled: it does not use endpoint_override");
    }
    // As often as it takes for the news to come through the plugin's own repetitions.
    let times = usize::try_from(world.config.attempts_max).unwrap_or(1);
    let swept = swept(world, &vec![Fault::Throttle; times], "throttled in a lifecycle").await?;
    let others: Vec<&str> =
        world.kinds().into_iter().filter(|kind| !matches!(*kind, "THROTTLED" | "CONFLICT")).collect();
    if !others.is_empty() {
        fail!("throttling was reported as {}", others.join(", "));
    }
    Ok(format!("{throttled} calls of the plugin gave THROTTLED; {swept}"))
}

/// A call that reached the cloud must have given up as THROTTLED, and not have knocked too often; 1 if it did.
fn judge(world: &World, proxy: &Proxy, mark: usize, what: &str, result: Result<(), ProviderError>) -> Step<usize> {
    let mut attempts: BTreeMap<Signature, u32> = BTreeMap::new();
    for call in proxy.since(mark) {
        let count = attempts.entry(call.signature()).or_default();
        *count += 1;
        if *count > world.config.attempts_max {
            fail!(
                "{what} queried {count} times for {} while it was throttled; the daemon owns repetitions",
                call.name()
            );
        }
    }
    match result {
        Err(error) if error.kind == ErrorKind::Throttled => {
            world.note(what, &error)?;
            bucket(world, what, &error)?;
            Ok(1)
        }
        Err(error) => fail!("{what} of a throttled cloud: {error} instead of THROTTLED"),
        // What the plugin handles by itself can't be throttled.
        Ok(()) if attempts.is_empty() => Ok(0),
        Ok(()) => fail!("{what} succeeded though the cloud refused every call"),
    }
}

fn bucket(world: &World, what: &str, error: &ProviderError) -> Step {
    let plugin = world.plugin()?;
    let known = |name: &str| {
        plugin
            .description()
            .is_some_and(|description| description.rate_buckets.iter().any(|bucket| bucket.name == name))
    };
    if !error.bucket.is_empty() && !known(&error.bucket) {
        fail!("{what} names the exhausted bucket {:?}, which describe does not know", error.bucket);
    }
    Ok(())
}

pub(crate) async fn deadlines(world: &World) -> Step<String> {
    let Some(proxy) = &world.proxy else { fail!("there is no proxy") };
    let deadline = Duration::from_millis(world.config.short_deadline_ms);
    let tenant = world.tenant();
    let plugin = world.session.hurried(deadline).map_err(failed)?;
    plugin.start().await.map_err(failed)?;
    let pid = plugin.health().pid;
    let mut hung = 0;
    for what in ["ensure network", "observe cluster", "list_owned", "delete network"] {
        let mark = proxy.count();
        proxy.set(Rule::Every(Fault::Hang));
        let began = Instant::now();
        let result = ask(&plugin, &tenant, what).await;
        let took = began.elapsed();
        proxy.set(Rule::None);
        if took > deadline + DEADLINE_MARGIN {
            fail!("{what} took {took:?} with a deadline of {deadline:?}");
        }
        match result {
            Err(error) if error.kind == ErrorKind::Transient => hung += 1,
            Err(error) => fail!("{what} of a cloud that hangs: {error} instead of TRANSIENT"),
            Ok(()) if proxy.count() == mark => {}
            Ok(()) => fail!("{what} succeeded though the cloud returned nothing"),
        }
        if plugin.health().pid != pid {
            fail!("{what} did not end when it was cancelled, and its process had to be killed");
        }
        again(world, &plugin, &tenant, what).await?;
    }
    if hung == 0 {
        fail!("no call of the plugin waited for the cloud: it does not use endpoint_override");
    }
    Ok(format!("{hung} calls ended at {deadline:?}"))
}

async fn ask(plugin: &Plugin, tenant: &Tenant, what: &str) -> Result<(), ProviderError> {
    match what {
        "ensure network" => tenant.ensure(plugin, Stage::Network).await.map(drop),
        "observe cluster" => tenant.observe(plugin, v1::ResourceKind::Cluster).await.map(drop),
        "delete network" => tenant.delete(plugin, v1::ResourceKind::Network).await.map(drop),
        _ => {
            let request = v1::ListOwnedRequest { scope: Some(tenant.scope.clone()), page_token: String::new() };
            plugin.list_owned(request).await.map(drop)
        }
    }
}

/// The next call works; one more that is TRANSIENT may come from a connection that died with the last.
async fn again(world: &World, plugin: &Plugin, tenant: &Tenant, what: &str) -> Step {
    let mut last = None;
    for _ in 0..2 {
        match ask(plugin, tenant, what).await {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(world.config.pause(Duration::from_secs(1))).await;
    }
    fail!(
        "{what} does not work after one that ended at its deadline: {}",
        last.map_or(String::new(), |e| e.to_string())
    )
}
