//! How a stack and its resources stand: their statuses with their events, what a template may refer to by now, what a
//! change takes. Decides nothing: `engine`, `create`, `delete` and `update` do.

use super::{
    intrinsics::Lookup,
    resources,
    stack::{Stack, StackEvent},
    values::scalar,
};
use crate::{durations, ec2, kind::AwsKind, state::stacks};
use cloudsim_core::{call::ApiError, ctx::Ctx, object::Tags};
use serde_json::Value;
use std::collections::BTreeMap;

/// What `stack`'s template may refer to now.
#[must_use]
pub(crate) fn lookup(ctx: &Ctx<'_>, stack: &Stack) -> Lookup {
    let mut parameters = stack.parameters.clone();
    for (name, value) in [
        ("AWS::Region", ctx.key.region.as_str()),
        ("AWS::AccountId", &ctx.key.account),
        ("AWS::StackName", &stack.name),
        ("AWS::StackId", &stack.id),
        ("AWS::Partition", "aws"),
        ("AWS::URLSuffix", "amazonaws.com"),
    ] {
        parameters.insert(name.to_owned(), value.to_owned());
    }
    let made = || stack.resources.values().filter(|r| r.physical.is_some());
    Lookup {
        template: stack.template(),
        parameters,
        zones: ec2::zones(&ctx.key.region),
        physical: made().map(|r| (r.logical.clone(), r.physical.clone().unwrap_or_default())).collect(),
        attributes: made().map(|r| (r.logical.clone(), r.attributes.clone())).collect(),
    }
}

/// Takes the stack out while it is worked on, so that it and the world can both change.
pub(crate) fn with_stack(ctx: &mut Ctx<'_>, id: &str, act: impl FnOnce(&mut Ctx<'_>, &mut Stack)) {
    if let Some(mut stack) = stacks(ctx).remove(id) {
        act(ctx, &mut stack);
        stacks(ctx).insert(id.to_owned(), stack);
        ctx.world.dirty = true;
    }
}

/// How long the resource takes to create, as drawn for it.
pub(super) fn create_ms(ctx: &Ctx<'_>, stack: &str, logical: &str, kind: &str) -> u64 {
    let name = format!("{stack}/{logical}");
    let own = ctx.draw(resources::create_span(kind), &name);
    if kind == "AWS::EC2::NatGateway" { own + ctx.draw(durations::NAT_CREATE, &name) } else { own }
}

/// The critical path of creating `stack`: the longest chain of its resources, with the stack's own overhead.
#[must_use]
pub(crate) fn predicted_ms(ctx: &Ctx<'_>, stack: &Stack) -> u64 {
    fn chain(ctx: &Ctx<'_>, stack: &Stack, logical: &str, known: &mut BTreeMap<String, u64>) -> u64 {
        if let Some(ms) = known.get(logical) {
            return *ms;
        }
        let resource = &stack.resources[logical];
        let before = resource.needs.iter().map(|n| chain(ctx, stack, n, known)).max().unwrap_or(0);
        let ms = before + create_ms(ctx, &stack.name, logical, &resource.kind);
        known.insert(logical.to_owned(), ms);
        ms
    }
    let mut known = BTreeMap::new();
    let longest = stack.resources.keys().map(|l| chain(ctx, stack, l, &mut known)).max().unwrap_or(0);
    longest + ctx.draw(durations::STACK_OVERHEAD, &stack.name)
}

/// Enters a resource's status, with its event.
pub(crate) fn enter(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str, status: &str, reason: Option<String>) {
    let now = ctx.now;
    let set = if stack.resources.contains_key(logical)
        && !(stack.leaving.contains_key(logical) && status.starts_with("DELETE"))
    {
        &mut stack.resources
    } else {
        &mut stack.leaving
    };
    let Some(resource) = set.get_mut(logical) else {
        return;
    };
    status.clone_into(&mut resource.status);
    resource.reason.clone_from(&reason);
    resource.changed_us = now;
    let (physical, kind) = (resource.physical.clone().unwrap_or_default(), resource.kind.clone());
    let event = StackEvent {
        id: format!("{logical}-{}", ctx.world.uuid()),
        at_us: now,
        logical: logical.to_owned(),
        physical,
        kind,
        status: status.to_owned(),
        reason,
    };
    stack.events.push(event);
}

