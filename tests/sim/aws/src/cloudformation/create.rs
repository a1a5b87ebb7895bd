//! Creating a stack's resources, in order of their dependencies, and giving up when one fails.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html> for the statuses.

use super::{
    order::Order,
    progress::{create_ms, enter, enter_stack, failure_text, lookup, outputs, tags_of},
    resources,
    stack::{OnFailure, Phase, Stack, StackResource},
};
use crate::{
    durations,
    rights::{self, stack::Handler},
    step::AwsStep,
};
use cloudsim_core::{call::ApiError, ctx::Ctx};

/// Begins whatever is ready to be made; ends the operation when all is there.
pub(super) fn go_on_creating(ctx: &mut Ctx<'_>, stack: &mut Stack) {
    let complete = |r: &StackResource| matches!(r.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE");
    loop {
        let ready: Vec<String> = stack
            .resources
            .values()
            .filter(|r| r.status.is_empty() && r.needs.iter().all(|n| stack.resources.get(n).is_some_and(complete)))
            .map(|r| r.logical.clone())
            .collect();
        if ready.is_empty() {
            break;
        }
        for logical in ready {
            if let Err(error) = begin_resource(ctx, stack, &logical) {
                creation_failed(ctx, stack, &logical, &error);
                return;
            }
        }
    }
    if !stack.resources.values().all(complete) {
        return;
    }
    if stack.phase == Phase::Updating {
        return super::update::finish(ctx, stack);
    }
    match outputs(ctx, stack) {
        Ok(found) => stack.outputs = found,
        Err(error) => return creation_failed(ctx, stack, "Outputs", &error.message),
    }
    stack.phase = Phase::Idle;
    ctx.end_work("create", &stack.id);
    enter_stack(ctx, stack, "CREATE_COMPLETE", None);
}

fn begin_resource(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) -> Result<(), String> {
    let Some(resource) = stack.resources.get(logical).cloned() else {
        return Ok(());
    };
    let account = ctx.key.account.clone();
    let planned = ctx.world.faults.plan("cloudformation", &format!("Resource:{}", resource.kind), &account).error;
    let found = lookup(ctx, stack);
    let raw = found.template.pointer(&format!("/Resources/{logical}/Properties")).cloned().unwrap_or_default();
    let properties = found.resolve(&raw).map_err(|e| e.message)?;
    enter(ctx, stack, logical, "CREATE_IN_PROGRESS", None);
    if let Some(error) = planned {
        return Err(failure_text(ctx, &resource.kind, &ApiError::new(error.code, error.message).status(error.status)));
    }
    let order = Order {
        kind: &resource.kind,
        name: format!("{}/{logical}", stack.name),
        properties: &properties,
        tags: tags_of(stack, logical, &properties),
        default_name: format!("{}-{logical}-{}", stack.name, ctx.world.capitals(12)),
    };
    let role = if resource.kind == "AWS::IAM::Role" { order.name_or_default("RoleName") } else { String::new() };
    let allowed = rights::stack::check(ctx, stack, &resource.kind, Handler::Create, &role);
    let made = allowed.and_then(|()| resources::create(ctx, &order));
    let made = made.map_err(|e| failure_text(ctx, &resource.kind, &e))?;
    let ms = create_ms(ctx, &stack.name, logical, &resource.kind);
    if let Some(resource) = stack.resources.get_mut(logical) {
        resource.physical = Some(made.physical);
        resource.attributes = made.attributes;
        resource.properties = properties;
    }
    enter(ctx, stack, logical, "CREATE_IN_PROGRESS", Some("Resource creation Initiated".to_owned()));
    ctx.after(
        ms,
        AwsStep::StackResource { stack: stack.id.clone(), logical: logical.to_owned(), operation: stack.operation },
    );
    Ok(())
}

fn creation_failed(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str, reason: &str) {
    enter(ctx, stack, logical, "CREATE_FAILED", Some(reason.to_owned()));
    if stack.phase == Phase::Updating {
        let Some(before) = stack.before.take() else {
            return;
        };
        return super::update::fail(ctx, stack, logical, *before);
    }
    let others: Vec<String> =
        stack.resources.values().filter(|r| r.status == "CREATE_IN_PROGRESS").map(|r| r.logical.clone()).collect();
    for other in others {
        enter(ctx, stack, &other, "CREATE_FAILED", Some("Resource creation cancelled".to_owned()));
    }
    stack.operation += 1;
    ctx.end_work("create", &stack.id);
    ctx.remark(reason);
    let list = format!("The following resource(s) failed to create: [{logical}].");
    let (phase, status, text) = match stack.on_failure {
        OnFailure::DoNothing => (Phase::Idle, "CREATE_FAILED", list),
        OnFailure::Rollback => {
            (Phase::RollingBack, "ROLLBACK_IN_PROGRESS", format!("{list} Rollback requested by user."))
        }
        OnFailure::Delete => (Phase::Deleting, "DELETE_IN_PROGRESS", format!("{list} Delete requested by user.")),
    };
    stack.phase = phase;
    enter_stack(ctx, stack, status, Some(text));
    let ms = ctx.draw(durations::STACK_OVERHEAD, &format!("{}/rollback", stack.name));
    ctx.after(ms, AwsStep::StackTick { stack: stack.id.clone() });
}
