//! CloudFormation: stacks by the query protocol.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html>. `template` is pure, `engine` works
//! through stacks, `resources` knows the types, `describe` serves reads.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod engine;
pub(crate) mod identity;
pub(crate) mod intrinsics;
pub(crate) mod network;
pub(crate) mod order;
pub(crate) mod progress;
pub(crate) mod resources;
pub(crate) mod stack;
pub(crate) mod template;
pub(crate) mod update;
pub(crate) mod values;

use crate::xml::Xml;
use crate::{arn::Arn as _, durations, kind::AwsKind, state::stacks, step::AwsStep};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
};
use serde_json::Value;
use stack::{OnFailure, Phase, Stack};
use std::collections::{BTreeMap, BTreeSet};
use values::invalid;

/// Larger templates must come from S3.
const MAX_BODY_BYTES: usize = 51_200;

/// Handles a call.
///
/// # Errors
/// As CloudFormation words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let mut x = Xml::new();
    match call.action.as_str() {
        "CreateStack" => {
            let id = create_stack(ctx, call)?;
            x.leaf("StackId", id);
        }
        "UpdateStack" => {
            let id = update_stack(ctx, call)?;
            x.leaf("StackId", id);
        }
        "DeleteStack" => delete_stack(ctx, call)?,
        "UpdateTerminationProtection" => {
            let id = existing(ctx, call.params.text("StackName"))?;
            let on = call.params.text("EnableTerminationProtection") == "true";
            progress::with_stack(ctx, &id, |_, stack| stack.termination_protection = on);
            x.leaf("StackId", id);
        }
        _ => return describe::handle(ctx, call),
    }
    Ok(Reply::Query(x.finish()))
}

/// The id of the stack with this name or id; a deleted one only by id.
///
/// # Errors
/// ValidationError.
pub(crate) fn existing(ctx: &mut Ctx<'_>, name: &str) -> Result<String> {
    let horizon = ctx.horizon;
    let id = ctx.scope().named(AwsKind::Stack, name).map_or_else(|| name.to_owned(), |o| o.id.clone());
    let found = stacks(ctx).get(&id).filter(|s| horizon.is_none_or(|h| s.created_us <= h));
    found.map(|s| s.id.clone()).ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))
}

fn given_parameters(call: &Call, before: Option<&Stack>) -> BTreeMap<String, String> {
    call.params
        .items("Parameters.member")
        .iter()
        .filter_map(|p| {
            let key = p.text("ParameterKey").to_owned();
            if p.text("UsePreviousValue") == "true" {
                return before?.parameters.get(&key).map(|v| (key.clone(), v.clone()));
            }
            Some((key, p.text("ParameterValue").to_owned()))
        })
        .collect()
}

fn check_types(template: &Value, capabilities: &[String]) -> Result<()> {
    let resources: Vec<&Value> = template["Resources"].as_object().into_iter().flat_map(|r| r.values()).collect();
    let kinds: BTreeSet<&str> = resources.iter().filter_map(|r| r["Type"].as_str()).collect();
    let unknown: Vec<&str> = kinds.iter().copied().filter(|k| !resources::known(k)).collect();
    if !unknown.is_empty() {
        return Err(invalid(format!("Template format error: Unrecognized resource types: [{}]", unknown.join(", "))));
    }
    let named = resources.iter().any(|r| {
        ["RoleName", "ManagedPolicyName", "InstanceProfileName"].iter().any(|k| r["Properties"].get(*k).is_some())
    });
    let needed = match (kinds.iter().any(|k| k.starts_with("AWS::IAM::")), named) {
        (false, _) => return Ok(()),
        (true, true) => "CAPABILITY_NAMED_IAM",
        (true, false) => "CAPABILITY_IAM",
    };
    if capabilities.iter().any(|c| c == needed || c == "CAPABILITY_NAMED_IAM") {
        return Ok(());
    }
    Err(ApiError::new("InsufficientCapabilitiesException", format!("Requires capabilities : [{needed}]")))
}

fn body_of(call: &Call) -> Result<String> {
    let body = call.params.text("TemplateBody");
    if body.is_empty() {
        return Err(invalid("Either Template URL or Template Body must be specified."));
    }
    if body.len() > MAX_BODY_BYTES {
        let message = "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200";
        return Err(invalid(message));
    }
    Ok(body.to_owned())
}

fn on_failure(call: &Call) -> OnFailure {
    let disabled = call.params.text("DisableRollback") == "true";
    match call.params.text("OnFailure") {
        "DELETE" => OnFailure::Delete,
        "DO_NOTHING" => OnFailure::DoNothing,
        _ if disabled => OnFailure::DoNothing,
        _ => OnFailure::Rollback,
    }
}

