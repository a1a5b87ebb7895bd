//! What AKS does by itself: clusters and pools become ready and go.
//!
//! A cluster is Succeeded when its simulated time is over and its control plane responds, whichever is later.

use super::{
    super::{
        kind::AzureKind,
        lro, references, resource,
        state::{Failure, Operation, Verb},
    },
    names, node_group, nodes, pool,
};
use crate::state::AzureState;
use cloudsim_core::{cluster::RuntimeCommand, ctx::Ctx, object::Object};
use serde_json::Value;

/// An endpoint that refuses connections, for clusters without Kubernetes: port 1 is never served.
const DEAD_ENDPOINT: &str = "https://127.0.0.1:1";
const NO_CA: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";

/// The time of a cluster's creation or change is over.
pub(crate) fn cluster_due(ctx: &mut Ctx<'_>, operation: &Operation, cluster: &Object) {
    // A change of a cluster whose creation failed goes on with the creation.
    if operation.verb == Verb::Update && !cluster.text("endpoint").is_empty() {
        finish(ctx, cluster, &operation.id);
        return;
    }
    if ctx.world.kubernetes_capacity.is_none() {
        ctx.adjust(&cluster.id, |o| {
            o.set("endpoint", DEAD_ENDPOINT);
            o.set("ca", NO_CA);
        });
    }
    ctx.adjust(&cluster.id, |o| o.set("time_is_over", true));
    activate(ctx, &cluster.id);
}

/// The control plane responds: remember where. A restart may move it to another port.
pub(crate) fn control_plane_started(ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
    ctx.adjust(id, |o| {
        o.set("endpoint", endpoint);
        o.set("ca", ca_pem);
    });
    activate(ctx, id);
}

/// The control plane cannot be run.
pub(crate) fn control_plane_failed(ctx: &mut Ctx<'_>, id: &str, reason: &str) {
    let starting = |o: &&Object| matches!(o.state.as_str(), "Creating" | "Updating");
    let Some(cluster) = ctx.scope().live(id).filter(starting).cloned() else {
        return;
    };
    ctx.adjust(id, |o| o.set("control_plane_failed", true));
    let operation = ctx.world.states.of::<AzureState>().operations.get(cluster.text("operation")).cloned();
    if let Some(operation) = operation {
        let failure = Failure { code: "InternalOperationError".to_owned(), message: reason.to_owned(), status: 500 };
        cluster_failed(ctx, &cluster);
        lro::fail(ctx, &operation, &cluster, failure);
    }
}

fn activate(ctx: &mut Ctx<'_>, id: &str) {
    let Some(cluster) = ctx.scope().live(id).cloned() else {
        return;
    };
    let over = cluster.props.get("time_is_over").and_then(Value::as_bool).unwrap_or(false);
    if matches!(cluster.state.as_str(), "Creating" | "Updating") && over && !cluster.text("endpoint").is_empty() {
        let operation = cluster.text("operation").to_owned();
        finish(ctx, &cluster, &operation);
    }
}

/// A cluster and its pools are as ordered.
fn finish(ctx: &mut Ctx<'_>, cluster: &Object, operation: &str) {
    ctx.change(&cluster.id, |o| "Succeeded".clone_into(&mut o.state));
    for pool in resource::children_of(ctx, cluster, AzureKind::AgentPool) {
        if matches!(pool.state.as_str(), "Creating" | "Updating") {
            nodes::settle(ctx, cluster, &pool);
            pool::upgraded(ctx, &pool);
            ctx.change(&pool.id, |o| "Succeeded".clone_into(&mut o.state));
        }
    }
    lro::end(ctx, operation, None);
}

/// With a cluster, what it was changing fails.
pub(crate) fn cluster_failed(ctx: &mut Ctx<'_>, cluster: &Object) {
    for pool in resource::children_of(ctx, cluster, AzureKind::AgentPool) {
        if pool.state != "Succeeded" {
            ctx.adjust(&pool.id, |o| "Failed".clone_into(&mut o.state));
            pool_failed(ctx, &pool);
        }
    }
}

/// With a pool, its scale set fails.
pub(crate) fn pool_failed(ctx: &mut Ctx<'_>, pool: &Object) {
    if let Some(cluster) = parent(ctx, pool) {
        let set = names::scale_set_id(&cluster, pool).to_lowercase();
        ctx.adjust(&set, |o| {
            if o.state == "Creating" {
                "Failed".clone_into(&mut o.state);
            }
        });
    }
}

/// A cluster goes, with its node resource group and all that is in it.
pub(crate) fn cluster_gone(ctx: &mut Ctx<'_>, operation: &Operation, cluster: &Object) {
    node_group::remove(ctx, cluster);
    references::remove(ctx, &cluster.id);
    if ctx.world.kubernetes_capacity.is_some() {
        ctx.world.outbox.push(RuntimeCommand::Stop { arn: cluster.id.clone() });
    }
    lro::end(ctx, &operation.id, None);
}

fn parent(ctx: &mut Ctx<'_>, pool: &Object) -> Option<Object> {
    ctx.scope().live(pool.text("cluster")).cloned()
}

/// The time of a pool's creation or change is over: its machines join.
pub(crate) fn pool_due(ctx: &mut Ctx<'_>, operation: &Operation, pool: &Object) {
    if let Some(cluster) = parent(ctx, pool) {
        nodes::settle(ctx, &cluster, pool);
    }
    pool::upgraded(ctx, pool);
    ctx.change(&pool.id, |o| "Succeeded".clone_into(&mut o.state));
    lro::end(ctx, &operation.id, None);
}

/// A pool goes with its machines.
pub(crate) fn pool_gone(ctx: &mut Ctx<'_>, operation: &Operation, pool: &Object) {
    if let Some(cluster) = parent(ctx, pool) {
        nodes::end(ctx, &cluster, pool);
    }
    references::remove(ctx, &pool.id);
    lro::end(ctx, &operation.id, None);
}
