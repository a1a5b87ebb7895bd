//! Google's OAuth token endpoint: a JWT of a service account or a user's refresh token for an access token.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>,
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>. A refresh token
//! `1//sim-PROJECT.ANYTHING` is one of an owner of PROJECT.

use super::principal::{Principal, jwt_issuer};
use crate::state::{GcpState, Session};
use cloudsim_core::{
    call::{ApiError, Call, Params, Reply, Result},
    ctx::Ctx,
    world::World,
};
use serde_json::json;

/// How long an access token is good for, in real seconds, as Google's are.
const LIFETIME_S: i64 = 3_600;

/// Who requests a token.
#[must_use]
pub(super) fn principal(world: &World, call: &Call) -> Option<Principal> {
    identify(world, call).ok()
}

fn identify(world: &World, call: &Call) -> std::result::Result<Principal, ApiError> {
    let form = form(call);
    let refused = |message: String| ApiError::new("invalid_grant", message);
    match form.text("grant_type") {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => jwt_issuer(form.text("assertion"), world.clock.now())
            .map_err(|reason| refused(format!("Invalid JWT: {reason}"))),
        "refresh_token" => {
            let rest = form.text("refresh_token").strip_prefix("1//sim-").unwrap_or_default();
            let project = rest.split('.').next().unwrap_or_default();
            if project.is_empty() { Err(refused("Bad Request".to_owned())) } else { Ok(Principal::owner_of(project)) }
        }
        other => Err(ApiError::new("unsupported_grant_type", format!("Invalid grant_type: {other}"))),
    }
}

/// The form; the JSON that some clients send instead is taken as well.
fn form(call: &Call) -> Params {
    match serde_json::from_str::<std::collections::BTreeMap<String, String>>(&call.body) {
        Ok(fields) => Params(fields),
        Err(_) => Params::parse(&call.body),
    }
}

/// Handles a request for a token.
///
/// # Errors
/// As RFC 6749 words them.
pub(super) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let who = identify(ctx.world, call)?;
    let token = issue(ctx, &who, LIFETIME_S);
    Ok(Reply::Json(200, json!({ "access_token": token, "expires_in": LIFETIME_S - 1, "token_type": "Bearer" })))
}

/// Makes an access token for `who`.
pub(super) fn issue(ctx: &mut Ctx<'_>, who: &Principal, lifetime_s: i64) -> String {
    let token = format!("ya29.c.{}{}", ctx.world.hex(60), ctx.world.hex(60));
    let session = Session {
        email: who.email.clone(),
        project: who.project.clone(),
        expires_us: ctx.now + lifetime_s * 1_000_000,
    };
    ctx.world.states.of_mut::<GcpState>().sessions.insert(token.clone(), session);
    ctx.world.dirty = true;
    token
}
