//! Finding, deleting and observing the tenant's pools, from the scope alone. A cluster keeps a
//! system pool as long as it exists: the last one is no object of its own, it goes with the
//! cluster.

use landlord_provider_api::v1;
use landlord_provider_sdk::markers::{self, is_in_scope};

use super::{POLL_S, Pool, Properties, is_ours};
use crate::{
    api,
    arm::Arm,
    cluster,
    error::Result,
    group,
    names::{self, Call},
    object::State,
    operation::{self, Followed, Work},
    progress::{self, Outcome, pending},
    tags,
};

fn owned(scope: &v1::Scope, pool: &Pool) -> v1::OwnedObject {
    // A pool's tags are among its properties, where the envelope does not show them.
    let region = if pool.location().is_empty() { &scope.region } else { pool.location() };
    markers::owned(api::POOL.name, pool.id(), pool.name(), region, &pool.properties.tags)
}

/// The inventory's view of a cluster's pools, as far as they are in scope: ARM lists none of them by
/// tag, and those of a shared cluster are not all its owner's.
pub(crate) async fn inventory(arm: &Arm, scope: &v1::Scope, cluster_id: &str) -> Result<Vec<v1::OwnedObject>> {
    let pools = arm.list::<Properties>(&api::POOL, &format!("{cluster_id}/agentPools"), None).await?;
    let in_scope = |pool: &&Pool| is_in_scope(scope, &pool.properties.tags);
    Ok(pools.iter().filter(in_scope).map(|pool| owned(scope, pool)).collect())
}

/// The tenant's pool of this role, or with an empty role all of them. Empty if the cluster is
/// absent or a foreign one; a shared one is never the tenant's, and only its pools' markers count.
async fn list(call: &Call<'_>, role: &str) -> Result<Vec<Pool>> {
    if !call.names.is_shared() && cluster::find_own(call).await?.is_none() {
        return Ok(Vec::new());
    }
    let path = format!("{}/agentPools", call.names.home_id());
    let mut pools = call.arm.list::<Properties>(&api::POOL, &path, None).await?;
    pools.retain(|pool| is_ours(call, pool));
    if !role.is_empty() {
        let name = names::pool(role)?;
        pools.retain(|pool| pool.name() == name);
    }
    Ok(pools)
}

fn is_system(pool: &Pool) -> bool {
    pool.properties.mode.eq_ignore_ascii_case("system")
}

/// A pool that has the name of `role` and not our markers is an error. A system pool goes with its cluster.
pub(crate) async fn refuse_unmarked(call: &Call<'_>, role: &str) -> Result<()> {
    let name = names::pool(role)?;
    let found = call.arm.get::<Properties>(&api::POOL, &format!("{}/agentPools/{name}", call.names.home_id())).await?;
    match found {
        Some(pool) if !is_ours(call, &pool) && !is_system(&pool) => Err(tags::name_taken("agent pool", &name).into()),
        _ => Ok(()),
    }
}

/// Makes the pools of a role be absent.
pub(crate) async fn delete(call: &Call<'_>, role: &str, checkpoint: &[u8]) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let pools = list(call, role).await?;
    let (mut removed, mut outcome) = (Vec::new(), Outcome::Gone);
    let last = operation::follow(call.arm, Work::Deletion, checkpoint).await?;
    for pool in pools.iter().filter(|pool| !is_system(pool)) {
        let name = pool.name();
        let detail = format!("agent pool {name} is being deleted");
        if pool.state() == State::Deleting {
            outcome = pending(POLL_S, detail).or_checkpoint(checkpoint);
            continue;
        }
        match call.arm.delete(&api::POOL, pool.id()).await {
            Ok(Some(response)) => {
                removed.push(owned(call.scope, pool));
                outcome = operation::begun(call.arm, Work::Deletion, &response, POLL_S, detail);
            }
            Ok(None) => {}
            Err(error) if error.is_busy() => {
                let detail = format!("agent pool {name} is {} and can be deleted after that", pool.state().as_str());
                outcome = pending(POLL_S, detail);
            }
            Err(error) => return Err(error),
        }
        if let (State::Failed, Followed::Failed(reported)) = (pool.state(), &last) {
            return Err(group::removal_failed(&api::POOL, name, reported).into());
        }
    }
    match group::find_own(call, call.names.group()).await? {
        // What was noted about the pool goes after it.
        Some(noted) if call.names.is_shared() && outcome == Outcome::Gone => {
            let (outcome, gone) = group::remove(call, &noted, checkpoint).await?;
            removed.extend(gone);
            Ok((outcome, removed))
        }
        _ => Ok((outcome, removed)),
    }
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>, role: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let pools = list(call, role).await?;
    let unready = |pool: &Pool| match pool.state() {
        State::Succeeded => None,
        state => Some(format!("agent pool {} is {}", pool.name(), state.as_str())),
    };
    Ok(progress::observed(&pools, |pool| owned(call.scope, pool), unready, POLL_S))
}
