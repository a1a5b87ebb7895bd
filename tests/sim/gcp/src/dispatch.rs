//! Which service a request is for and which handler serves; which service a step belongs to.

use crate::{auth, compute, container, dns, error, iam, kinds::GcpStep, oauth, route};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    http::Raw,
    scope_key::{GLOBAL, ScopeKey},
    world::World,
};

/// Whether a request is for this cloud.
#[must_use]
pub(crate) fn is_for(raw: &Raw) -> bool {
    let starts = ["/v1/projects/", "/v3/projects/", "/compute/v1/", "/dns/v1/"];
    raw.path == "/token" || starts.iter().any(|s| raw.path.starts_with(s))
}

/// Reads a request: the call, and an error if its credentials are refused (applied after faults and throttling).
///
/// # Errors
/// If it is for no method known here; the call is as far as it was read.
#[expect(clippy::result_large_err, reason = "made once a request")]
pub(crate) fn identify(
    world: &mut World,
    raw: &Raw,
) -> std::result::Result<(Call, Option<ApiError>), (Call, ApiError)> {
    let call = Call::of(world.uuid(), raw);
    let mut call = Call { region: GLOBAL.to_owned(), ..call };
    if !route::route(&mut call) {
        return Err((call, error::not_found("The requested URL was not found on this server.")));
    }
    if !call.body.is_empty() && call.service != "oauth2" {
        match serde_json::from_str(&call.body) {
            Ok(json) => call.json = json,
            Err(reason) => {
                let message = format!("Invalid JSON payload received. {reason}");
                return Err((call, error::invalid(message)));
            }
        }
    }
    let refused = auth::authorize(world, raw, &mut call);
    Ok((call, refused))
}

/// The scope of a cluster, `projects/P/locations/L/clusters/C`.
#[must_use]
pub(crate) fn cluster_scope(id: &str) -> Option<ScopeKey> {
    match id.split('/').collect::<Vec<_>>()[..] {
        ["projects", project, "locations", _, "clusters", _] => Some(ScopeKey::new(project, GLOBAL)),
        _ => None,
    }
}

/// Handles a call.
///
/// # Errors
/// In the service's own words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let project = ctx.key.global();
    let here = std::mem::replace(&mut ctx.key, project);
    let result = match call.service.as_str() {
        "compute" => compute::handle(ctx, call),
        "container" => container::handle(ctx, call),
        "dns" => dns::handle(ctx, call),
        "oauth2" => oauth::handle(ctx, call),
        _ => iam::handle(ctx, call),
    };
    ctx.key = here;
    result
}

/// Applies a step of the cloud; the response names service and action for the journal.
pub(crate) fn step(ctx: &mut Ctx<'_>, step: &GcpStep) -> (&'static str, &'static str) {
    match step {
        GcpStep::Compute { operation } => ("compute", compute::operation::done(ctx, operation)),
        GcpStep::Container { operation } => ("container", container::lifecycle::done(ctx, operation)),
        GcpStep::Change { change } => ("dns", dns::changes::served(ctx, change)),
        GcpStep::Forget { id } => {
            ctx.scope().take(id);
            ("cloudsim", "Forget")
        }
    }
}
