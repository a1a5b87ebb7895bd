//! Role assignments. They have no tags and are named by a UUID, which here comes from what they
//! assign; the markers are in the description.

use serde::Deserialize;
use serde_json::json;

use crate::{
    api,
    arm::If,
    error::Result,
    names::{Call, uuid},
    object::Object,
    tags,
};

/// Built-in roles: <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles>.
pub(crate) const NETWORK_CONTRIBUTOR: &str = "4d97b98b-1d4f-4787-a291-c67834d212e7";
/// See [`NETWORK_CONTRIBUTOR`].
pub(crate) const DNS_ZONE_CONTRIBUTOR: &str = "befefa01-2a29-4197-83a8-272ff33ce314";

/// What is read of an assignment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Assignment {
    principal_id: String,
    role_definition_id: String,
    description: String,
}

fn id(scope: &str, role: &str, principal: &str) -> String {
    let name = uuid(&[scope, role, principal]);
    format!("{scope}/providers/{}/{name}", api::ASSIGNMENT.name)
}

/// Makes the assignment exist.
pub(crate) async fn ensure(call: &Call<'_>, scope: &str, role: &str, principal: &str) -> Result<()> {
    let id = id(scope, role, principal);
    let definition =
        format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", call.names.subscription_id());
    if let Some(present) = call.arm.get::<Assignment>(&api::ASSIGNMENT, &id).await? {
        if !tags::line_is_ours(call.scope, &present.properties.description) {
            return Err(tags::name_taken("role assignment", &id).into());
        }
        let same = present.properties.principal_id.eq_ignore_ascii_case(principal)
            && present.properties.role_definition_id.to_ascii_lowercase().ends_with(role);
        if same {
            return Ok(());
        }
    }
    let body = json!({ "properties": {
        "roleDefinitionId": definition,
        "principalId": principal,
        // Spares the observation into Entra, where a new identity takes minutes to appear.
        "principalType": "ServicePrincipal",
        "description": tags::line(call.scope, "role-assignment"),
    }});
    match call.arm.put(&api::ASSIGNMENT, &id, &body, If::Always).await {
        Ok(_) => Ok(()),
        // Somebody gave the principal this role here under another name: it has it.
        Err(error) if error.code() == "RoleAssignmentExists" => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the assignment is there and ours.
pub(crate) async fn find(
    call: &Call<'_>,
    scope: &str,
    role: &str,
    principal: &str,
) -> Result<Option<Object<Assignment>>> {
    let found = call.arm.get::<Assignment>(&api::ASSIGNMENT, &id(scope, role, principal)).await?;
    Ok(found.filter(|a| tags::line_is_ours(call.scope, &a.properties.description)))
}

/// Takes the assignment away; gives it if it was there and ours.
pub(crate) async fn remove(
    call: &Call<'_>,
    scope: &str,
    role: &str,
    principal: &str,
) -> Result<Option<Object<Assignment>>> {
    let Some(found) = find(call, scope, role, principal).await? else { return Ok(None) };
    call.arm.delete(&api::ASSIGNMENT, &id(scope, role, principal)).await?;
    Ok(Some(found))
}
