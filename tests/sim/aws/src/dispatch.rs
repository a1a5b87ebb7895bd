//! Which handler serves a call, and which service a step belongs to.

use crate::{cloudformation, ec2, eks, elbv2, iam, logs, route53, step::AwsStep, sts, tagging};
use cloudsim_core::{
    call::{Call, Reply, Result},
    ctx::Ctx,
};

/// Handles a call.
///
/// # Errors
/// In the service's own words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    match call.service.as_str() {
        "cloudformation" => cloudformation::handle(ctx, call),
        "ec2" => ec2::handle(ctx, call),
        "eks" => eks::handle(ctx, call),
        "elasticloadbalancing" => elbv2::handle(ctx, call),
        "iam" => iam::handle(ctx, call),
        "logs" => logs::handle(ctx, call),
        "route53" => route53::handle(ctx, call),
        "sts" => sts::handle(ctx, call),
        _ => tagging::handle(ctx, call),
    }
}

/// Applies a step of the cloud; the response names service and action for the journal.
pub(crate) fn step(ctx: &mut Ctx<'_>, step: &AwsStep) -> (&'static str, &'static str) {
    match step {
        AwsStep::StackTick { stack } => {
            cloudformation::engine::tick(ctx, stack);
            ("cloudformation", "StackProgress")
        }
        AwsStep::StackResource { stack, logical, operation } => {
            cloudformation::engine::resource_done(ctx, stack, logical, *operation);
            ("cloudformation", "StackProgress")
        }
        AwsStep::SetState { id, state } => {
            let waiting = ctx.scope().live(id).is_some_and(|o| matches!(o.state.as_str(), "pending" | "provisioning"));
            if waiting {
                ctx.change(id, |o| o.state.clone_from(state));
                ctx.end_work("create", id);
            }
            ("ec2", "StateChange")
        }
        AwsStep::ServiceObjectGone { id } => {
            ec2::interfaces::service_object_gone(ctx, id);
            ("ec2", "DeletionCompleted")
        }
        AwsStep::Eks { id, step } => ("eks", eks::lifecycle::step(ctx, id, step)),
    }
}
