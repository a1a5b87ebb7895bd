//! IAM: service accounts with their policies, tokens in their name, and the project's policy.
//!
//! <https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts>,
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>,
//! <https://cloud.google.com/resource-manager/reference/rest/v1/projects/setIamPolicy>. A policy is replaced whole and
//! only if its etag is the present one (409 `aborted` otherwise).

use super::{
    auth::{knows, roles},
    error::{exists, forbidden, invalid, not_found},
    kinds::GcpKind,
    names::{fingerprint, instant, is_name, numeric, project_number},
    oauth,
    principal::Principal,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::{Object, Owner},
};
use serde_json::{Value, json};

const TOKEN_CREATOR: &str = "roles/iam.serviceAccountTokenCreator";
/// Longest lifetime of a token, unless an organisation's policy allows more.
const LONGEST_S: i64 = 3_600;

/// Handles a call.
///
/// # Errors
/// As IAM words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let project = call.var(0).to_owned();
    let account = format!("projects/{project}/serviceAccounts/{}", call.var(1));
    let body = match call.action.as_str() {
        "CreateServiceAccount" => create(ctx, call, &project)?,
        "ListServiceAccounts" => list(ctx),
        "GetServiceAccount" => existing(ctx, &account).map(|o| document(&o))?,
        "DeleteServiceAccount" => {
            existing(ctx, &account)?;
            ctx.delete(&account);
            json!({})
        }
        "GetIamPolicy" => policy(&existing(ctx, &account)?),
        "SetIamPolicy" => {
            existing(ctx, &account)?;
            set_policy(ctx, call, &account)?
        }
        "GenerateAccessToken" => generate_token(ctx, call)?,
        "projects.get" => {
            json!({ "projectId": project, "projectNumber": project_number(&project).to_string(), "name": project,
                    "lifecycleState": "ACTIVE", "state": "ACTIVE" })
        }
        "projects.getIamPolicy" => policy(&this_project(ctx, &project)),
        _ => {
            this_project(ctx, &project);
            set_policy(ctx, call, &format!("projects/{project}"))?
        }
    };
    Ok(Reply::Json(200, body))
}

fn existing(ctx: &mut Ctx<'_>, id: &str) -> Result<Object> {
    let found = ctx.seen(id).filter(|o| o.kind == GcpKind::ServiceAccount);
    found.ok_or_else(|| not_found(format!("Unknown service account: {}", super::names::last(id))))
}

/// The project's own record, made when first requested; the control API does not show it.
fn this_project(ctx: &mut Ctx<'_>, project: &str) -> Object {
    let id = format!("projects/{project}");
    if let Some(present) = ctx.scope().live(&id).cloned() {
        return present;
    }
    let arn = format!("//cloudresourcemanager.googleapis.com/{id}");
    let mut object = Object::new(GcpKind::Project, &id, arn, ctx.now);
    object.owner = Owner::Default;
    let owner = Principal::owner_of(project).member();
    let object = object.with(
        "policy",
        json!({ "version": 1, "etag": "BwAAAAAAAAA=",
                                               "bindings": [{ "role": "roles/owner", "members": [owner] }] }),
    );
    ctx.scope().put(object.clone());
    object
}

/// The policy of an object.
#[must_use]
pub(crate) fn policy(object: &Object) -> Value {
    object.props.get("policy").cloned().unwrap_or_else(|| json!({ "etag": "ACAB" }))
}

/// Replaces the policy of the object `id`.
///
/// # Errors
/// No policy given, or an etag that is not the present one.
pub(crate) fn set_policy(ctx: &mut Ctx<'_>, call: &Call, id: &str) -> Result<Value> {
    let mut wanted = call.json.get("policy").cloned().ok_or_else(|| invalid("The policy is missing"))?;
    let present = ctx.scope().live(id).map(policy).unwrap_or_default();
    let etag = wanted["etag"].as_str().unwrap_or_default();
    if !etag.is_empty() && Some(etag) != present["etag"].as_str() {
        let message =
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.";
        return Err(ApiError::new("aborted", message).status(409));
    }
    wanted["etag"] = json!(fingerprint(&ctx.world.hex(16)));
    wanted["version"] = json!(wanted["version"].as_i64().unwrap_or(1).max(1));
    let stored = wanted.clone();
    ctx.change(id, |o| o.set("policy", stored));
    Ok(wanted)
}

