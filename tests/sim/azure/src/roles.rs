//! Role assignments: one per principal, role and scope, named by a GUID of the caller's choice.
//!
//! <https://learn.microsoft.com/rest/api/authorization/role-assignments/create>; errors:
//! <https://learn.microsoft.com/azure/role-based-access-control/troubleshooting>. They authorise nothing here.

use super::{id::Target, kind::AzureKind, principal, references, resource, shown, wire::unknown};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

const KIND: AzureKind = AzureKind::RoleAssignment;

/// Handles a call.
///
/// # Errors
/// In the service's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    match call.action.as_str() {
        "roleAssignments.CreateOrUpdate" => put(ctx, call, target),
        "roleAssignments.Get" => {
            let object = resource::seen(ctx, KIND, &target.key()).ok_or_else(|| {
                let message = format!("The role assignment '{}' is not found.", target.name());
                ApiError::new("RoleAssignmentNotFound", message).status(404)
            })?;
            Ok(Reply::Json(200, shown::document(ctx, &object)))
        }
        "roleAssignments.List" | "roleAssignments.ListAll" => list(ctx, call, target),
        "roleAssignments.Delete" => {
            let Some(object) = resource::present(ctx, KIND, &target.key()) else {
                return Ok(Reply::Json(204, Value::Null));
            };
            let body = shown::document(ctx, &object);
            references::remove(ctx, &object.id);
            Ok(Reply::Json(200, body))
        }
        _ => Err(unknown(call)),
    }
}

fn lower(object: &Object, pointer: &str) -> String {
    resource::doc_text(object, pointer).to_lowercase()
}

fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::open_group(ctx, target)?;
    if !principal::is_guid(target.name()) {
        let message =
            format!("The role assignment ID '{}' is not valid. The role assignment ID must be a GUID.", target.name());
        return Err(ApiError::new("InvalidRoleAssignmentId", message));
    }
    let text = |name: &str| call.json["properties"][name].as_str().unwrap_or_default().to_owned();
    let (who, role) = (text("principalId"), text("roleDefinitionId"));
    if !principal::is_guid(&who) || role.is_empty() {
        let message = "The request to create a role assignment needs a principalId and a roleDefinitionId.";
        return Err(ApiError::new("InvalidCreateRoleAssignmentRequest", message));
    }
    let same = |o: &Object| {
        lower(o, "/properties/principalId") == who.to_lowercase()
            && lower(o, "/properties/roleDefinitionId") == role.to_lowercase()
    };
    if let Some(object) = resource::present(ctx, KIND, &target.key()) {
        if same(&object) {
            // The same assignment again is no error under its own name.
            return Ok(Reply::Json(200, shown::document(ctx, &object)));
        }
        let message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
        return Err(ApiError::new("RoleAssignmentUpdateNotPermitted", message).status(409));
    }
    let scope = target.scope.to_lowercase();
    let rival = ctx
        .scope()
        .of_kind(KIND)
        .find(|o| o.is_live() && same(o) && lower(o, "/properties/scope") == scope)
        .and_then(|o| o.name.clone());
    if let Some(rival) = rival {
        let message = format!(
            "The role assignment already exists. The ID of the conflicting role assignment is {}.",
            rival.replace('-', "")
        );
        return Err(ApiError::new("RoleAssignmentExists", message).status(409));
    }
    let mut object = resource::new(ctx, KIND, &target.id(), &call.json);
    let (scope, when) = (target.scope.clone(), iso8601(ctx.now));
    resource::amend(&mut object, |doc| {
        doc["properties"]["scope"] = scope.into();
        doc["properties"]["createdOn"] = when.clone().into();
        doc["properties"]["updatedOn"] = when.into();
        if doc["properties"]["principalType"].is_null() {
            doc["properties"]["principalType"] = "ServicePrincipal".into();
        }
    });
    ctx.create(object.clone());
    Ok(Reply::Json(201, shown::document(ctx, &object)))
}

/// Assignments at a scope, above and below it; `$filter` as the portal sends it.
fn list(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let filter = call.params.text("$filter");
    let wanted =
        filter.split_once("principalId eq '").and_then(|(_, rest)| rest.split('\'').next()).map(str::to_lowercase);
    let scope = target.scope.to_lowercase();
    let at_scope = filter.contains("atScope()");
    let fits = |o: &&Object| {
        let own = lower(o, "/properties/scope");
        let related = scope.starts_with(&own) || (!at_scope && own.starts_with(&scope));
        o.is_live() && related && wanted.as_ref().is_none_or(|w| lower(o, "/properties/principalId") == *w)
    };
    let mut found: Vec<Object> = ctx.scope().of_kind(KIND).filter(fits).cloned().collect();
    found.retain(|o| ctx.sees(o.created_us));
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let value: Vec<Value> = found.iter().map(|o| shown::document(ctx, o)).collect();
    Ok(Reply::Json(200, json!({ "value": value })))
}
