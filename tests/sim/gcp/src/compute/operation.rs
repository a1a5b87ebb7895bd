//! Operations of Compute: how a change goes on and ends, and how it is observed.
//!
//! <https://cloud.google.com/compute/docs/reference/rest/v1/globalOperations>. `wait` responds at once with the present
//! state, which its documentation allows. `requestId` must be a UUID and makes a repeated call give the same operation:
//! <https://cloud.google.com/compute/docs/reference/rest/v1/networks/insert>.

use super::{DELETING, READY, collections, filter::Filter, page, resource};
use crate::{
    durations::OPERATION_KEPT_MS,
    error::{invalid_field, no_resource},
    kinds::GcpKind,
    kinds::GcpStep,
    location::place,
    names::{COMPUTE, amend, document, instant, last, numeric, scope_of},
};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    faults::ErrorSpec,
    object::{Object, Owner},
};
use serde_json::{Value, json};

const OPERATION: GcpKind = GcpKind::Operation;

/// What an operation does to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It comes to be.
    Insert,
    /// It goes.
    Delete,
    /// It changes; it already has.
    Change,
}

impl Effect {
    fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Change => "change",
        }
    }
}

/// The operation that a call with the same `requestId` began, if one did.
///
/// # Errors
/// A `requestId` that is no UUID.
pub(crate) fn replay(ctx: &mut Ctx<'_>, call: &Call) -> Result<Option<Value>> {
    let Some(id) = call.params.get("requestId") else {
        return Ok(None);
    };
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    let zero = id.chars().all(|c| c == '0' || c == '-');
    if parts != [8, 4, 4, 4, 12] || zero || !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(invalid_field("requestId", id, "The request ID must be a valid non-zero UUID."));
    }
    Ok(ctx.scope().named(OPERATION, id).map(show))
}

/// Begins an operation on `target` that ends after `ms`, and gives its document.
///
/// # Errors
/// None; the form fits the callers.
pub(crate) fn begin(
    ctx: &mut Ctx<'_>,
    call: &Call,
    target: &str,
    effect: Effect,
    word: &str,
    ms: u64,
) -> Result<Value> {
    let project = call.var(0);
    let scope = scope_of(target);
    let (a, b, c) = (ctx.world.hex(13), ctx.world.hex(8), ctx.world.hex(8));
    let name = format!("operation-{}-{a}-{b}-{c}", ctx.now / 1_000);
    let id = format!("projects/{project}/{scope}/operations/{name}");
    let target_id = ctx.scope().get(target).map(|o| document(o).get("id").cloned().unwrap_or_default());
    let mut doc = json!({
        "kind": "compute#operation",
        "id": numeric(&ctx.world.hex(16)),
        "name": name,
        "operationType": word,
        "insertTime": instant(ctx.now),
        "startTime": instant(ctx.now),
        "progress": 0,
        "status": "RUNNING",
        "selfLink": format!("{COMPUTE}{id}"),
        "targetId": target_id,
        "targetLink": format!("{COMPUTE}{target}"),
        "user": call.caller.arn,
    });
    if let Some((level, place)) = scope.split_once('/') {
        let key = if level == "zones" { "zone" } else { "region" };
        doc[key] = json!(format!("{COMPUTE}projects/{project}/{level}/{place}"));
    }
    if let Some(request) = call.params.get("requestId") {
        doc["clientOperationId"] = json!(request);
    }
    let mut object = Object::new(OPERATION, &id, String::new(), ctx.now);
    object.owner = Owner::Default;
    object.name = call.params.get("requestId").map(str::to_owned);
    "RUNNING".clone_into(&mut object.state);
    let object = object
        .with("doc", doc)
        .with("target", target)
        .with("effect", effect.word())
        .with("method", call.action.clone())
        .with("service", "compute");
    let body = show(&object);
    // Put, not created: an operation is no object of the account.
    ctx.scope().put(object);
    ctx.after(ms, GcpStep::Compute { operation: id });
    Ok(body)
}

