//! Azure Kubernetes Service: clusters and their agent pools.
//!
//! <https://learn.microsoft.com/rest/api/aks/managed-clusters>, <https://learn.microsoft.com/rest/api/aks/agent-pools>. One change
//! at a time: <https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/create-upgrade-delete/troubleshoot-upgrade-operations>
//! and the words in <https://github.com/cilium/cilium/issues/25944>.

pub(crate) mod cluster;
mod credential;
mod defaults;
pub(crate) mod lifecycle;
mod names;
mod node_group;
mod nodes;
mod pool;
pub(crate) mod show;
pub(crate) mod sizes;

use super::{
    id::Target,
    kind::AzureKind,
    resource, shown,
    wire::{self, unknown},
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Kubernetes versions on offer, newest first.
pub(crate) const VERSIONS: [&str; 5] = ["1.36.1", "1.35.4", "1.34.7", "1.33.9", "1.32.11"];

/// Since when responses have entity tags; clients of older versions of the API see none.
const TAGGED_SINCE: &str = "2024-09-01";

/// Handles a call.
///
/// # Errors
/// In the service's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let mut reply = respond(ctx, call, target)?;
    let version = call.params.0.iter().find(|(key, _)| key.eq_ignore_ascii_case("api-version"));
    if let (Some((_, version)), Reply::Json(_, body) | Reply::Headed(_, body, _)) = (version, &mut reply)
        && version.as_str() < TAGGED_SINCE
    {
        untag(body);
    }
    Ok(reply)
}

fn untag(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("eTag");
            fields.values_mut().for_each(untag);
        }
        Value::Array(items) => items.iter_mut().for_each(untag),
        _ => {}
    }
}

fn respond(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    match call.action.as_str() {
        "managedClusters.CreateOrUpdate" => cluster::put(ctx, call, target),
        "managedClusters.Update" => cluster::tag(ctx, call, target),
        "managedClusters.Delete" => cluster::delete_call(ctx, call, target),
        "managedClusters.List" | "managedClusters.ListAll" => {
            Ok(Reply::Json(200, shown::list(ctx, AzureKind::ManagedCluster, target)?))
        }
        "managedClusters.ListClusterUserCredential" => credential::user(ctx, target),
        "managedClusters.ListClusterAdminCredential" => credential::admin(ctx, target),
        "managedClusters.ListKubernetesVersions" => Ok(Reply::Json(200, versions())),
        "managedClusters.Get" => shown::one(ctx, AzureKind::ManagedCluster, target),
        "agentPools.CreateOrUpdate" => pool::put(ctx, call, target),
        "agentPools.Delete" => pool::delete_call(ctx, call, target),
        "agentPools.List" => Ok(Reply::Json(200, shown::list(ctx, AzureKind::AgentPool, target)?)),
        "agentPools.Get" => shown::one(ctx, AzureKind::AgentPool, target),
        _ => Err(unknown(call)),
    }
}

/// An error of AKS itself, which has no envelope.
pub(super) fn refuse(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, message).field(wire::BARE, true)
}

/// Refuses a second change at once.
///
/// # Errors
/// OperationNotAllowed.
pub(super) fn check_idle(ctx: &mut Ctx<'_>, cluster: &Object) -> Result<()> {
    let busy = |o: &Object| matches!(o.state.as_str(), "Creating" | "Updating" | "Deleting");
    let what = if busy(cluster) {
        format!("Another operation ({}) is in progress", cluster.state)
    } else {
        let pools = resource::children_of(ctx, cluster, AzureKind::AgentPool);
        let Some(pool) = pools.iter().find(|p| busy(p)) else {
            return Ok(());
        };
        let name = pool.name.as_deref().unwrap_or_default();
        format!("Another agentpool operation ({name} - {}) is in progress", pool.state)
    };
    let message = format!(
        "Operation is not allowed: {what}, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details"
    );
    Err(refuse("OperationNotAllowed", message).status(409))
}

/// `If-None-Match: *` and `If-Match`.
///
/// # Errors
/// PreconditionFailed.
pub(super) fn check_conditions(call: &Call, present: Option<&Object>) -> Result<()> {
    let header = |name: &str| call.headers.get(name).map(|v| v.trim_matches('"')).filter(|v| !v.is_empty());
    let failed = |message: String| Err(refuse("PreconditionFailed", message).status(412));
    if header("if-none-match") == Some("*") && present.is_some() {
        return failed("The resource exists already, which the If-None-Match header forbids.".to_owned());
    }
    match (header("if-match"), present) {
        (Some(wanted), Some(object)) if wanted != "*" && wanted != object.text("etag") => {
            failed(format!("The etag '{wanted}' in the If-Match header is not that of the resource."))
        }
        (Some(_), None) => failed("The resource does not exist, so that no etag can match.".to_owned()),
        _ => Ok(()),
    }
}

/// Kubernetes version that a cluster was ordered in.
#[must_use]
pub(crate) fn version_of(cluster: &Object) -> String {
    resource::doc_text(cluster, "/properties/currentKubernetesVersion").to_owned()
}

/// The newest patch of a version given in full or as `1.34`; the default if empty.
#[must_use]
pub(super) fn resolve_version(wanted: &str) -> Option<&'static str> {
    match wanted {
        "" => VERSIONS.get(1).copied(),
        _ => VERSIONS
            .iter()
            .find(|v| **v == wanted || v.rsplit_once('.').is_some_and(|(minor, _)| minor == wanted))
            .copied(),
    }
}

/// <https://learn.microsoft.com/rest/api/aks/managed-clusters/list-kubernetes-versions>.
fn versions() -> Value {
    let values: Vec<Value> = VERSIONS
        .iter()
        .enumerate()
        .map(|(at, full)| {
            let minor = full.rsplit_once('.').map_or("", |(minor, _)| minor);
            let upgrades: Vec<&str> = VERSIONS[..at].iter().rev().take(1).copied().collect();
            let mut patches = serde_json::Map::new();
            patches.insert((*full).to_owned(), json!({ "upgrades": upgrades }));
            json!({ "version": minor, "isDefault": at == 1, "isPreview": null, "patchVersions": patches,
                "capabilities": { "supportPlan": ["KubernetesOfficial", "AKSLongTermSupport"] } })
        })
        .collect();
    json!({ "values": values })
}

/// The id of a cluster's node resource group.
#[must_use]
pub(crate) fn node_group_of(cluster: &Object) -> String {
    names::group_of(cluster)
}
