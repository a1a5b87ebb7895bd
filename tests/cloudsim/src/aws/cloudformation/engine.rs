//! CloudFormation at work: resources in order of their dependencies, rollback, deletion with its retries.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html> for the statuses,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html> for failed deletions.

use super::{
    resources,
    stack::{OnFailure, Phase, Stack, StackEvent, StackResource},
    template::{Lookup, scalar},
};
use crate::{
    aws::ec2,
    call::AwsError,
    clock::Micros,
    duration,
    object::{Kind, Tags},
    schedule::Step,
    ctx::Ctx,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long CloudFormation retries a deletion that a dependency blocks.
const DELETE_RETRY_FOR_MS: u64 = 5 * 60_000;
/// Pause between such retries.
const DELETE_RETRY_PAUSE_MS: u64 = 15_000;

/// What `stack`'s template may refer to now.
#[must_use]
pub fn lookup(ctx: &Ctx<'_>, stack: &Stack) -> Lookup {
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

/// Goes on with a stack.
pub fn tick(ctx: &mut Ctx<'_>, id: &str) {
    with_stack(ctx, id, |ctx, stack| match stack.phase {
        Phase::Idle => {}
        Phase::Creating | Phase::Updating => go_on_creating(ctx, stack),
        Phase::RollingBack | Phase::Deleting => go_on_deleting(ctx, stack),
    });
}

/// CloudFormation's work on one resource has ended.
pub fn resource_done(ctx: &mut Ctx<'_>, id: &str, logical: &str, operation: u64) {
    with_stack(ctx, id, |ctx, stack| {
        if stack.operation != operation {
            return;
        }
        let in_leaving = stack.leaving.contains_key(logical) && stack.phase == Phase::Updating;
        let set = if in_leaving { &mut stack.leaving } else { &mut stack.resources };
        let Some(resource) = set.get(logical).cloned() else { return };
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

/// Takes the stack out while it is worked on, so that it and the world can both change.
pub fn with_stack(ctx: &mut Ctx<'_>, id: &str, act: impl FnOnce(&mut Ctx<'_>, &mut Stack)) {
    if let Some(mut stack) = ctx.scope().stacks.remove(id) {
        act(ctx, &mut stack);
        ctx.scope().stacks.insert(id.to_owned(), stack);
        ctx.world.dirty = true;
    }
}

/// How long the resource takes to create, as drawn for it.
fn create_ms(ctx: &Ctx<'_>, stack: &str, logical: &str, kind: &str) -> u64 {
    let name = format!("{stack}/{logical}");
    let own = ctx.draw(resources::create_span(kind), &name);
    if kind == "AWS::EC2::NatGateway" { own + ctx.draw(duration::NAT_CREATE, &name) } else { own }
}

/// The critical path of creating `stack`: the longest chain of its resources, with the stack's own overhead.
#[must_use]
pub fn predicted_ms(ctx: &Ctx<'_>, stack: &Stack) -> u64 {
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
    longest + ctx.draw(duration::STACK_OVERHEAD, &stack.name)
}

/// Enters a resource's status, with its event.
pub fn enter(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str, status: &str, reason: Option<String>) {
    let now = ctx.now;
    let set = if stack.resources.contains_key(logical) && !(stack.leaving.contains_key(logical) && status.starts_with("DELETE")) {
        &mut stack.resources
    } else {
        &mut stack.leaving
    };
    let Some(resource) = set.get_mut(logical) else { return };
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
pub fn enter_stack(ctx: &mut Ctx<'_>, stack: &mut Stack, status: &str, reason: Option<String>) {
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

fn go_on_creating(ctx: &mut Ctx<'_>, stack: &mut Stack) {
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

/// The outputs, once all resources exist.
///
/// # Errors
/// A reference that cannot be resolved.
pub fn outputs(ctx: &Ctx<'_>, stack: &Stack) -> Result<Vec<(String, String, String, String)>, AwsError> {
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
pub fn tags_of(stack: &Stack, logical: &str, properties: &Value) -> Tags {
    let mut tags = stack.tags.clone();
    for tag in properties.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        tags.insert(scalar(&tag["Key"]), scalar(&tag["Value"]));
    }
    for (key, value) in [("stack-name", stack.name.as_str()), ("stack-id", &stack.id), ("logical-id", logical)] {
        tags.insert(format!("aws:cloudformation:{key}"), value.to_owned());
    }
    tags
}

fn begin_resource(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) -> Result<(), String> {
    let Some(resource) = stack.resources.get(logical).cloned() else { return Ok(()) };
    let account = ctx.key.account.clone();
    let planned = ctx.world.faults.plan("cloudformation", &format!("Resource:{}", resource.kind), &account).error;
    let found = lookup(ctx, stack);
    let raw = found.template.pointer(&format!("/Resources/{logical}/Properties")).cloned().unwrap_or_default();
    let properties = found.resolve(&raw).map_err(|e| e.message)?;
    enter(ctx, stack, logical, "CREATE_IN_PROGRESS", None);
    if let Some(error) = planned {
        return Err(failure_text(ctx, &resource.kind, &AwsError::new(error.code, error.message).status(error.status)));
    }
    let order = resources::Order {
        kind: &resource.kind,
        name: format!("{}/{logical}", stack.name),
        properties: &properties,
        tags: tags_of(stack, logical, &properties),
        default_name: format!("{}-{logical}-{}", stack.name, ctx.world.capitals(12)),
    };
    let made = resources::create(ctx, &order);
    let made = made.map_err(|e| failure_text(ctx, &resource.kind, &e))?;
    let ms = create_ms(ctx, &stack.name, logical, &resource.kind);
    if let Some(resource) = stack.resources.get_mut(logical) {
        resource.physical = Some(made.physical);
        resource.attributes = made.attributes;
        resource.properties = properties;
    }
    enter(ctx, stack, logical, "CREATE_IN_PROGRESS", Some("Resource creation Initiated".to_owned()));
    ctx.after(ms, Step::StackResource { stack: stack.id.clone(), logical: logical.to_owned(), operation: stack.operation });
    Ok(())
}

/// How a resource handler words the error of another service.
fn failure_text(ctx: &mut Ctx<'_>, kind: &str, error: &AwsError) -> String {
    let service = match kind.split("::").nth(1) {
        Some("IAM") => "Iam",
        _ => "Ec2",
    };
    let handler = match error.code.as_str() {
        c if c.contains("LimitExceeded") => "ServiceLimitExceeded",
        c if c.contains("NotFound") || c == "NoSuchEntity" => "NotFound",
        c if c.contains("AlreadyExists") || c.contains("Duplicate") => "AlreadyExists",
        "RequestLimitExceeded" | "Throttling" => "Throttling",
        c if c.starts_with("Invalid") || c == "ValidationError" => "InvalidRequest",
        _ => "GeneralServiceException",
    };
    let (request, token) = (ctx.world.uuid(), ctx.world.uuid());
    format!(
        "Resource handler returned message: \"{} (Service: {service}, Status Code: {}, Request ID: {request}, Error Code: {})\" (RequestToken: {token}, HandlerErrorCode: {handler})",
        error.message, error.status, error.code
    )
}

fn creation_failed(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str, reason: &str) {
    enter(ctx, stack, logical, "CREATE_FAILED", Some(reason.to_owned()));
    if stack.phase == Phase::Updating {
        let Some(before) = stack.before.take() else { return };
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
        OnFailure::Rollback => (Phase::RollingBack, "ROLLBACK_IN_PROGRESS", format!("{list} Rollback requested by user.")),
        OnFailure::Delete => (Phase::Deleting, "DELETE_IN_PROGRESS", format!("{list} Delete requested by user.")),
    };
    stack.phase = phase;
    enter_stack(ctx, stack, status, Some(text));
    let ms = ctx.draw(duration::STACK_OVERHEAD, &format!("{}/rollback", stack.name));
    ctx.after(ms, Step::StackTick { stack: stack.id.clone() });
}

/// Begins to delete everything that exists and is not retained.
pub fn begin_deletion(ctx: &mut Ctx<'_>, stack: &mut Stack) {
    stack.operation += 1;
    stack.phase = Phase::Deleting;
    for resource in stack.resources.values_mut() {
        resource.delete_since_us = None;
    }
    enter_stack(ctx, stack, "DELETE_IN_PROGRESS", Some("User Initiated".to_owned()));
    let ms = ctx.draw(duration::STACK_OVERHEAD, &format!("{}/delete", stack.name));
    ctx.after(ms, Step::StackTick { stack: stack.id.clone() });
}

fn go_on_deleting(ctx: &mut Ctx<'_>, stack: &mut Stack) {
    let retained = stack.retained.clone();
    let remains = |r: &StackResource| r.exists() && !retained.contains(&r.logical);
    let begun = |r: &StackResource| matches!(r.status.as_str(), "DELETE_IN_PROGRESS" | "DELETE_FAILED") && r.delete_since_us.is_some();
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
    let failed: Vec<&str> =
        stack.resources.values().filter(|r| remains(r)).filter(|r| r.status == "DELETE_FAILED").map(|r| r.logical.as_str()).collect();
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
pub fn try_delete(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) {
    let set = if stack.leaving.contains_key(logical) { &mut stack.leaving } else { &mut stack.resources };
    let Some(resource) = set.get_mut(logical) else { return };
    let snapshot = resource.clone();
    let account = ctx.key.account.clone();
    let planned = ctx.world.faults.plan("cloudformation", &format!("DeleteResource:{}", snapshot.kind), &account).error;
    let result = match planned {
        Some(error) => Err(AwsError::new(error.code, error.message).status(error.status)),
        None => resources::delete(ctx, &snapshot),
    };
    let step = Step::StackResource { stack: stack.id.clone(), logical: logical.to_owned(), operation: stack.operation };
    match result {
        Ok(own_ms) => {
            resource.deleted = true;
            let name = format!("{}/{logical}/delete", stack.name);
            let ms = own_ms + ctx.draw(duration::STACK_RESOURCE_DELETE, &name);
            ctx.after(ms, step);
        }
        Err(error) => {
            let since: Micros = snapshot.delete_since_us.unwrap_or(ctx.now);
            let waited = ctx.world.clock.sim_ms_between(since, ctx.now);
            let blocked = matches!(error.code.as_str(), "DependencyViolation" | "InvalidIPAddress.InUse" | "DeleteConflict");
            if blocked && waited < i64::try_from(DELETE_RETRY_FOR_MS).unwrap_or(i64::MAX) {
                ctx.after(DELETE_RETRY_PAUSE_MS, step);
            } else {
                let text = failure_text(ctx, &snapshot.kind, &error);
                enter(ctx, stack, logical, "DELETE_FAILED", Some(text));
            }
        }
    }
}

/// Adds the stack's object to the world.
pub fn announce(ctx: &mut Ctx<'_>, stack: &Stack) {
    let mut object = crate::object::Object::new(Kind::Stack, &stack.id, stack.id.clone(), ctx.now);
    object.name = Some(stack.name.clone());
    object.state.clone_from(&stack.status);
    object.tags = stack.tags.clone();
    ctx.create(object);
}