fn create(ctx: &mut Ctx<'_>, call: &Call, project: &str) -> Result<Value> {
    let name = call.field("accountId");
    if name.len() < 6 || !is_name(name, 30) {
        return Err(invalid(format!("Service account ID must be between 6 and 30 characters: {name:?}")));
    }
    let email = format!("{name}@{project}.iam.gserviceaccount.com");
    let id = format!("projects/{project}/serviceAccounts/{email}");
    if ctx.scope().live(&id).is_some() {
        return Err(exists(format!("Service account {name} already exists within project projects/{project}.")));
    }
    let present = ctx.scope().count(GcpKind::ServiceAccount);
    if let Err(limit) = ctx.within_quota("service-accounts", present) {
        let message = format!("Maximum number of service accounts on project reached ({limit}).");
        return Err(ApiError::new("rateLimitExceeded", message).status(429));
    }
    let mut object = Object::new(GcpKind::ServiceAccount, &id, format!("//iam.googleapis.com/{id}"), ctx.now);
    object.name = Some(name.to_owned());
    "ENABLED".clone_into(&mut object.state);
    let mut doc = call.json.get("serviceAccount").cloned().unwrap_or_else(|| json!({}));
    let description = doc["description"].as_str().and_then(|d| serde_json::from_str::<Value>(d).ok());
    object.tags = super::names::labels(description.as_ref());
    doc["uniqueId"] = json!(numeric(&ctx.world.hex(16)));
    doc["createTime"] = json!(instant(ctx.now));
    let object = object.with("doc", doc).with("email", email).with("project", project);
    let body = document(&object);
    ctx.create(object);
    Ok(body)
}

fn document(object: &Object) -> Value {
    let mut doc = super::names::document(object);
    let unique = doc.get("uniqueId").cloned().unwrap_or_default();
    doc.insert("name".to_owned(), json!(object.id));
    doc.insert("projectId".to_owned(), json!(object.text("project")));
    doc.insert("email".to_owned(), json!(object.text("email")));
    doc.insert("oauth2ClientId".to_owned(), unique);
    Value::Object(doc)
}

fn list(ctx: &mut Ctx<'_>) -> Value {
    let all: Vec<Value> = ctx.scope().of_kind(GcpKind::ServiceAccount).map(document).collect();
    if all.is_empty() { json!({}) } else { json!({ "accounts": all }) }
}

/// A token in the name of a service account. One that this IAM does not know may be impersonated by anybody.
fn generate_token(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (project, email) = (call.var(0).to_owned(), call.var(1).to_owned());
    let target = Principal::of_email(&email)
        .ok_or_else(|| not_found(format!("Not found; Gaia id not found for email {email}")))?;
    let delegates = call.json["delegates"].as_array().cloned().unwrap_or_default();
    let mut holder = format!("serviceAccount:{}", call.caller.arn);
    for step in delegates.iter().filter_map(Value::as_str).map(super::names::last).chain([email.as_str()]) {
        let home = Principal::of_email(step).map_or_else(|| project.clone(), |p| p.project);
        let id = format!("projects/{home}/serviceAccounts/{step}");
        let mut held = roles(ctx.world, &home, &id, &holder);
        held.extend(roles(ctx.world, &home, &format!("projects/{home}"), &holder));
        if knows(ctx.world, &home, step) && !held.iter().any(|r| r == TOKEN_CREATOR) {
            return Err(forbidden(format!(
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist): {step}."
            )));
        }
        holder = format!("serviceAccount:{step}");
    }
    if call.json["scope"].as_array().is_none_or(Vec::is_empty) {
        return Err(invalid("Request contains an invalid argument: scope is required."));
    }
    let lifetime = call.field("lifetime").trim_end_matches('s').parse().unwrap_or(LONGEST_S);
    if !(1..=LONGEST_S).contains(&lifetime) {
        return Err(invalid("Invalid value: lifetime must be at most 3600s."));
    }
    let token = oauth::issue(ctx, &target, lifetime);
    Ok(json!({ "accessToken": token, "expireTime": instant(ctx.now + lifetime * 1_000_000) }))
}
