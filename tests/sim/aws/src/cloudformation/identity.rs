//! The resource types of IAM.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_IAM.html>.

use super::{
    order::{Made, Order, made},
    stack::StackResource,
    values::scalar,
};
use crate::iam;
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::Value;

/// Makes a resource of IAM; `ctx` is in the global scope.
///
/// # Errors
/// As IAM words them.
pub(crate) fn create(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    match o.kind {
        "AWS::IAM::Role" => {
            let name = o.name_or_default("RoleName");
            let trust = o.properties.get("AssumeRolePolicyDocument").map(ToString::to_string).unwrap_or_default();
            let arn = iam::create_role(ctx, &name, &trust, o.tags.clone(), &o.texts("ManagedPolicyArns"))?;
            let inline = o.properties.get("Policies").and_then(Value::as_array).into_iter().flatten();
            let inline: Vec<String> = inline.map(|p| scalar(&p["PolicyName"])).collect();
            ctx.adjust(&arn, |r| r.set("inline_policies", inline));
            let role_id = ctx.scope().live(&arn).map(|r| r.text("role_id").to_owned()).unwrap_or_default();
            Ok(made(name, &[("Arn", arn), ("RoleId", role_id)]))
        }
        "AWS::IAM::InstanceProfile" => {
            let name = o.name_or_default("InstanceProfileName");
            let arn = ctx.arn("iam", &format!("instance-profile/{name}"));
            if ctx.scope().named(AwsKind::InstanceProfile, &name).is_some() {
                let message = format!("Instance Profile {name} already exists.");
                return Err(ApiError::new("EntityAlreadyExists", message).status(409));
            }
            let mut profile = Object::new(AwsKind::InstanceProfile, &arn, arn.clone(), ctx.now);
            profile.name = Some(name.clone());
            ctx.create(profile.with("roles", o.texts("Roles")));
            Ok(made(name, &[("Arn", arn)]))
        }
        "AWS::IAM::ManagedPolicy" => {
            let name = o.name_or_default("ManagedPolicyName");
            let arn = ctx.arn("iam", &format!("policy/{name}"));
            if ctx.scope().live(&arn).is_some() {
                let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
                return Err(ApiError::new("EntityAlreadyExists", message).status(409));
            }
            let mut policy = Object::new(AwsKind::ManagedPolicy, &arn, arn.clone(), ctx.now);
            policy.name = Some(name);
            ctx.create(policy);
            for role in o.texts("Roles") {
                iam::change_policies(ctx, &role, &arn, true)?;
            }
            Ok(made(&arn, &[("PolicyArn", arn.clone())]))
        }
        _ => {
            let name = o.name_or_default("PolicyName");
            change_inline(ctx, &o.texts("Roles"), &name, true)?;
            Ok(made(name.clone(), &[("Id", name)]))
        }
    }
}

fn change_inline(ctx: &mut Ctx<'_>, roles: &[String], policy: &str, add: bool) -> Result<()> {
    for role in roles {
        let Some(object) = ctx.scope().named(AwsKind::Role, role).cloned() else {
            if add {
                return Err(iam::no_such_entity("role", role));
            }
            continue;
        };
        let mut names: Vec<String> = object.texts("inline_policies").map(str::to_owned).collect();
        names.retain(|n| n != policy);
        if add {
            names.push(policy.to_owned());
        }
        ctx.change(&object.id, |r| r.set("inline_policies", names));
    }
    Ok(())
}

/// Deletes a resource of IAM; `ctx` is in the global scope.
///
/// # Errors
/// As IAM words them; DeleteConflict if others attached something.
pub(crate) fn delete(ctx: &mut Ctx<'_>, r: &StackResource, physical: &str) -> Result<()> {
    let texts = |key: &str| -> Vec<String> {
        r.properties.get(key).and_then(Value::as_array).into_iter().flatten().map(scalar).collect()
    };
    match r.kind.as_str() {
        "AWS::IAM::Role" => {
            // The handler detaches what the template attached; anything attached by others is a DeleteConflict.
            let own = texts("ManagedPolicyArns");
            let inline = r.properties.get("Policies").and_then(Value::as_array).into_iter().flatten();
            let inline: Vec<String> = inline.map(|p| scalar(&p["PolicyName"])).collect();
            let Some(role) = ctx.scope().named(AwsKind::Role, physical).cloned() else {
                return Ok(());
            };
            let left = |key: &str, own: &[String]| -> Vec<String> {
                role.texts(key).filter(|p| !own.iter().any(|o| o == p)).map(str::to_owned).collect()
            };
            let (policies, inline) = (left("policies", &own), left("inline_policies", &inline));
            if policies.is_empty() && inline.is_empty() {
                ctx.adjust(&role.id, |o| {
                    o.set("policies", policies);
                    o.set("inline_policies", inline);
                });
            }
            iam::delete_role(ctx, physical)
        }
        "AWS::IAM::InstanceProfile" => {
            let id = ctx.scope().named(AwsKind::InstanceProfile, physical).map(|p| p.id.clone());
            if let Some(id) = id {
                ctx.delete(&id);
            }
            Ok(())
        }
        "AWS::IAM::ManagedPolicy" => {
            for role in texts("Roles") {
                let _ = iam::change_policies(ctx, &role, physical, false);
            }
            ctx.delete(physical);
            Ok(())
        }
        _ => change_inline(ctx, &texts("Roles"), physical, false),
    }
}