/// Refuses a name that is none.
fn check_name(name: &str) -> Result<()> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if good {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

/// The stack that this very request made before.
///
/// # Errors
/// Another request's stack has the name, or the token.
fn made_before(ctx: &mut Ctx<'_>, name: &str, token: &str) -> Result<Option<String>> {
    if let Some(object) = ctx.scope().named(AwsKind::Stack, name).cloned() {
        let same = stacks(ctx).get(&object.id).is_some_and(|s| !token.is_empty() && s.token == token);
        if same {
            return Ok(Some(object.id));
        }
        return Err(ApiError::new("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    if !token.is_empty() && stacks(ctx).values().any(|s| s.token == token) {
        return Err(ApiError::new("TokenAlreadyExistsException", "A client request token already exists."));
    }
    Ok(None)
}

fn create_stack(ctx: &mut Ctx<'_>, call: &Call) -> Result<String> {
    let name = call.params.text("StackName");
    let token = call.client_token().unwrap_or_default();
    check_name(name)?;
    if let Some(id) = made_before(ctx, name, &token)? {
        return Ok(id);
    }
    let body = body_of(call)?;
    let parsed = template::parse(&body)?;
    check_types(&parsed, &call.params.values("Capabilities.member"))?;
    let parameters = template::parameters(&parsed, &given_parameters(call, None))?;
    let present = ctx.scope().count(AwsKind::Stack);
    if let Err(limit) = ctx.within_quota("stacks", present) {
        let message = format!("Limit for stack has been exceeded ({limit})");
        return Err(ApiError::new("LimitExceededException", message));
    }
    let mut stack = ordered(ctx, call, body, parameters);
    let id = stack.id.clone();
    let needs = template::graph(&progress::lookup(ctx, &stack))?;
    for (logical, wants) in needs {
        let kind = parsed.pointer(&format!("/Resources/{logical}/Type")).map(values::scalar).unwrap_or_default();
        stack.resources.insert(logical.clone(), update::planned(&logical, &kind, wants, ctx.now));
    }
    "CREATE_IN_PROGRESS".clone_into(&mut stack.status);
    progress::announce(ctx, &stack);
    progress::enter_stack(ctx, &mut stack, "CREATE_IN_PROGRESS", Some("User Initiated".to_owned()));
    let predicted = progress::predicted_ms(ctx, &stack);
    ctx.begin_work("create", &id, predicted);
    let overhead = ctx.draw(durations::STACK_OVERHEAD, name);
    ctx.after(overhead, AwsStep::StackTick { stack: id.clone() });
    stacks(ctx).insert(id.clone(), stack);
    Ok(id)
}

/// The stack of a request, without its resources.
fn ordered(ctx: &mut Ctx<'_>, call: &Call, body: String, parameters: BTreeMap<String, String>) -> Stack {
    let name = call.params.text("StackName");
    let token = call.client_token().unwrap_or_default();
    let uuid = ctx.world.uuid();
    Stack {
        id: ctx.arn("cloudformation", &format!("stack/{name}/{uuid}")),
        name: name.to_owned(),
        status: String::new(),
        reason: None,
        created_us: ctx.now,
        updated_us: None,
        deleted_us: None,
        body,
        parameters,
        capabilities: call.params.values("Capabilities.member"),
        tags: call.params.tags("Tags.member"),
        operation_token: token.clone(),
        token,
        on_failure: on_failure(call),
        caller: call.caller.clone(),
        termination_protection: call.params.text("EnableTerminationProtection") == "true",
        resources: BTreeMap::new(),
        leaving: BTreeMap::new(),
        outputs: Vec::new(),
        events: Vec::new(),
        operation: 1,
        phase: Phase::Creating,
        before: None,
        retained: BTreeSet::new(),
    }
}

fn update_stack(ctx: &mut Ctx<'_>, call: &Call) -> Result<String> {
    let id = existing(ctx, call.params.text("StackName"))?;
    let Some(mut stack) = stacks(ctx).get(&id).cloned() else {
        return Err(invalid("no such stack"));
    };
    let updatable = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"];
    if !updatable.contains(&stack.status.as_str()) {
        return Err(invalid(format!("Stack:{id} is in {} state and can not be updated.", stack.status)));
    }
    let mut next = stack.clone();
    if call.params.text("UsePreviousTemplate") != "true" {
        next.body = body_of(call)?;
    }
    let parsed = template::parse(&next.body)?;
    next.capabilities = call.params.values("Capabilities.member");
    check_types(&parsed, &next.capabilities)?;
    next.parameters = template::parameters(&parsed, &given_parameters(call, Some(&stack)))?;
    let tags = call.params.tags("Tags.member");
    if !tags.is_empty() {
        next.tags = tags;
    }
    next.operation_token = call.client_token().unwrap_or_default();
    next.caller = call.caller.clone();
    update::begin(ctx, &mut stack, next)?;
    stacks(ctx).insert(id.clone(), stack);
    Ok(id)
}

fn delete_stack(ctx: &mut Ctx<'_>, call: &Call) -> Result<()> {
    // Deleting what is absent succeeds: <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html>
    let Ok(id) = existing(ctx, call.params.text("StackName")) else {
        return Ok(());
    };
    let Some(stack) = stacks(ctx).get(&id).cloned() else {
        return Ok(());
    };
    let retain: BTreeSet<String> = call.params.values("RetainResources.member").into_iter().collect();
    if stack.termination_protection {
        return Err(invalid(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    if !retain.is_empty() && stack.status != "DELETE_FAILED" {
        return Err(invalid(format!(
            "Invalid operation on stack [{id}]. When you delete a stack, specify which resources to retain only when the stack is in the DELETE_FAILED state."
        )));
    }
    if stack.status == "DELETE_COMPLETE" || stack.phase == Phase::Deleting {
        return Ok(());
    }
    progress::with_stack(ctx, &id, |ctx, stack| {
        stack.retained = retain;
        stack.operation_token = call.client_token().unwrap_or_default();
        stack.caller = call.caller.clone();
        delete::begin_deletion(ctx, stack);
    });
    Ok(())
}
