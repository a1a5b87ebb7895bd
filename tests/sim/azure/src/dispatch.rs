//! Which requests are for Azure and which handler serves them.

use crate::{
    aks, compute, dns, entra, groups, id, listing, locks, lro, msi, network, providers, roles, throttle, wire,
};
use cloudsim_core::{
    call::{Call, Reply, Result},
    ctx::Ctx,
    http::Raw,
};

/// Whether a request is for Azure: its paths begin as no other cloud's do.
#[must_use]
pub(crate) fn is_request(raw: &Raw) -> bool {
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
pub(crate) fn is_cluster(id: &str) -> bool {
    // The webhook's address may have lost the first of two slashes on its way through an API server's configuration.
    id.trim_start_matches('/').to_lowercase().starts_with("subscriptions/")
}

/// Handles a call; how much of the request rate is left goes with every response.
///
/// # Errors
/// In the service's own words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
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
    locks::check(ctx, call, &target)?;
    if call.action == "operations.Get" {
        return lro::get(ctx, call, &target);
    }
    match call.service.as_str() {
        "network" => network::handle(ctx, call, &target),
        "dns" => dns::handle(ctx, call, &target),
        "containerservice" => aks::handle(ctx, call, &target),
        "compute" => compute::handle(ctx, call, &target),
        "managedidentity" => msi::handle(ctx, call, &target),
        "authorization" if call.action.starts_with("locks.") => locks::handle(ctx, call, &target),
        "authorization" => roles::handle(ctx, call, &target),
        _ => match call.action.split('.').next() {
            Some("resourceGroups") => groups::handle(ctx, call, &target),
            Some("resources") => listing::handle(ctx, call, &target),
            _ => providers::handle(ctx, call, &target),
        },
    }
}
