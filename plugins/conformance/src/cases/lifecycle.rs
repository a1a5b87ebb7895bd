//! The life of a tenant without faults: made, reached, taken down; never made; taken down before it was made.

use std::time::{Duration, SystemTime};

use crate::{
    tenant::{Stage, Tenant},
    world::{Observation, Step, World, fail, failed, word},
};
use landlord_provider_api::{TEARDOWN, v1::progress::Outcome};

pub(crate) async fn lifecycle(world: &World) -> Step<String> {
    let mut tenant = world.tenant();
    world.build(&mut tenant).await?;
    reported(world, &tenant)?;
    reached(world, &tenant).await?;
    let there = world.owned(&tenant.scope).await?;
    if there.is_empty() {
        fail!("everything is ready and list_owned is empty");
    }
    let removed = world.take_down(&tenant).await?;
    if removed.is_empty() {
        fail!("everything was deleted and no delete says what it removed");
    }
    Ok(format!("{} stages, {} objects made, {} reported as removed", world.stages().len(), there.len(), removed.len()))
}

/// What later stages and the daemon need of each status.
fn reported(world: &World, tenant: &Tenant) -> Step {
    let node_count = tenant.pool.node_count;
    let made = tenant.made.clone();
    let (network, cluster) = (made.network.unwrap_or_default(), made.cluster.unwrap_or_default());
    let (pool, zone) = (made.pool.unwrap_or_default(), made.zone.unwrap_or_default());
    for (stage, what, text) in [
        (Stage::Network, "network.network_id", &network.network_id),
        (Stage::Cluster, "cluster.name", &cluster.name),
        (Stage::Cluster, "cluster.endpoint", &cluster.endpoint),
        (Stage::Cluster, "cluster.kubernetes_version", &cluster.kubernetes_version),
        (Stage::NodePool, "node_pool.name", &pool.name),
        (Stage::DnsZone, "dns_zone.zone_id", &zone.zone_id),
    ] {
        if text.is_empty() && world.offers(stage) {
            fail!("the status is ready and lacks {what}");
        }
    }
    if zone.name_servers.is_empty() && world.offers(Stage::DnsZone) {
        fail!("the zone's status names no servers to delegate to");
    }
    if pool.node_count != node_count && world.offers(Stage::NodePool) {
        fail!("the pool's status reports {} nodes, ordered were {node_count}", pool.node_count);
    }
    Ok(())
}

async fn reached(world: &World, tenant: &Tenant) -> Step {
    let mark = world.mark();
    let plugin = world.plugin()?;
    let access = match tenant.kube_access(&plugin).await {
        Ok(access) => access,
        Err(error) => fail!("kube_access of a ready cluster failed: {error}"),
    };
    for secret in [&access.token, &access.client_key_pem].into_iter().filter(|secret| !secret.is_empty()) {
        world.note_token(secret);
    }
    let has_certificate = !access.client_certificate_pem.is_empty() && !access.client_key_pem.is_empty();
    if access.endpoint.is_empty() || access.token.is_empty() != has_certificate {
        fail!("kube_access gives no endpoint, or not either a token or a client certificate with its key");
    }
    if access.ca_pem.is_empty() && world.config.certificate_authority {
        fail!("kube_access gives no certificate authority (ca_pem): the daemon trusts no API server without one");
    }
    let expires = access.expire_time.and_then(|time| SystemTime::try_from(time).ok());
    match expires.map(|time| time.duration_since(SystemTime::now())) {
        Some(Ok(left)) if left > Duration::ZERO => {}
        Some(_) => fail!("what kube_access gives has expired already"),
        None => fail!("kube_access does not say when its token or certificate expires (expire_time)"),
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("kube_access makes changing calls: {}", changes.join(", "));
    }
    Ok(())
}

pub(crate) async fn delete_absent(world: &World) -> Step<String> {
    let tenant = world.tenant();
    let mark = world.mark();
    let plugin = world.plugin()?;
    for kind in TEARDOWN {
        let kind_word = word(kind);
        let progress = match tenant.delete(&plugin, kind).await {
            Ok(progress) => progress,
            Err(error) => fail!("delete {kind_word} of a tenant that never was: {error}"),
        };
        if !matches!(progress.outcome, Some(Outcome::Gone(_))) {
            fail!("delete {kind_word} of a tenant that never was: {:?} instead of Gone", progress.outcome);
        }
        if !progress.removed.is_empty() {
            fail!("delete {kind_word} of a tenant that never was removed {:?}", progress.removed);
        }
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("deleting what never was makes changing calls: {}", changes.join(", "));
    }
    Ok(format!("{} kinds", TEARDOWN.len()))
}

/// Begins each wave and turns around: after the first call of a stage, what is half made must go.
pub(crate) async fn delete_midway(world: &World) -> Step<String> {
    let mut pending = 0;
    let waves = world.waves();
    for (number, wave) in waves.iter().enumerate() {
        let mut tenant = world.tenant();
        for earlier in &waves[..number] {
            world.until_ready(&mut tenant, earlier).await?;
        }
        for stage in wave {
            if let Observation::Wait { .. } = world.ensure(&mut tenant, *stage).await? {
                pending += 1;
            }
        }
        // Another daemon takes it down, and knows nothing but the order.
        world.session.fresh().map_err(failed)?;
        world.take_down(&tenant.forgotten()).await?;
    }
    Ok(format!("{} turns, {pending} stages were half made", waves.len()))
}