/// Enters the stack's status, with its event; the object in the world follows.
pub(crate) fn enter_stack(ctx: &mut Ctx<'_>, stack: &mut Stack, status: &str, reason: Option<String>) {
    status.clone_into(&mut stack.status);
    stack.reason.clone_from(&reason);
    let event = StackEvent {
        id: ctx.world.uuid(),
        at_us: ctx.now,
        logical: stack.name.clone(),
        physical: stack.id.clone(),
        kind: "AWS::CloudFormation::Stack".to_owned(),
        status: status.to_owned(),
        reason,
    };
    stack.events.push(event);
    ctx.change(&stack.id.clone(), |o| status.clone_into(&mut o.state));
}

/// The outputs, once all resources exist.
///
/// # Errors
/// A reference that cannot be resolved.
pub(crate) fn outputs(ctx: &Ctx<'_>, stack: &Stack) -> Result<Vec<(String, String, String, String)>, ApiError> {
    let lookup = lookup(ctx, stack);
    let mut found = Vec::new();
    for (key, output) in lookup.template.get("Outputs").and_then(Value::as_object).into_iter().flatten() {
        let holds = output.get("Condition").and_then(Value::as_str).map_or(Ok(true), |c| lookup.condition(c))?;
        if !holds {
            continue;
        }
        let value = scalar(&lookup.resolve(output.get("Value").unwrap_or(&Value::Null))?);
        let description = output.get("Description").map(scalar).unwrap_or_default();
        let export = output.pointer("/Export/Name").map(|n| lookup.resolve(n)).transpose()?;
        found.push((key.clone(), value, description, export.map(|e| scalar(&e)).unwrap_or_default()));
    }
    Ok(found)
}

/// The tags that CloudFormation gives a resource: its own, the stack's, the system's.
#[must_use]
pub(crate) fn tags_of(stack: &Stack, logical: &str, properties: &Value) -> Tags {
    let mut tags = stack.tags.clone();
    for tag in properties.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        tags.insert(scalar(&tag["Key"]), scalar(&tag["Value"]));
    }
    for (key, value) in [("stack-name", stack.name.as_str()), ("stack-id", &stack.id), ("logical-id", logical)] {
        tags.insert(format!("aws:cloudformation:{key}"), value.to_owned());
    }
    tags
}

/// Adds the stack's object to the world.
pub(crate) fn announce(ctx: &mut Ctx<'_>, stack: &Stack) {
    let mut object = cloudsim_core::object::Object::new(AwsKind::Stack, &stack.id, stack.id.clone(), ctx.now);
    object.name = Some(stack.name.clone());
    object.state.clone_from(&stack.status);
    object.tags = stack.tags.clone();
    ctx.create(object);
}

/// How a resource handler words the error of another service.
pub(super) fn failure_text(ctx: &mut Ctx<'_>, kind: &str, error: &ApiError) -> String {
    let service = match kind.split("::").nth(1) {
        Some("IAM") => "Iam",
        _ => "Ec2",
    };
    let handler = match error.code.as_str() {
        c if c.contains("LimitExceeded") => "ServiceLimitExceeded",
        c if c.contains("NotFound") || c == "NoSuchEntity" => "NotFound",
        c if c.contains("AlreadyExists") || c.contains("Duplicate") => "AlreadyExists",
        "RequestLimitExceeded" | "Throttling" => "Throttling",
        "AccessDenied" | "UnauthorizedOperation" => "AccessDenied",
        c if c.starts_with("Invalid") || c == "ValidationError" => "InvalidRequest",
        _ => "GeneralServiceException",
    };
    let (request, token) = (ctx.world.uuid(), ctx.world.uuid());
    format!(
        "Resource handler returned message: \"{} (Service: {service}, Status Code: {}, Request ID: {request}, Error Code: {})\" (RequestToken: {token}, HandlerErrorCode: {handler})",
        error.message, error.status, error.code
    )
}
