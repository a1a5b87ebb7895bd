//! Deleting a stack's resources against the order of their dependencies, with retries while something blocks.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html#troubleshooting-errors-delete-stack-fails>.

use super::{
    progress::{enter, enter_stack, failure_text},
    resources,
    stack::{Phase, Stack, StackResource},
};
use crate::{
    durations,
    rights::{self, stack::Handler},
    step::AwsStep,
};
use cloudsim_core::{call::ApiError, clock::Micros, ctx::Ctx};

/// How long CloudFormation retries a deletion that a dependency blocks.
const DELETE_RETRY_FOR_MS: u64 = 5 * 60_000;

/// Pause between such retries.
const DELETE_RETRY_PAUSE_MS: u64 = 15_000;

/// Begins to delete everything that exists and is not retained.
pub(crate) fn begin_deletion(ctx: &mut Ctx<'_>, stack: &mut Stack) {
    stack.operation += 1;
    stack.phase = Phase::Deleting;
    for resource in stack.resources.values_mut() {
        resource.delete_since_us = None;
    }
    enter_stack(ctx, stack, "DELETE_IN_PROGRESS", Some("User Initiated".to_owned()));
    let ms = ctx.draw(durations::STACK_OVERHEAD, &format!("{}/delete", stack.name));
    ctx.after(ms, AwsStep::StackTick { stack: stack.id.clone() });
}

/// Begins whatever is ready to go; ends the operation when nothing moves any more.
pub(super) fn go_on_deleting(ctx: &mut Ctx<'_>, stack: &mut Stack) {
    let retained = stack.retained.clone();
    let remains = |r: &StackResource| r.exists() && !retained.contains(&r.logical);
    let begun = |r: &StackResource| {
        matches!(r.status.as_str(), "DELETE_IN_PROGRESS" | "DELETE_FAILED") && r.delete_since_us.is_some()
    };
    let ready: Vec<String> = stack
        .resources
        .values()
        .filter(|r| remains(r) && !begun(r))
        .filter(|r| !stack.resources.values().any(|other| remains(other) && other.needs.contains(&r.logical)))
        .map(|r| r.logical.clone())
        .collect();
    for logical in &ready {
        if let Some(resource) = stack.resources.get_mut(logical) {
            resource.delete_since_us = Some(ctx.now);
            resource.deleted = false;
        }
        enter(ctx, stack, logical, "DELETE_IN_PROGRESS", None);
        try_delete(ctx, stack, logical);
    }
    let busy = stack.resources.values().any(|r| r.status == "DELETE_IN_PROGRESS" && remains(r));
    if busy {
        return;
    }
    let failed: Vec<&str> = stack
        .resources
        .values()
        .filter(|r| remains(r))
        .filter(|r| r.status == "DELETE_FAILED")
        .map(|r| r.logical.as_str())
        .collect();
    let rolling_back = stack.phase == Phase::RollingBack;
    if !failed.is_empty() {
        let reason = format!("The following resource(s) failed to delete: [{}]. ", failed.join(", "));
        stack.phase = Phase::Idle;
        enter_stack(ctx, stack, if rolling_back { "ROLLBACK_FAILED" } else { "DELETE_FAILED" }, Some(reason));
        return;
    }
    stack.phase = Phase::Idle;
    if rolling_back {
        enter_stack(ctx, stack, "ROLLBACK_COMPLETE", None);
        return;
    }
    stack.deleted_us = Some(ctx.now);
    enter_stack(ctx, stack, "DELETE_COMPLETE", None);
    ctx.delete(&stack.id.clone());
}

/// Tries to delete one resource; a dependency is retried for a while, then fails.
pub(crate) fn try_delete(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) {
    let set = if stack.leaving.contains_key(logical) { &stack.leaving } else { &stack.resources };
    let Some(snapshot) = set.get(logical).cloned() else {
        return;
    };
    let allowed = rights::stack::check(ctx, stack, &snapshot.kind, Handler::Delete, snapshot.role());
    let set = if stack.leaving.contains_key(logical) { &mut stack.leaving } else { &mut stack.resources };
    let Some(resource) = set.get_mut(logical) else {
        return;
    };
    let account = ctx.key.account.clone();
    let planned = ctx.world.faults.plan("cloudformation", &format!("DeleteResource:{}", snapshot.kind), &account).error;
    let result = match planned {
        Some(error) => Err(ApiError::new(error.code, error.message).status(error.status)),
        None => allowed.and_then(|()| resources::delete(ctx, &snapshot)),
    };
    let step =
        AwsStep::StackResource { stack: stack.id.clone(), logical: logical.to_owned(), operation: stack.operation };
    match result {
        Ok(own_ms) => {
            resource.deleted = true;
            let name = format!("{}/{logical}/delete", stack.name);
            let ms = own_ms + ctx.draw(durations::STACK_RESOURCE_DELETE, &name);
            ctx.after(ms, step);
        }
        Err(error) => {
            let since: Micros = snapshot.delete_since_us.unwrap_or(ctx.now);
            let waited = ctx.world.clock.sim_ms_between(since, ctx.now);
            let blocked =
                matches!(error.code.as_str(), "DependencyViolation" | "InvalidIPAddress.InUse" | "DeleteConflict");
            if blocked && waited < i64::try_from(DELETE_RETRY_FOR_MS).unwrap_or(i64::MAX) {
                ctx.after(DELETE_RETRY_PAUSE_MS, step);
            } else {
                let text = failure_text(ctx, &snapshot.kind, &error);
                enter(ctx, stack, logical, "DELETE_FAILED", Some(text));
            }
        }
    }
}
