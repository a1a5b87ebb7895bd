//! Managed identities and their federated credentials.
//!
//! <https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities>,
//! <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations> (at most 20 credentials; a pair of
//! issuer and subject only once).

use super::{id::Target, kind::AzureKind, principal, references, resource, shown, wire::unknown};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Federated credentials of one identity.
const CREDENTIALS_MAX: usize = 20;

/// Handles a call.
///
/// # Errors
/// In the service's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let kind = target.kind().ok_or_else(|| unknown(call))?;
    match call.action.rsplit('.').next().unwrap_or_default() {
        "CreateOrUpdate" if kind == AzureKind::FederatedCredential => put_credential(ctx, call, target),
        "CreateOrUpdate" => put(ctx, call, target),
        "Get" => shown::one(ctx, kind, target),
        "List" | "ListAll" => Ok(Reply::Json(200, shown::list(ctx, kind, target)?)),
        "Update" => shown::retagged(ctx, call, kind, target),
        "Delete" => {
            resource::check_group(ctx, target)?;
            let Some(object) = resource::present(ctx, kind, &target.key()) else {
                return Ok(Reply::Json(204, Value::Null));
            };
            delete(ctx, &object);
            Ok(Reply::Json(200, Value::Null))
        }
        _ => Err(unknown(call)),
    }
}

/// Deletes an identity with its credentials; its role assignments stay, as in Azure.
pub(crate) fn delete(ctx: &mut Ctx<'_>, object: &Object) {
    references::remove(ctx, &object.id);
}

fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::open_group(ctx, target)?;
    let present = resource::present(ctx, AzureKind::UserAssignedIdentity, &target.key());
    resource::check_location(call, target, present.as_ref())?;
    let status = if present.is_some() { 200 } else { 201 };
    let object = make(ctx, &target.id(), &call.json, &call.caller.access_key);
    Ok(Reply::Json(status, shown::document(ctx, &object)))
}

/// Makes or changes an identity.
pub(crate) fn make(ctx: &mut Ctx<'_>, id: &str, body: &Value, tenant: &str) -> Object {
    let present = resource::present(ctx, AzureKind::UserAssignedIdentity, &id.to_lowercase());
    let mut object = match &present {
        Some(object) => object.clone(),
        None => resource::new(ctx, AzureKind::UserAssignedIdentity, id, body),
    };
    // An identity recreated under the same name is another principal.
    let seed = format!("{}{}", object.id, object.created_us);
    resource::put_body(ctx, &mut object, body);
    resource::amend(&mut object, |doc| {
        doc["properties"] = json!({ "tenantId": tenant, "principalId": principal::guid_of(&format!("{seed}p")),
            "clientId": principal::guid_of(&format!("{seed}c")) });
    });
    if present.is_some() {
        ctx.change(&object.id, |o| *o = object.clone());
    } else {
        ctx.create(object.clone());
    }
    object
}

fn put_credential(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::open_group(ctx, target)?;
    let identity = resource::present(ctx, AzureKind::UserAssignedIdentity, &target.parent_key()).ok_or_else(|| {
        let message = format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            target.names.first().map_or("", String::as_str)
        );
        ApiError::new("ParentResourceNotFound", message).status(404)
    })?;
    let field = |body: &Value, name: &str| body["properties"][name].as_str().unwrap_or_default().to_owned();
    let pair = (field(&call.json, "issuer"), field(&call.json, "subject"));
    let audiences = call.json.pointer("/properties/audiences").and_then(Value::as_array).map_or(0, Vec::len);
    if pair.0.is_empty() || pair.1.is_empty() || audiences != 1 {
        let message = "A federated identity credential needs an issuer, a subject and exactly one audience.";
        return Err(ApiError::new("BadRequest", message));
    }
    let others = resource::children_of(ctx, &identity, AzureKind::FederatedCredential);
    let same = |o: &&Object| {
        let body = Value::Object(resource::doc(o));
        o.id != target.key() && (field(&body, "issuer"), field(&body, "subject")) == pair
    };
    if others.iter().any(|o| same(&o)) {
        let message = "Issuer and subject combination already exists for this Managed Identity.";
        return Err(ApiError::new("Conflict", message).status(409));
    }
    let present = resource::present(ctx, AzureKind::FederatedCredential, &target.key());
    if present.is_none() && others.len() >= CREDENTIALS_MAX {
        let message = format!("Too many Federated Identity Credentials: an identity has at most {CREDENTIALS_MAX}.");
        return Err(ApiError::new("BadRequest", message));
    }
    if let Some(mut object) = present {
        resource::put_body(ctx, &mut object, &call.json);
        ctx.change(&object.id, |o| *o = object.clone());
        return Ok(Reply::Json(200, shown::document(ctx, &object)));
    }
    let object = resource::new(ctx, AzureKind::FederatedCredential, &target.id(), &call.json);
    ctx.create(object.clone());
    Ok(Reply::Json(201, shown::document(ctx, &object)))
}