fn show(object: &Object) -> Value {
    Value::Object(document(object))
}

/// Ends an operation; gives the action for the journal.
pub(crate) fn done(ctx: &mut Ctx<'_>, id: &str) -> &'static str {
    let Some(operation) = ctx.scope().live(id).cloned() else {
        return "Stale";
    };
    let target = operation.text("target").to_owned();
    let account = ctx.key.account.clone();
    let planned = ctx.world.faults.plan("compute", &format!("Operation:{}", operation.text("method")), &account).error;
    let action = match operation.text("effect") {
        "insert" => {
            if planned.is_some() {
                ctx.delete(&target);
            } else {
                ctx.change(&target, |o| READY.clone_into(&mut o.state));
            }
            ctx.end_work("create", &target);
            finish(ctx, &operation, planned);
            "InsertDone"
        }
        "delete" => {
            let error = planned.or_else(|| still_used(ctx, &target));
            if error.is_some() {
                ctx.adjust(&target, |o| READY.clone_into(&mut o.state));
            } else {
                ctx.delete(&target);
            }
            finish(ctx, &operation, error);
            "DeleteDone"
        }
        _ => {
            if let (Some(_), Some(before)) = (&planned, operation.props.get("before").cloned()) {
                ctx.change(&target, |o| {
                    o.set("doc", before);
                    resource::refresh(o);
                });
            }
            finish(ctx, &operation, planned);
            "ChangeDone"
        }
    };
    place(ctx, last(&scope_of(&target)));
    action
}

/// What came to use the target since its delete began.
fn still_used(ctx: &mut Ctx<'_>, target: &str) -> Option<ErrorSpec> {
    let object = ctx.scope().live(target).filter(|o| o.state == DELETING).cloned()?;
    let user = resource::user_of(ctx, target)?;
    let word = collections::of_kind(object.kind).map_or("resource", |c| c.word);
    Some(ErrorSpec {
        code: "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE".to_owned(),
        status: 400,
        message: format!("The {word} resource '{target}' is already being used by '{user}'"),
    })
}

fn finish(ctx: &mut Ctx<'_>, operation: &Object, error: Option<ErrorSpec>) {
    let ended = instant(ctx.now);
    ctx.adjust(&operation.id, |o| {
        "DONE".clone_into(&mut o.state);
        amend(o, |doc| {
            doc.insert("status".to_owned(), json!("DONE"));
            doc.insert("progress".to_owned(), json!(100));
            doc.insert("endTime".to_owned(), json!(ended));
            if let Some(error) = &error {
                let item = json!({ "code": error.code, "message": error.message });
                doc.insert("error".to_owned(), json!({ "errors": [item] }));
                doc.insert("httpErrorStatusCode".to_owned(), json!(error.status));
                let words = if error.status < 500 { "BAD REQUEST" } else { "INTERNAL SERVER ERROR" };
                doc.insert("httpErrorMessage".to_owned(), json!(words));
            }
        });
    });
    if let Some(error) = error {
        ctx.remark(format!("{}: {}", error.code, error.message));
    }
    ctx.after(OPERATION_KEPT_MS, GcpStep::Forget { id: operation.id.clone() });
}

/// Handles a call about operations.
///
/// # Errors
/// notFound.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, verb: &str) -> Result<Value> {
    let place = format!("projects/{}/{}/operations", call.var(0), call.var(1));
    if verb == "list" {
        let filter = Filter::parse(call.params.text("filter"))?;
        let start = format!("{place}/");
        let all = ctx.scope().under(OPERATION, &start).map(show);
        let all: Vec<Value> = all.filter(|doc| filter.fits(doc)).collect();
        return Ok(page("compute#operationList", place, "items", all, None));
    }
    let id = format!("{place}/{}", call.var(3));
    let found = ctx.scope().get(&id).map(show).ok_or_else(|| no_resource(&id))?;
    if verb == "delete" {
        ctx.scope().take(&id);
        return Ok(json!({}));
    }
    Ok(found)
}
