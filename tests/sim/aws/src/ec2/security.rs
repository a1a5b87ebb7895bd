//! Security groups and their rules.
//!
//! A group goes only when no interface uses it and no other group's rule names it:
//! <https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html>.

use super::existing;
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Params, Result},
    ctx::Ctx,
    object::{Object, Tags},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Permission {
    /// `tcp`, `-1`, ….
    pub protocol: String,
    /// First port.
    pub from: Option<i64>,
    /// Last port.
    pub to: Option<i64>,
    /// Address blocks.
    pub cidrs: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
}

/// Makes a group with the default egress rule.
///
/// # Errors
/// No such VPC, name taken, quota.
pub(crate) fn create_group(ctx: &mut Ctx<'_>, vpc: &str, name: &str, description: &str, tags: Tags) -> Result<String> {
    existing(ctx, AwsKind::Vpc, vpc)?;
    let unique = format!("{vpc}/{name}");
    if ctx.scope().named(AwsKind::SecurityGroup, &unique).is_some() {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(ApiError::new("InvalidGroup.Duplicate", message));
    }
    let present = ctx.scope().count(AwsKind::SecurityGroup);
    ctx.within_quota("security-groups", present).map_err(|_| {
        ApiError::new("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
    })?;
    let id = format!("sg-{}", ctx.world.hex(17));
    let arn = ctx.arn("ec2", &format!("security-group/{id}"));
    let mut group = Object::new(AwsKind::SecurityGroup, &id, arn, ctx.now);
    group.name = Some(unique);
    group.vpc = Some(vpc.to_owned());
    group.tags = tags;
    let everywhere = Permission {
        protocol: "-1".to_owned(),
        from: None,
        to: None,
        cidrs: vec!["0.0.0.0/0".to_owned()],
        groups: Vec::new(),
    };
    set_rules(&mut group, "egress", &[everywhere]);
    set_rules(&mut group, "ingress", &[]);
    ctx.create(group.with("group_name", name).with("description", description));
    Ok(id)
}

/// The rules of one direction.
#[must_use]
pub(crate) fn rules(group: &Object, direction: &str) -> Vec<Permission> {
    group.props.get(direction).and_then(|v| serde_json::from_value(v.clone()).ok()).unwrap_or_default()
}

/// Replaces the rules of one direction.
pub(crate) fn set_rules(group: &mut Object, direction: &str, rules: &[Permission]) {
    group.set(direction, serde_json::to_value(rules).unwrap_or(Value::Null));
}

/// Removes a group that nothing uses.
///
/// # Errors
/// Not found, default, or DependencyViolation.
pub(crate) fn delete_group(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    let group = existing(ctx, AwsKind::SecurityGroup, id)?;
    if group.text("group_name") == "default" {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(ApiError::new("CannotDelete", message));
    }
    if let Some(blocker) = user_of(ctx, &group) {
        ctx.remark(format!("{id} is held by {blocker}"));
        return Err(ApiError::new("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    ctx.delete(id);
    Ok(())
}

/// What still uses a group.
pub(crate) fn user_of(ctx: &mut Ctx<'_>, group: &Object) -> Option<String> {
    let vpc = group.vpc.clone().unwrap_or_default();
    let uses = |o: &&Object| match AwsKind::of(o.kind) {
        Some(AwsKind::NetworkInterface) => o.texts("groups").any(|g| g == group.id),
        Some(AwsKind::SecurityGroup) => {
            o.id != group.id
                && ["ingress", "egress"].iter().any(|d| rules(o, d).iter().any(|r| r.groups.contains(&group.id)))
        }
        _ => false,
    };
    ctx.scope().in_vpc(&vpc).find(uses).map(|o| o.id.clone())
}

fn permissions(p: &Params) -> Vec<Permission> {
    p.items("IpPermissions")
        .iter()
        .map(|i| Permission {
            protocol: i.text("IpProtocol").to_owned(),
            from: i.get("FromPort").and_then(|v| v.parse().ok()),
            to: i.get("ToPort").and_then(|v| v.parse().ok()),
            cidrs: i.items("IpRanges").iter().map(|r| r.text("CidrIp").to_owned()).collect(),
            groups: i.items("Groups").iter().map(|g| g.text("GroupId").to_owned()).collect(),
        })
        .collect()
}

/// Adds or removes rules as a caller requests.
///
/// # Errors
/// No such group; adding what is there; removing what is not.
pub(crate) fn change_rules(ctx: &mut Ctx<'_>, p: &Params, direction: &str, add: bool) -> Result<()> {
    let id = p.text("GroupId");
    let group = existing(ctx, AwsKind::SecurityGroup, id)?;
    let mut present = rules(&group, direction);
    for wanted in permissions(p) {
        if add {
            add_rule(ctx, id, direction, wanted)?;
            continue;
        }
        let before = present.len();
        let fits = |r: &Permission| {
            r.protocol == wanted.protocol
                && (wanted.groups.is_empty() || wanted.groups.iter().all(|g| r.groups.contains(g)))
                && (wanted.cidrs.is_empty() || wanted.cidrs.iter().all(|c| r.cidrs.contains(c)))
                && wanted.from == r.from
        };
        present.retain(|r| !fits(r));
        if present.len() == before {
            let message = "The specified rule does not exist in this security group.";
            return Err(ApiError::new("InvalidPermission.NotFound", message));
        }
        let now = present.clone();
        ctx.change(id, |o| set_rules(o, direction, &now));
    }
    Ok(())
}

/// Adds one rule.
///
/// # Errors
/// No such group, or the rule is there.
pub(crate) fn add_rule(ctx: &mut Ctx<'_>, id: &str, direction: &str, rule: Permission) -> Result<()> {
    let mut present = rules(&existing(ctx, AwsKind::SecurityGroup, id)?, direction);
    if present.contains(&rule) {
        let message = "the specified rule already exists";
        return Err(ApiError::new("InvalidPermission.Duplicate", message));
    }
    present.push(rule);
    ctx.change(id, |o| set_rules(o, direction, &present));
    Ok(())
}

/// Removes one rule if it is there.
pub(crate) fn remove_rule(ctx: &mut Ctx<'_>, id: &str, direction: &str, rule: &Permission) {
    ctx.change(id, |o| {
        let mut present = rules(o, direction);
        present.retain(|r| r != rule);
        set_rules(o, direction, &present);
    });
}
