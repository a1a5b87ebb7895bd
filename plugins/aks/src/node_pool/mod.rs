//! Agent pools: machine scale sets that AKS keeps. The tenant's first pool is made with the
//! cluster; this stage finds it and keeps it as wanted, and makes every further one. A tenant in a
//! shared cluster has its pool there, known by its own tags.

mod change;
mod removal;
mod spec;

pub(crate) use removal::{delete, inventory, observe, refuse_unmarked};
pub(crate) use spec::{Mode, body};

use std::collections::BTreeMap;

use landlord_provider_api::{ProviderError, v1};
use serde::Deserialize;
use serde_json::json;

use crate::{
    api,
    arm::If,
    cluster::Status,
    error::{Error, Result, is_precondition, late},
    first_provisioning,
    names::{self, Call},
    object::{Object, State},
    operation::{self, Followed, Work},
    parameters::Parameters,
    progress::{Outcome, pending, ready},
    tags,
};

/// Seconds between observations, where Azure names no other time.
const POLL_S: i64 = 10;

/// What is read of a pool.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Properties {
    pub(crate) count: i32,
    pub(crate) vm_size: String,
    #[serde(rename = "osDiskSizeGB")]
    pub(crate) os_disk_size_gib: i32,
    pub(crate) mode: String,
    pub(crate) enable_auto_scaling: bool,
    pub(crate) min_count: i32,
    pub(crate) max_count: i32,
    pub(crate) node_labels: BTreeMap<String, String>,
    pub(crate) node_taints: Vec<String>,
    pub(crate) orchestrator_version: String,
    pub(crate) current_orchestrator_version: String,
    pub(crate) scale_set_priority: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) status: Status,
}

/// A pool as found.
pub(crate) type Pool = Object<Properties>;

/// What [`first_provisioning`] calls a pool.
fn provisioned_name(name: &str) -> String {
    format!("pool-{name}")
}

/// A pool's tags are among its properties.
fn is_ours(call: &Call<'_>, pool: &Pool) -> bool {
    tags::is_ours(call.scope, &pool.properties.tags)
}

/// Makes the pool be as wanted.
pub(crate) async fn ensure(
    call: &Call<'_>,
    parameters: &Parameters,
    cluster: &v1::ClusterStatus,
    spec: &v1::NodePoolSpec,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::NodePoolStatus>)> {
    let name = names::pool(&spec.role)?;
    let id = call.names.pool_id(&name);
    let last = operation::follow(call.arm, Work::Change, checkpoint).await?;
    if let Followed::Running { retry_after: after } = last {
        let outcome = operation::waiting(after, POLL_S, format!("agent pool {name} is being changed"));
        return Ok((outcome.or_checkpoint(checkpoint), None));
    }
    let Some(pool) = call.arm.get::<Properties>(&api::POOL, &id).await? else {
        return create(call, parameters, spec, &name).await.map(|outcome| (outcome, None));
    };
    if !is_ours(call, &pool) {
        return Err(tags::name_taken("agent pool", &name).into());
    }
    match pool.state() {
        State::Succeeded => {}
        State::Failed => return Err(failed(call, &pool, last).await?.into()),
        State::Deleting => {
            return Ok((pending(POLL_S, format!("agent pool {name} is being deleted before it is recreated")), None));
        }
        State::Busy(state) => {
            let outcome = pending(POLL_S, format!("agent pool {name} is {state}"));
            return Ok((outcome.or_checkpoint(checkpoint), None));
        }
    }
    first_provisioning::end(call, &provisioned_name(&name)).await?;
    if let Some(outcome) = change::begin(call, cluster, spec, &pool).await? {
        return Ok((outcome, None));
    }
    Ok((ready(), Some(v1::NodePoolStatus { name, node_count: pool.properties.count })))
}

async fn create(call: &Call<'_>, parameters: &Parameters, spec: &v1::NodePoolSpec, name: &str) -> Result<Outcome> {
    let Some(cluster) = crate::cluster::find_home(call).await? else {
        return Err(crate::cluster::absent(call).into());
    };
    let mut properties = body(call, parameters, spec, Mode::User);
    properties["orchestratorVersion"] = json!(cluster.properties.kubernetes_version);
    if call.names.is_shared() {
        // Where the cluster's own nodes are: the subnet is the host's, or, where no pool names one, AKS's.
        let mut subnets = cluster.properties.agent_pool_profiles.iter().map(|p| p.subnet_id.as_str());
        if let Some(subnet) = subnets.find(|id| !id.is_empty()) {
            properties["vnetSubnetID"] = json!(subnet);
        } else if let Some(all) = properties.as_object_mut() {
            all.remove("vnetSubnetID");
        }
    }
    if let Some(outcome) = first_provisioning::prepare(call).await? {
        return Ok(outcome);
    }
    first_provisioning::begin(call, &provisioned_name(name)).await?;
    let body = json!({ "properties": properties });
    match call.arm.put(&api::POOL, &call.names.pool_id(name), &body, If::Absent).await {
        Ok(response) => Ok(operation::begun(
            call.arm,
            Work::Change,
            &response,
            POLL_S,
            format!("agent pool {name} is being created"),
        )),
        // Made in the meantime: the next observation decides whether it is ours.
        Err(error) if is_precondition(&error) => {
            Ok(pending(POLL_S, format!("agent pool {name} is there; looking how far it is")))
        }
        Err(error) if error.is_busy() => Ok(waits(name, &error)),
        Err(error) => Err(error),
    }
}

/// A cluster takes one change at a time: others' are waited for.
fn waits(name: &str, error: &Error) -> Outcome {
    pending(POLL_S, format!("agent pool {name} waits for the cluster's other operation: {error}"))
}

/// Why a pool failed; begins what leads out of it, as for clusters.
async fn failed(call: &Call<'_>, pool: &Pool, last: Followed) -> Result<ProviderError> {
    let mut reported = pool.properties.status.reported();
    if let Followed::Failed(late) = last {
        reported = reported.or(Some(late));
    }
    let error = late(&api::POOL, pool.name(), &reported.unwrap_or_default());
    if first_provisioning::is_first(call, &provisioned_name(pool.name())).await? {
        call.arm.delete(&api::POOL, pool.id()).await?;
    } else {
        call.arm.put(&api::POOL, pool.id(), &pool.document, If::Always).await?;
    }
    Ok(error)
}
