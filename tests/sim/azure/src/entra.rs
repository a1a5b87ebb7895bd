//! Microsoft Entra as far as services need it: tokens for clients, managed identities, discovery documents.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>; errors:
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>. An assertion's signature is not checked: whose
//! key it is made with, the simulator does not know.

use super::{jwt, principal};
use crate::state::AzureState;
use cloudsim_core::{
    call::{ApiError, Call, Params, Reply, Result},
    ctx::Ctx,
    secrets::WELL_KNOWN_SECRETS,
};
use serde_json::{Value, json};

/// What Entra gives a client: an hour, less a second.
const LIFETIME_S: i64 = 3_599;
/// What a managed identity gets: a day.
const IDENTITY_LIFETIME_S: i64 = 86_400;
const LOGIN: &str = "https://login.microsoftonline.com";

/// Names the action of a request for Entra, and gives its tenant; `None` if it is for something else.
#[must_use]
pub(crate) fn route(method: &str, path: &[String]) -> Option<(&'static str, String)> {
    let words: Vec<String> = path.iter().map(|s| s.to_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = match (method, &words[..]) {
        ("POST", [tenant, "oauth2", "v2.0", "token"] | [tenant, "oauth2", "token"]) => ("token.Get", *tenant),
        ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => ("discovery.OpenIdConfiguration", *tenant),
        ("GET", ["common", "discovery", "instance"]) => ("discovery.Instance", "common"),
        ("GET", ["metadata", "identity", "oauth2", "token"]) => ("managedIdentity.Token", principal::DEFAULT_TENANT),
        _ => return None,
    };
    Some((found.0, found.1.to_owned()))
}

/// Handles a call.
///
/// # Errors
/// In OAuth's shape.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let tenant = call.caller.account.as_str();
    match call.action.as_str() {
        "token.Get" => token(ctx, call, tenant),
        "managedIdentity.Token" => managed_identity(ctx, call),
        "discovery.Instance" => Ok(Reply::Json(
            200,
            json!({
                "tenant_discovery_endpoint": format!("{LOGIN}/common/v2.0/.well-known/openid-configuration"),
                "api-version": "1.1",
                "metadata": [{ "preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
                    "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"] }],
            }),
        )),
        _ => Ok(Reply::Json(
            200,
            json!({
                "token_endpoint": format!("{LOGIN}/{tenant}/oauth2/v2.0/token"),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
                "issuer": format!("{LOGIN}/{tenant}/v2.0"),
                "authorization_endpoint": format!("{LOGIN}/{tenant}/oauth2/v2.0/authorize"),
                "device_authorization_endpoint": format!("{LOGIN}/{tenant}/oauth2/v2.0/devicecode"),
                "jwks_uri": format!("{LOGIN}/{tenant}/discovery/v2.0/keys"),
                "response_types_supported": ["code", "id_token", "token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "cloud_instance_name": "microsoftonline.com",
                "tenant_region_scope": "EU",
            }),
        )),
    }
}

fn token(ctx: &mut Ctx<'_>, call: &Call, tenant: &str) -> Result<Reply> {
    let form = Params::parse(&call.body);
    let grant = form.text("grant_type");
    if grant != "client_credentials" {
        let message = format!("AADSTS70003: The app requested an unsupported grant type '{grant}'.");
        return Err(refused("unsupported_grant_type", 70_003, &message, 400));
    }
    let client_id = form.text("client_id");
    check_credential(ctx, tenant, client_id, &form)?;
    let resource = match (form.get("scope"), form.get("resource")) {
        (Some(scope), _) => scope.strip_suffix("/.default").map(str::to_owned),
        (None, Some(resource)) => Some(resource.to_owned()),
        (None, None) => None,
    };
    let Some(resource) = resource else {
        let message = "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).";
        return Err(refused("invalid_scope", 1_002_012, message, 400));
    };
    let (token, _) = issue(ctx, tenant, client_id, &resource, LIFETIME_S);
    let body = json!({ "token_type": "Bearer", "expires_in": LIFETIME_S, "ext_expires_in": LIFETIME_S, "access_token": token });
    Ok(Reply::Json(200, body))
}

