//! Long-running operations: how they begin, where a client polls, how they end.
//!
//! <https://github.com/cloud-and-ai-microsoft/resource-provider-contract/blob/master/v1.0/async-api-reference.md>: a PUT returns 201
//! or 200 with `Azure-AsyncOperation`, a DELETE 202 with that and `Location`, both with `Retry-After`. The status document is
//! 200 whatever it says; a `Location` returns 202 until the end, then 204 or the error itself.

use super::{
    id::Target,
    kind::AzureKind,
    resource, shown,
    state::{Failure, Operation, Status, Verb},
    step::AzureStep,
    throttle, wire,
};
use crate::state::AzureState;
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// The address that clients have of Resource Manager; a test's transport leads it here.
pub(crate) const HOST: &str = "https://management.azure.com";
/// Simulated seconds after which a client should ask again, as the services say it.
const RETRY_S: f64 = 10.0;
/// The same for the deletion of a resource group.
const GROUP_RETRY_S: f64 = 15.0;

/// How long an operation that has ended can be requested: a day.
const KEPT_MS: u64 = 24 * 3_600_000;
/// Operations among which it is not worth looking for old ones.
const KEPT_AT_LEAST: usize = 1_024;

impl Verb {
    /// The word of journal and critical path.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Begins an operation on the resource `key` that takes `sim_ms`; gives its id.
pub(crate) fn begin(ctx: &mut Ctx<'_>, service: &str, key: &str, verb: Verb, sim_ms: u64) -> String {
    let id = open(ctx, service, key, verb);
    ctx.begin_work(verb.word(), key, sim_ms);
    for_parent(ctx, key, verb);
    ctx.after(sim_ms, AzureStep::Done { operation: id.clone() });
    id
}

/// Counts work on a subnet, which has no tags, for the network that it lies in.
fn for_parent(ctx: &mut Ctx<'_>, key: &str, verb: Verb) {
    let parent = key.rsplitn(3, '/').last().unwrap_or_default();
    let Some(tags) = ctx.scope().live(parent).map(|o| o.tags.clone()) else {
        return;
    };
    if let Some(work) = ctx.world.work.get_mut(&(key.to_owned(), verb.word().to_owned()))
        && work.object.tags.is_empty()
    {
        work.object.tags = tags;
    }
}

/// Begins an operation that something else ends.
pub(crate) fn open(ctx: &mut Ctx<'_>, service: &str, key: &str, verb: Verb) -> String {
    let id = ctx.world.uuid();
    let operation = Operation {
        id: id.clone(),
        service: service.to_owned(),
        subscription: ctx.key.account.clone(),
        resource: key.to_owned(),
        verb,
        status: Status::InProgress,
        start_us: ctx.now,
        end_us: None,
        error: None,
    };
    forget_old(ctx);
    ctx.world.states.of_mut::<AzureState>().operations.insert(id.clone(), operation);
    ctx.adjust(key, |o| o.set("operation", id.clone()));
    id
}

/// Forgets operations that ended a day ago, from time to time.
fn forget_old(ctx: &mut Ctx<'_>) {
    let oldest = ctx.now - ctx.world.clock.wall_us(KEPT_MS);
    let operations = &mut ctx.world.states.of_mut::<AzureState>().operations;
    if !operations.is_empty() && operations.len().is_multiple_of(KEPT_AT_LEAST) {
        operations.retain(|_, o| o.end_us.is_none_or(|end| end > oldest));
    }
}

/// Ends an operation.
pub(crate) fn end(ctx: &mut Ctx<'_>, id: &str, error: Option<Failure>) {
    let now = ctx.now;
    let Some(operation) = ctx.world.states.of_mut::<AzureState>().operations.get_mut(id) else {
        return;
    };
    operation.status = if error.is_some() { Status::Failed } else { Status::Succeeded };
    operation.end_us = Some(now);
    operation.error = error;
    let (key, verb) = (operation.resource.clone(), operation.verb);
    ctx.end_work(verb.word(), &key);
    ctx.world.dirty = true;
}

/// Where the operation's status and result are.
fn addresses(ctx: &Ctx<'_>, call: &Call, id: &str, object: &Object) -> (Option<String>, String) {
    let subscription = format!("{HOST}/subscriptions/{}", ctx.key.account);
    let version = call.params.text("api-version");
    let location = resource::location(object);
    match call.service.as_str() {
        "containerservice" => {
            let base = format!("{subscription}/providers/Microsoft.ContainerService/locations/{location}");
            // AKS serves its operations under one old version whatever was requested.
            let at = |what: &str| format!("{base}/{what}/{id}?api-version=2016-03-30");
            (Some(at("operations")), at("operationresults"))
        }
        "dns" => {
            let group = object.vpc.clone().unwrap_or_default();
            let base = format!("{subscription}/resourceGroups/{group}/providers/Microsoft.Network");
            let at = |what: &str| format!("{base}/{what}/{id}?api-version={version}");
            (Some(at("dnsOperationStatuses")), at("dnsOperationResults"))
        }
        "resources" => (None, format!("{subscription}/operationresults/{id}?api-version={version}")),
        service => {
            let namespace = if service == "compute" { "Microsoft.Compute" } else { "Microsoft.Network" };
            let base = format!("{subscription}/providers/{namespace}/locations/{location}");
            let at = |what: &str| format!("{base}/{what}/{id}?api-version={version}");
            (Some(at("operations")), at("operationResults"))
        }
    }
}

/// The response to a PUT that began an operation.
pub(crate) fn put_response(ctx: &Ctx<'_>, call: &Call, status: u16, id: &str, object: &Object, body: Value) -> Reply {
    let (async_operation, _) = addresses(ctx, call, id, object);
    let mut headers: wire::Headers = Vec::new();
    headers.extend(async_operation.map(|a| ("azure-asyncoperation", a)));
    headers.extend(throttle::retry_after(ctx, RETRY_S));
    Reply::Headed(status, body, headers)
}

/// The response to a DELETE that began an operation.
pub(crate) fn delete_response(ctx: &Ctx<'_>, call: &Call, id: &str, object: &Object) -> Reply {
    let (async_operation, location) = addresses(ctx, call, id, object);
    let mut headers: wire::Headers = vec![("location", location)];
    headers.extend(async_operation.map(|a| ("azure-asyncoperation", a)));
    let retry_s = if call.service == "resources" { GROUP_RETRY_S } else { RETRY_S };
    headers.extend(throttle::retry_after(ctx, retry_s));
    Reply::Headed(202, Value::Null, headers)
}

/// Answers a question about an operation.
pub(crate) fn get(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let found = ctx.world.states.of::<AzureState>().operations.get(target.name()).cloned();
    let operation = found.filter(|o| o.subscription == ctx.key.account && o.service == call.service);
    let Some(operation) = operation else {
        let message = format!("The entity was not found: operation {}.", target.name());
        return Err(ApiError::new("NotFound", message).status(404));
    };
    let leaf = target.types.last().map(|t| t.to_lowercase()).unwrap_or_default();
    let running = operation.status == Status::InProgress;
    let wait = if running { throttle::retry_after(ctx, RETRY_S) } else { Vec::new() };
    if leaf.ends_with("results") {
        return result(ctx, call, &operation, wait);
    }
    let mut body = json!({
        "name": operation.id, "status": operation.status, "startTime": iso8601(operation.start_us),
    });
    if let Some(end) = operation.end_us {
        body["endTime"] = iso8601(end).into();
    }
    if let Some(error) = &operation.error {
        body["error"] = json!({ "code": error.code, "message": error.message, "details": [] });
    }
    Ok(Reply::Headed(200, body, wait))
}

/// What a `Location` responds.
fn result(ctx: &mut Ctx<'_>, call: &Call, operation: &Operation, mut wait: wire::Headers) -> Result<Reply> {
    if operation.status == Status::InProgress {
        wait.push(("location", format!("{HOST}/{}?{}", call.path.join("/"), call.query)));
        return Ok(Reply::Headed(202, Value::Null, wait));
    }
    if let Some(error) = &operation.error {
        return Err(ApiError::new(&error.code, &error.message).status(error.status));
    }
    match (operation.verb, ctx.seen(&operation.resource)) {
        (Verb::Create | Verb::Update, Some(object)) => Ok(Reply::Json(200, shown::document(ctx, &object))),
        // Resource Manager itself says 200 where the providers say 204.
        _ if operation.service == "resources" => Ok(Reply::Json(200, Value::Null)),
        _ => Ok(Reply::Json(204, Value::Null)),
    }
}

/// The failure that a fault rule wants of the cloud's own work.
pub(crate) fn planned_failure(ctx: &mut Ctx<'_>, kind: AzureKind, verb: Verb) -> Option<Failure> {
    let info = kind.info();
    let action = if verb == Verb::Delete { info.gone } else { info.ready };
    let account = ctx.key.account.clone();
    let error = ctx.world.faults.plan(info.service, action, &account).error?;
    Some(Failure { code: error.code, message: error.message, status: error.status })
}

/// Refuses a change of something that another operation changes.
///
/// # Errors
/// AnotherOperationInProgress, as the network provider words it.
pub(crate) fn check_idle(ctx: &Ctx<'_>, object: &Object) -> Result<()> {
    if !matches!(object.state.as_str(), "Updating" | "Deleting" | "Creating") {
        return Ok(());
    }
    let message = format!(
        "Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: {}/subscriptions/{}/providers/Microsoft.Network/locations/{}/operations/{}?api-version=2024-05-01.",
        HOST,
        ctx.key.account,
        resource::location(object),
        object.text("operation")
    );
    Err(ApiError::new("AnotherOperationInProgress", message).status(409))
}

/// Begins the deletion of a resource whose checks have passed; gives the operation's id.
pub(crate) fn begin_delete(ctx: &mut Ctx<'_>, object: &Object, sim_ms: u64) -> String {
    let service = resource::kind_of(object).map_or("resources", |k| k.info().service);
    ctx.change(&object.id, |o| "Deleting".clone_into(&mut o.state));
    begin(ctx, service, &object.id, Verb::Delete, sim_ms)
}

/// An operation fails, and with it what it worked on.
pub(crate) fn fail(ctx: &mut Ctx<'_>, operation: &Operation, object: &Object, failure: Failure) {
    ctx.remark(format!("{}: {}", failure.code, failure.message));
    ctx.change(&object.id, |o| "Failed".clone_into(&mut o.state));
    end(ctx, &operation.id, Some(failure));
}
