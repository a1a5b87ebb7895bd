//! CloudFormation at work: steps of stacks, their statuses and events. Creating is `create`, deleting `delete`.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html> for the statuses,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html> for failed deletions.

use super::{
    create::go_on_creating,
    delete::{go_on_deleting, try_delete},
    progress::{enter, with_stack},
    stack::Phase,
};
use cloudsim_core::ctx::Ctx;

/// Goes on with a stack.
pub(crate) fn tick(ctx: &mut Ctx<'_>, id: &str) {
    with_stack(ctx, id, |ctx, stack| match stack.phase {
        Phase::Idle => {}
        Phase::Creating | Phase::Updating => go_on_creating(ctx, stack),
        Phase::RollingBack | Phase::Deleting => go_on_deleting(ctx, stack),
    });
}

/// CloudFormation's work on one resource has ended.
pub(crate) fn resource_done(ctx: &mut Ctx<'_>, id: &str, logical: &str, operation: u64) {
    with_stack(ctx, id, |ctx, stack| {
        if stack.operation != operation {
            return;
        }
        let in_leaving = stack.leaving.contains_key(logical) && stack.phase == Phase::Updating;
        let set = if in_leaving { &mut stack.leaving } else { &mut stack.resources };
        let Some(resource) = set.get(logical).cloned() else {
            return;
        };
        match resource.status.as_str() {
            "CREATE_IN_PROGRESS" => enter(ctx, stack, logical, "CREATE_COMPLETE", None),
            "UPDATE_IN_PROGRESS" => enter(ctx, stack, logical, "UPDATE_COMPLETE", None),
            "DELETE_IN_PROGRESS" if resource.deleted => enter(ctx, stack, logical, "DELETE_COMPLETE", None),
            "DELETE_IN_PROGRESS" => try_delete(ctx, stack, logical),
            _ => return,
        }
        match stack.phase {
            Phase::Idle => {}
            Phase::Creating | Phase::Updating => go_on_creating(ctx, stack),
            Phase::RollingBack | Phase::Deleting => go_on_deleting(ctx, stack),
        }
    });
}
