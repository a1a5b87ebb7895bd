//! CloudFormation's read calls.

use super::{existing, stack::Stack, template, values};
use crate::state::stacks;
use crate::{wire::unknown_action, xml::Xml};
use cloudsim_core::{
    call::{Call, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
};

/// Events on one page.
const EVENT_PAGE: usize = 100;

/// Serves a read.
///
/// # Errors
/// As CloudFormation words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let mut x = Xml::new();
    match call.action.as_str() {
        "DescribeStacks" => describe_stacks(ctx, call, &mut x)?,
        "ListStacks" => {
            let wanted = call.params.values("StackStatusFilter.member");
            let mut stacks: Vec<&Stack> = stacks(ctx).values().collect();
            stacks.retain(|s| wanted.is_empty() || wanted.contains(&s.status));
            stacks.sort_by_key(|s| std::cmp::Reverse(s.created_us));
            x.list("StackSummaries", "member", stacks, |x, s| {
                x.leaf("StackId", &s.id).leaf("StackName", &s.name).leaf("StackStatus", &s.status);
                x.leaf("CreationTime", iso8601(s.created_us)).leaf_opt("DeletionTime", s.deleted_us.map(iso8601));
            });
        }
        "GetTemplate" => {
            let stack = stack(ctx, call)?;
            x.leaf("TemplateBody", &stack.body);
        }
        "ValidateTemplate" => {
            template::parse(call.params.text("TemplateBody"))?;
            x.node("Parameters", |_| {}).node("Capabilities", |_| {});
        }
        "DescribeStackResources" | "ListStackResources" | "DescribeStackResource" => {
            describe_resources(ctx, call, &mut x)?
        }
        "DescribeStackEvents" => describe_events(ctx, call, &mut x)?,
        _ => return Err(unknown_action(call)),
    }
    Ok(Reply::Query(x.finish()))
}

fn stack(ctx: &mut Ctx<'_>, call: &Call) -> Result<Stack> {
    let id = existing(ctx, call.params.text("StackName"))?;
    let found = stacks(ctx).get(&id).cloned();
    found.ok_or_else(|| values::invalid(format!("Stack with id {id} does not exist")))
}

fn describe_stacks(ctx: &mut Ctx<'_>, call: &Call, x: &mut Xml) -> Result<()> {
    if call.params.get("StackName").is_some() {
        let stack = stack(ctx, call)?;
        x.list("Stacks", "member", [&stack], render);
        return Ok(());
    }
    let horizon = ctx.horizon;
    let mut all: Vec<&Stack> = stacks(ctx).values().collect();
    all.retain(|s| s.deleted_us.is_none() && horizon.is_none_or(|h| s.created_us <= h));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let after = call.params.text("NextToken");
    let mut page: Vec<&Stack> = all.into_iter().filter(|s| s.id.as_str() > after).take(EVENT_PAGE + 1).collect();
    let more = page.len() > EVENT_PAGE;
    page.truncate(EVENT_PAGE);
    let next = page.last().filter(|_| more).map(|s| s.id.clone());
    x.list("Stacks", "member", page, render).leaf_opt("NextToken", next);
    Ok(())
}

fn render(x: &mut Xml, s: &Stack) {
    x.leaf("StackId", &s.id).leaf("StackName", &s.name).leaf("StackStatus", &s.status);
    x.leaf_opt("StackStatusReason", s.reason.as_ref()).leaf("CreationTime", iso8601(s.created_us));
    x.leaf_opt("LastUpdatedTime", s.updated_us.map(iso8601)).leaf_opt("DeletionTime", s.deleted_us.map(iso8601));
    x.leaf("DisableRollback", s.on_failure == super::OnFailure::DoNothing);
    x.leaf("EnableTerminationProtection", s.termination_protection);
    x.list("Capabilities", "member", &s.capabilities, |x, c| {
        x.raw(c);
    });
    x.list("Parameters", "member", &s.parameters, |x, (k, v)| {
        x.leaf("ParameterKey", k).leaf("ParameterValue", v);
    });
    x.list("Outputs", "member", &s.outputs, |x, (key, value, description, export)| {
        x.leaf("OutputKey", key).leaf("OutputValue", value);
        x.leaf_opt("Description", Some(description).filter(|d| !d.is_empty()));
        x.leaf_opt("ExportName", Some(export).filter(|e| !e.is_empty()));
    });
    x.tags("Tags", "member", ("Key", "Value"), &s.tags);
    x.node("DriftInformation", |x| {
        x.leaf("StackDriftStatus", "NOT_CHECKED");
    });
}

fn describe_resources(ctx: &mut Ctx<'_>, call: &Call, x: &mut Xml) -> Result<()> {
    let stack = stack(ctx, call)?;
    let wanted = call.params.get("LogicalResourceId");
    let shown = stack
        .resources
        .values()
        .chain(stack.leaving.values())
        .filter(|r| !r.status.is_empty() && wanted.is_none_or(|w| w == r.logical));
    let listing = call.action == "ListStackResources";
    let name = match call.action.as_str() {
        "ListStackResources" => "StackResourceSummaries",
        _ => "StackResources",
    };
    x.list(name, "member", shown, |x, r| {
        if !listing {
            x.leaf("StackName", &stack.name).leaf("StackId", &stack.id).leaf("Timestamp", iso8601(r.changed_us));
        } else {
            x.leaf("LastUpdatedTimestamp", iso8601(r.changed_us));
        }
        x.leaf("LogicalResourceId", &r.logical).leaf_opt("PhysicalResourceId", r.physical.as_ref());
        x.leaf("ResourceType", &r.kind).leaf("ResourceStatus", &r.status);
        x.leaf_opt("ResourceStatusReason", r.reason.as_ref());
    });
    Ok(())
}

fn describe_events(ctx: &mut Ctx<'_>, call: &Call, x: &mut Xml) -> Result<()> {
    let stack = stack(ctx, call)?;
    let skip: usize = call.params.text("NextToken").parse().unwrap_or(0);
    let newest_first = stack.events.iter().rev().skip(skip).take(EVENT_PAGE);
    x.list("StackEvents", "member", newest_first, |x, e| {
        x.leaf("StackId", &stack.id).leaf("EventId", &e.id).leaf("StackName", &stack.name);
        x.leaf("LogicalResourceId", &e.logical).leaf("PhysicalResourceId", &e.physical).leaf("ResourceType", &e.kind);
        x.leaf("Timestamp", iso8601(e.at_us)).leaf("ResourceStatus", &e.status);
        x.leaf_opt("ResourceStatusReason", e.reason.as_ref());
        x.leaf_opt("ClientRequestToken", Some(&stack.operation_token).filter(|t| !t.is_empty()));
    });
    let more = stack.events.len() > skip + EVENT_PAGE;
    x.leaf_opt("NextToken", more.then_some(skip + EVENT_PAGE));
    Ok(())
}
