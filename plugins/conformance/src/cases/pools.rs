//! What an order says of a node pool must reach the cloud: taints and labels above all, since what keeps tenants apart on
//! shared machines is made of them. Judged by what the plugin sends, not by what it says.

use landlord_provider_api::{ErrorKind, v1};

use crate::{
    proxy::Proxy,
    tenant::{Stage, Tenant},
    world::{Observation, Step, Stop, World, fail, failed},
};

/// Texts that are in no request by chance.
const LABEL: (&str, &str) = ("conformance.example/colour", "ultramarine");
const OTHER_COLOUR: &str = "vermilion";
/// The contract's word of a cloud that scales pools itself.
const NODE_SCALING: &str = "node-scaling";
/// A number that is in no request by chance.
const NODES_MAX: i32 = 173;
const TAINT: (&str, &str, &str) = ("conformance.example/only", "this-run", "NoSchedule");

pub(crate) async fn node_pool(world: &World) -> Step<String> {
    if !world.offers(Stage::NodePool) {
        return Err(Stop::Skipped("the plugin makes no node pools (capability node-pools)".into()));
    }
    let Some(proxy) = &world.proxy else { fail!("there is no proxy") };
    let mut tenant = world.tenant();
    tenant.pool.labels = [(LABEL.0.to_owned(), LABEL.1.to_owned())].into();
    tenant.pool.taints = vec![v1::Taint { key: TAINT.0.into(), value: TAINT.1.into(), effect: TAINT.2.into() }];
    tenant.pool.disk_size_gib = world.config.node_pool.disk_size_gib;
    // From the beginning: a cloud may make the first pool together with the cluster.
    proxy.keep_bodies(true);
    let built = world.build(&mut tenant).await;
    let sent = proxy.keep_bodies(false);
    built?;
    let disk = tenant.pool.disk_size_gib.to_string();
    let mut wanted = vec![
        ("label", LABEL.0),
        ("label's value", LABEL.1),
        ("taint", TAINT.0),
        ("taint's value", TAINT.1),
        ("taint's effect", TAINT.2),
    ];
    if disk != "0" {
        wanted.push(("disk's size", &disk));
    }
    reached(&sent, &wanted)?;
    let changed = changed(world, proxy, &mut tenant).await?;
    let scaled = scaled(world, proxy, &mut tenant).await?;
    world.take_down(&tenant).await?;
    Ok(format!("{} parts of the order reached the cloud; {changed}{scaled}", wanted.len()))
}

/// The bounds of the cloud's own scaling, which it then moves the size between as it likes.
async fn scaled(world: &World, proxy: &Proxy, tenant: &mut Tenant) -> Step<&'static str> {
    if !world.capabilities().iter().any(|stated| stated == NODE_SCALING) {
        return Ok("");
    }
    tenant.pool.node_count_max = NODES_MAX;
    tenant.scope.generation += 1;
    proxy.keep_bodies(true);
    let bounded = world.until_ready(tenant, &[Stage::NodePool]).await;
    let sent = proxy.keep_bodies(false);
    bounded?;
    reached(&sent, &[("most nodes", &NODES_MAX.to_string())])?;
    let mark = world.mark();
    if let Observation::Wait { why, .. } = world.ensure(tenant, Stage::NodePool).await? {
        fail!("the pool was ready with its bounds, and is not when requested again: {why}");
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("the pool is within its bounds, and is changed again: {}", changes.join(", "));
    }
    Ok(", and the bounds of its scaling")
}

fn reached(sent: &[String], wanted: &[(&str, &str)]) -> Step {
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(_, text)| !sent.iter().any(|body| holds(body, text)))
        .map(|(what, text)| format!("the {what} {text:?}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    fail!("no changing call of the plugin holds {}, which the node pool was ordered with", missing.join(", "))
}

/// Clouds spell effects in their own way (`NO_SCHEDULE`), and encode slashes.
fn holds(body: &str, text: &str) -> bool {
    let bare = |text: &str| text.to_lowercase().replace('_', "");
    // Google's clients write an enum's number.
    if text == TAINT.2 && body.contains("\"effect\":1") {
        return true;
    }
    bare(body).contains(&bare(text))
        || body.contains(&text.replace('/', "%2F"))
        || body.contains(&text.replace('/', "\\/"))
}

/// One node more and another value of the label: done in place, or refused by name.
async fn changed(world: &World, proxy: &Proxy, tenant: &mut Tenant) -> Step<String> {
    tenant.pool.node_count += 1;
    tenant.scope.generation += 1;
    proxy.keep_bodies(true);
    let counted = world.until_ready(tenant, &[Stage::NodePool]).await;
    proxy.keep_bodies(false);
    counted?;
    let reported = tenant.made.pool.as_ref().map_or(0, |pool| pool.node_count);
    if reported != tenant.pool.node_count {
        fail!("{} nodes are ordered now, and the pool's status reports {reported}", tenant.pool.node_count);
    }
    tenant.pool.labels.insert(LABEL.0.to_owned(), OTHER_COLOUR.to_owned());
    tenant.scope.generation += 1;
    let plugin = world.plugin()?;
    proxy.keep_bodies(true);
    let first = tenant.ensure(&plugin, Stage::NodePool).await;
    let outcome = match first {
        Err(error) if error.kind == ErrorKind::Invalid => {
            proxy.keep_bodies(false);
            world.note("ensure node-pool with another label", &error)?;
            tenant.pool.labels.insert(LABEL.0.to_owned(), LABEL.1.to_owned());
            return Ok("another label is refused".into());
        }
        Err(error) if !crate::world::is_retried(error.kind) => Err(failed(format!("another label: {error}"))),
        Ok(_) | Err(_) => world.until_ready(tenant, &[Stage::NodePool]).await,
    };
    let sent = proxy.keep_bodies(false);
    outcome?;
    reached(&sent, &[("label's new value", OTHER_COLOUR)])?;
    let mark = world.mark();
    if let Observation::Wait { why, .. } = world.ensure(tenant, Stage::NodePool).await? {
        fail!("the pool was ready with its new label, and is not when requested again: {why}");
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("the pool is as ordered, and is changed again: {}", changes.join(", "));
    }
    Ok("so did one node more and another label".into())
}
