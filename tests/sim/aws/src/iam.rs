//! IAM: roles with their policies, in the account's global scope.
//!
//! A role goes only without attached or inline policies and out of every instance profile (`DeleteConflict`):
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html>.

use crate::wire::unknown_action;
use crate::xml::Xml;
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
    object::{Object, Tags},
};

/// The error for what does not exist.
pub(crate) fn no_such_entity(what: &str, name: &str) -> ApiError {
    ApiError::new("NoSuchEntity", format!("The {what} with name {name} cannot be found.")).status(404)
}

fn role(ctx: &mut Ctx<'_>, name: &str) -> Result<Object> {
    ctx.named(AwsKind::Role, name).ok_or_else(|| no_such_entity("role", name))
}

/// Handles a call.
///
/// # Errors
/// As IAM words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let p = &call.params;
    let name = p.text("RoleName");
    let mut x = Xml::new();
    match call.action.as_str() {
        "GetRole" => {
            let role = role(ctx, name)?;
            x.node("Role", |x| render(x, &role));
        }
        "CreateRole" => {
            let document = p.text("AssumeRolePolicyDocument");
            create_role(ctx, name, document, p.tags("Tags.member"), &[])?;
            let role = ctx.scope().named(AwsKind::Role, name).cloned().ok_or_else(|| no_such_entity("role", name))?;
            x.node("Role", |x| render(x, &role));
        }
        "DeleteRole" => delete_role(ctx, name)?,
        "ListRoles" => list_roles(ctx, call, &mut x),
        "ListRoleTags" => {
            let role = role(ctx, name)?;
            x.tags("Tags", "member", ("Key", "Value"), &role.tags).leaf("IsTruncated", false);
        }
        "TagRole" => {
            let role = role(ctx, name)?;
            ctx.tag(&role.id, p.tags("Tags.member"));
        }
        "AttachRolePolicy" | "DetachRolePolicy" => {
            change_policies(ctx, name, p.text("PolicyArn"), call.action == "AttachRolePolicy")?;
        }
        "ListAttachedRolePolicies" => {
            let role = role(ctx, name)?;
            x.list("AttachedPolicies", "member", role.texts("policies"), |x, arn| {
                x.leaf("PolicyName", arn.rsplit('/').next().unwrap_or(arn)).leaf("PolicyArn", arn);
            });
            x.leaf("IsTruncated", false);
        }
        "ListRolePolicies" => {
            let role = role(ctx, name)?;
            x.list("PolicyNames", "member", role.texts("inline_policies"), |x, name| {
                x.raw(&quick_xml::escape::escape(name));
            });
            x.leaf("IsTruncated", false);
        }
        "ListInstanceProfilesForRole" => {
            role(ctx, name)?;
            x.node("InstanceProfiles", |_| {}).leaf("IsTruncated", false);
        }
        _ => return Err(unknown_action(call)),
    }
    Ok(Reply::Query(x.finish()))
}

fn render(x: &mut Xml, role: &Object) {
    let name = role.name.as_deref().unwrap_or_default();
    x.leaf("Path", "/").leaf("RoleName", name).leaf("RoleId", role.text("role_id")).leaf("Arn", &role.arn);
    x.leaf("CreateDate", iso8601(role.created_us)).leaf("MaxSessionDuration", 3_600);
    x.leaf("AssumeRolePolicyDocument", crate::sigv4::encode(role.text("assume_role_policy")));
    x.tags("Tags", "member", ("Key", "Value"), &role.tags);
}

fn list_roles(ctx: &mut Ctx<'_>, call: &Call, x: &mut Xml) {
    let after = call.params.text("Marker").to_owned();
    let limit: usize = call.params.get("MaxItems").and_then(|m| m.parse().ok()).unwrap_or(100);
    let horizon = ctx.horizon;
    let mut roles: Vec<Object> = ctx
        .scope()
        .named_under(AwsKind::Role, "")
        .filter(|o| o.name.as_deref() > Some(after.as_str()) && horizon.is_none_or(|h| o.created_us <= h))
        .take(limit + 1)
        .cloned()
        .collect();
    let more = roles.len() > limit;
    roles.truncate(limit);
    x.list("Roles", "member", &roles, render).leaf("IsTruncated", more);
    if more {
        x.leaf_opt("Marker", roles.last().and_then(|r| r.name.clone()));
    }
}

/// Makes a role; `ctx` must be in the global scope.
///
/// # Errors
/// Name taken, bad trust policy, quota.
pub(crate) fn create_role(
    ctx: &mut Ctx<'_>,
    name: &str,
    trust: &str,
    tags: Tags,
    policies: &[String],
) -> Result<String> {
    if name.is_empty() || name.len() > 64 || name.contains(['/', ' ', ':']) {
        return Err(ApiError::new(
            "ValidationError",
            format!("1 validation error detected: Value '{name}' at 'roleName' failed to satisfy constraint"),
        ));
    }
    if serde_json::from_str::<serde_json::Value>(trust).is_err() {
        return Err(ApiError::new("MalformedPolicyDocument", "This policy contains invalid Json"));
    }
    if ctx.scope().named(AwsKind::Role, name).is_some() {
        return Err(ApiError::new("EntityAlreadyExists", format!("Role with name {name} already exists.")).status(409));
    }
    let present = ctx.scope().count(AwsKind::Role);
    if let Err(limit) = ctx.within_quota("roles", present) {
        let message = format!("Cannot exceed quota for RolesPerAccount: {limit}");
        return Err(ApiError::new("LimitExceeded", message).status(409));
    }
    let arn = ctx.arn("iam", &format!("role/{name}"));
    let mut role = Object::new(AwsKind::Role, &arn, arn.clone(), ctx.now);
    role.name = Some(name.to_owned());
    role.tags = tags;
    let role_id = format!("AROA{}", ctx.world.capitals(17));
    ctx.create(role.with("role_id", role_id).with("assume_role_policy", trust).with("policies", policies.to_vec()));
    Ok(arn)
}

/// Removes a role without policies.
///
/// # Errors
/// Not found, or DeleteConflict.
pub(crate) fn delete_role(ctx: &mut Ctx<'_>, name: &str) -> Result<()> {
    let role = role(ctx, name)?;
    if role.texts("policies").next().is_some() || role.texts("inline_policies").next().is_some() {
        let message = "Cannot delete entity, must detach all policies first.";
        return Err(ApiError::new("DeleteConflict", message).status(409));
    }
    let profiled = ctx.scope().of_kind(AwsKind::InstanceProfile).any(|p| p.texts("roles").any(|r| r == name));
    if profiled {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(ApiError::new("DeleteConflict", message).status(409));
    }
    ctx.delete(&role.id);
    Ok(())
}

/// Attaches or detaches a managed policy.
///
/// # Errors
/// No such role, or not attached.
pub(crate) fn change_policies(ctx: &mut Ctx<'_>, name: &str, arn: &str, attach: bool) -> Result<()> {
    let role = role(ctx, name)?;
    let mut policies: Vec<String> = role.texts("policies").map(str::to_owned).collect();
    let present = policies.iter().any(|p| p == arn);
    match (attach, present) {
        (true, true) => return Ok(()),
        (true, false) => policies.push(arn.to_owned()),
        (false, true) => policies.retain(|p| p != arn),
        (false, false) => {
            return Err(ApiError::new("NoSuchEntity", format!("Policy {arn} was not found.")).status(404));
        }
    }
    ctx.change(&role.id, |o| o.set("policies", policies));
    Ok(())
}
