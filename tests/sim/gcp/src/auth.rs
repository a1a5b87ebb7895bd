//! Who calls, and whether they may.
//!
//! Bearer tokens: `ya29.sim-PROJECT.ANYTHING` is an owner of PROJECT; other `ya29.` tokens are those that `/token` and
//! generateAccessToken gave; a JWT that a service account signed itself is that account
//! (<https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth>; its signature cannot be checked,
//! as no key is known here). A service account that this IAM knows may do what the project's policy grants it
//! (<https://cloud.google.com/iam/docs/understanding-roles>); one that it does not know owns its project.
//! GKE's API servers take OAuth tokens and no JWTs:
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/api-server-authentication>.

use super::{
    error::{forbidden, unauthenticated},
    kinds::GcpKind,
    oauth,
    principal::{Principal, jwt_issuer},
    rights,
};
use crate::state::GcpState;
use cloudsim_core::{
    call::{ApiError, Call, Caller},
    http::Raw,
    scope_key::{GLOBAL, ScopeKey},
    world::World,
};
use serde_json::{Value, json};

/// Sets the caller and returns why it is refused, if it is.
pub(crate) fn authorize(world: &mut World, raw: &Raw, call: &mut Call) -> Option<ApiError> {
    if call.service == "oauth2" {
        let principal = oauth::principal(world, call);
        call.caller = principal.map(|p| caller(&p, &p.project.clone())).unwrap_or_default();
        return None;
    }
    let project = call.var(0).to_owned();
    call.caller.account.clone_from(&project);
    let header = raw.headers.get("authorization").map(String::as_str).unwrap_or_default();
    let Some(token) = header.strip_prefix("Bearer ") else {
        return Some(unauthenticated(&call.service, "CREDENTIALS_MISSING"));
    };
    let principal = match principal_of(world, token.trim()) {
        Ok(principal) => principal,
        Err(why) => {
            let reason = if why.contains("expired") { "ACCESS_TOKEN_EXPIRED" } else { "ACCESS_TOKEN_TYPE_UNSUPPORTED" };
            return Some(unauthenticated(&call.service, reason));
        }
    };
    call.caller = caller(&principal, &project);
    token.trim().clone_into(&mut call.caller.credential);
    if call.action == "GenerateAccessToken" || may(world, &principal, &project, &call.service) {
        return None;
    }
    let permission = rights::needed(call).into_iter().next().unwrap_or_default();
    Some(denied(call, &permission))
}

/// The refusal, in the words of each service.
pub(crate) fn denied(call: &Call, permission: &str) -> ApiError {
    let resource = format!("projects/{}", call.vars.join("/"));
    let resource = resource.trim_end_matches('/');
    match call.service.as_str() {
        "compute" => forbidden(format!("Required '{permission}' permission for '{resource}'")),
        "container" => {
            let place = resource.replacen(&format!("/{}", call.var(1)), &format!("/locations/{}", call.var(1)), 1);
            forbidden(format!("Required \"{permission}\" permission(s) for \"{place}\"."))
        }
        "iam" => forbidden(format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).")),
        _ => forbidden(format!("The caller does not have permission '{permission}' on '{resource}'.")),
    }
}

fn caller(principal: &Principal, project: &str) -> Caller {
    Caller {
        account: project.to_owned(),
        arn: principal.email.clone(),
        user_id: principal.email.clone(),
        ..Caller::default()
    }
}

/// The principal of a bearer token.
///
/// # Errors
/// Why it is none.
pub(crate) fn principal_of(world: &World, token: &str) -> Result<Principal, String> {
    if let Some(rest) = token.strip_prefix("ya29.sim-") {
        let project = rest.split('.').next().unwrap_or_default();
        return if project.is_empty() {
            Err("the token names no project".to_owned())
        } else {
            Ok(Principal::owner_of(project))
        };
    }
    if let Some(session) = world.states.of::<GcpState>().sessions.get(token) {
        if session.expires_us < world.clock.now() {
            return Err("the token has expired".to_owned());
        }
        return Ok(Principal { email: session.email.clone(), project: session.project.clone() });
    }
    if token.starts_with("ya29.") {
        return Err("the token was never given".to_owned());
    }
    jwt_issuer(token, world.clock.now())
}

/// Whether a principal may use `service` in `project`.
pub(crate) fn may(world: &mut World, principal: &Principal, project: &str, service: &str) -> bool {
    let account = format!("projects/{}/serviceAccounts/{}", principal.project, principal.email);
    let known = world.scope(&ScopeKey::new(&principal.project, GLOBAL)).live(&account).is_some();
    if !known && principal.project == project {
        return true;
    }
    let enough: &[&str] = match service {
        "dns" => &["roles/owner", "roles/editor", "roles/dns.admin"],
        "container" => &["roles/owner", "roles/editor", "roles/container.admin"],
        "compute" => &["roles/owner", "roles/editor", "roles/compute.admin"],
        _ => &["roles/owner"],
    };
    let held = roles(world, project, &format!("projects/{project}"), &principal.member());
    held.iter().any(|role| enough.contains(&role.as_str()))
}

/// The roles that the policy of the object `id` of `project` grants to `member`.
pub(crate) fn roles(world: &mut World, project: &str, id: &str, member: &str) -> Vec<String> {
    let scope = world.scope(&ScopeKey::new(project, GLOBAL));
    let policy = scope.live(id).and_then(|o| o.props.get("policy").cloned()).unwrap_or_default();
    let bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
    let grants = |b: &&Value| b["members"].as_array().into_iter().flatten().any(|m| m == member);
    bindings.iter().filter(grants).filter_map(|b| b["role"].as_str().map(str::to_owned)).collect()
}

/// Whether this IAM knows the service account `email` of `project`.
pub(crate) fn knows(world: &mut World, project: &str, email: &str) -> bool {
    let id = format!("projects/{project}/serviceAccounts/{email}");
    let scope = world.scope(&ScopeKey::new(project, GLOBAL));
    scope.live(&id).is_some_and(|o| o.kind == GcpKind::ServiceAccount)
}

/// Handles a TokenReview of the cluster `id`.
pub(crate) fn review(world: &mut World, id: &str, request: &Value) -> Value {
    let token = request.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    let status = match admitted(world, id, token) {
        Ok(who) => json!({ "authenticated": true, "user": {
            "username": who.email, "uid": who.email, "groups": ["system:masters"] } }),
        Err(reason) => {
            tracing::debug!(cluster = id, reason, "a token is refused");
            json!({ "authenticated": false, "error": reason })
        }
    };
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status })
}

fn admitted(world: &mut World, id: &str, token: &str) -> Result<Principal, String> {
    if !token.starts_with("ya29.") {
        return Err("the token is no OAuth access token".to_owned());
    }
    let principal = principal_of(world, token)?;
    let project = id.split('/').nth(1).unwrap_or_default().to_owned();
    if may(world, &principal, &project, "container") {
        return Ok(principal);
    }
    Err(format!("{} is no owner of the project {project}", principal.email))
}