/// Checks secret or assertion of a client.
fn check_credential(ctx: &mut Ctx<'_>, tenant: &str, client_id: &str, form: &Params) -> Result<()> {
    let declared = ctx.world.states.of::<AzureState>().principals.get(&client_id.to_lowercase()).cloned();
    if client_id.is_empty() || declared.as_ref().is_some_and(|p| !p.tenant.eq_ignore_ascii_case(tenant)) {
        let message = format!(
            "AADSTS700016: Application with identifier '{client_id}' was not found in the directory '{tenant}'."
        );
        return Err(refused("unauthorized_client", 700_016, &message, 400));
    }
    if let Some(assertion) = form.get("client_assertion") {
        let good = form.text("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            && jwt::claims(assertion).is_some_and(|c| c["sub"].is_string());
        if good {
            return Ok(());
        }
        let message = "AADSTS50027: JWT token is invalid or malformed.";
        return Err(refused("invalid_client", 50_027, message, 401));
    }
    let Some(secret) = form.get("client_secret") else {
        let message = "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
        return Err(refused("invalid_client", 7_000_216, message, 401));
    };
    let good = match &declared {
        Some(principal) => principal.client_secret.as_deref() == Some(secret),
        None => WELL_KNOWN_SECRETS.contains(&secret),
    };
    if good {
        return Ok(());
    }
    let message = format!(
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
    );
    Err(refused("invalid_client", 7_000_215, &message, 401))
}

/// Makes a token; gives it and when it ends, in seconds since the epoch.
fn issue(ctx: &mut Ctx<'_>, tenant: &str, client_id: &str, resource: &str, lifetime_s: i64) -> (String, i64) {
    let now_s = ctx.now / 1_000_000;
    let claims = json!({
        "aud": resource, "iss": format!("https://sts.windows.net/{tenant}/"), "iat": now_s, "nbf": now_s,
        "exp": now_s + lifetime_s, "appid": client_id, "idtyp": "app", "tid": tenant, "ver": "1.0",
        "oid": principal::guid_of(&format!("{client_id}/object")), "uti": ctx.world.hex(22),
    });
    (jwt::sign(ctx.world.seed, &claims), now_s + lifetime_s)
}

fn managed_identity(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let metadata = call.headers.get("metadata").is_some_and(|m| m.eq_ignore_ascii_case("true"));
    let (resource, version) = (call.params.text("resource"), call.params.text("api-version"));
    if !metadata || resource.is_empty() || version.is_empty() {
        let missing = if metadata {
            "Required query variable 'resource' or 'api-version' is missing"
        } else {
            "Required metadata header not specified"
        };
        return Err(ApiError::new("invalid_request", missing).status(400));
    }
    let client_id = call.params.get("client_id").map_or_else(|| principal::guid_of("system-assigned"), str::to_owned);
    let tenant = match ctx.world.states.of::<AzureState>().principals.get(&client_id.to_lowercase()) {
        Some(declared) => declared.tenant.clone(),
        None => principal::DEFAULT_TENANT.to_owned(),
    };
    let (token, expires) = issue(ctx, &tenant, &client_id, resource, IDENTITY_LIFETIME_S);
    let text = |n: i64| n.to_string();
    Ok(Reply::Json(
        200,
        json!({ "access_token": token, "client_id": client_id, "expires_in": text(IDENTITY_LIFETIME_S),
            "expires_on": text(expires), "ext_expires_in": text(IDENTITY_LIFETIME_S),
            "not_before": text(expires - IDENTITY_LIFETIME_S), "resource": resource, "token_type": "Bearer" }),
    ))
}

fn refused(error: &str, code: u32, message: &str, status: u16) -> ApiError {
    ApiError::new(error, message).status(status).field("error_codes", json!([code]))
}

/// OAuth's shape of an error.
#[must_use]
pub(crate) fn error_body(call: &Call, error: &ApiError) -> Value {
    let mut body = (*error.fields).clone();
    body.insert("error".to_owned(), error.code.clone().into());
    body.insert("error_description".to_owned(), error.message.clone().into());
    body.insert("correlation_id".to_owned(), call.request_id.clone().into());
    body.insert("trace_id".to_owned(), call.request_id.clone().into());
    Value::Object(body)
}
