//! The simulated Azure: Resource Manager with the providers that an AKS environment needs, and Entra's tokens.
//!
//! Everything is a resource with a path; [`kind`] says which there are, `identify` reads requests, `resource` keeps what
//! all kinds share, `lro` runs what takes time. It knows nothing of AWS. A subscription is an account; all its resources
//! lie in one scope, because ids of resources name no region.

pub mod aks;
mod compute;
mod dns;
mod durations;
mod entra;
mod groups;
mod id;
pub(crate) mod identify;
mod jwt;
pub mod kind;
pub mod kubernetes;
mod listing;
mod lro;
mod msi;
mod network;
pub mod principal;
mod providers;
mod references;
mod resource;
pub mod review;
mod roles;
pub mod state;
pub mod steps;
pub mod throttle;
pub mod wire;

use crate::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    server::Raw,
    world::{GLOBAL, ScopeKey, Work},
};
use kind::AzureKind;

/// Whether a request is for Azure: its paths begin as no other cloud's do.
#[must_use]
pub fn is_request(raw: &Raw) -> bool {
    let path = raw.path.to_lowercase();
    path == "/subscriptions"
        || path.starts_with("/subscriptions/")
        || path.starts_with("/metadata/identity/")
        || path.ends_with("/oauth2/v2.0/token")
        || path.ends_with("/oauth2/token")
        || path.ends_with("/v2.0/.well-known/openid-configuration")
        || path == "/common/discovery/instance"
}

/// Whether this identity is that of an Azure cluster.
#[must_use]
pub fn is_cluster(id: &str) -> bool {
    // The webhook's address may have lost the first of two slashes on its way through an API server's configuration.
    id.trim_start_matches('/').to_lowercase().starts_with("subscriptions/")
}

/// Whether calls of `account` are counted by [`throttle`] and not with other clouds' calls: subscriptions are GUIDs. Entra
/// publishes no rate.
#[must_use]
pub fn counts_itself(account: &str, service: &str) -> bool {
    principal::is_guid(account) || service == "entra"
}

/// The scope that a cluster lies in.
#[must_use]
pub fn cluster_scope(id: &str) -> Option<ScopeKey> {
    id::subscription_of(id).map(|subscription| ScopeKey::new(&subscription, GLOBAL))
}

/// Which part of the critical path a piece of work is.
#[must_use]
pub fn part_of(work: &Work) -> Option<&'static str> {
    // What a cluster's controllers make comes after everything that a tenant waits for.
    if work.object.tags.contains_key("k8s-azure-service") {
        return None;
    }
    let kind = kind::KINDS.iter().find(|k| k.kind.type_name() == work.object.kind)?.kind;
    match (work.operation.as_str(), kind) {
        ("create", AzureKind::PublicIpAddress) => Some("address"),
        ("create", AzureKind::NatGateway) => Some("nat_gateway"),
        ("create", AzureKind::VirtualNetwork) => Some("network"),
        ("create", AzureKind::Subnet) => Some("subnet"),
        ("create", AzureKind::AgentPool) => Some("nodegroup"),
        ("delete", AzureKind::AgentPool) => Some("nodegroup_delete"),
        _ => None,
    }
}

/// Answers a call; how much of the request rate is left goes with every answer.
///
/// # Errors
/// In the service's own words.
pub fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    if call.service == "entra" {
        return entra::handle(ctx, call);
    }
    let left = throttle::admit(ctx, call)?;
    match dispatch(ctx, call) {
        Ok(reply) => Ok(wire::with_headers(reply, left)),
        Err(error) => Err(wire::error_with_headers(error, left)),
    }
}

fn dispatch(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let target = id::Target::parse(&call.path).unwrap_or_default();
    if call.action == "operations.Get" {
        return lro::get(ctx, call, &target);
    }
    match call.service.as_str() {
        "network" => network::handle(ctx, call, &target),
        "dns" => dns::handle(ctx, call, &target),
        "containerservice" => aks::handle(ctx, call, &target),
        "compute" => compute::handle(ctx, call, &target),
        "managedidentity" => msi::handle(ctx, call, &target),
        "authorization" => roles::handle(ctx, call, &target),
        _ => match call.action.split('.').next() {
            Some("resourceGroups") => groups::handle(ctx, call, &target),
            Some("resources") => listing::handle(ctx, call, &target),
            _ => providers::handle(ctx, call, &target),
        },
    }
}

/// The error for what a service does not offer here.
fn unknown(call: &Call) -> ApiError {
    let message = format!("The simulator does not know {} {}.", call.method, call.action);
    ApiError::new("MethodNotAllowed", message).status(405)
}
