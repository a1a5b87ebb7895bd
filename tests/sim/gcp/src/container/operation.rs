//! Operations of GKE.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.operations>. They are not
//! `google.longrunning`: a name, a status, times, links with the project's number, and an `error` if they failed.

use super::spoken;
use crate::{
    durations::OPERATION_KEPT_MS,
    error::not_found,
    kinds::GcpKind,
    kinds::GcpStep,
    names::{CONTAINER, amend, document, instant, project_number},
};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    faults::ErrorSpec,
    object::{Object, Owner},
};
use serde_json::{Value, json};

const OPERATION: GcpKind = GcpKind::Operation;

/// Begins an operation on `target` (a cluster or node pool of `cluster`) that ends after `ms`; gives its document.
pub(crate) fn begin(ctx: &mut Ctx<'_>, call: &Call, cluster: &str, target: &str, kind: &str, ms: u64) -> Value {
    let (project, location) = (call.var(0), call.var(1));
    let uuid = ctx.world.uuid();
    let name = format!("operation-{}-{uuid}", ctx.now / 1_000);
    let id = format!("projects/{project}/locations/{location}/operations/{name}");
    let mut doc = json!({
        "name": name,
        "operationType": kind,
        "selfLink": link(&id),
        "startTime": instant(ctx.now),
        "status": "RUNNING",
        "targetLink": link(target),
        "zone": location,
    });
    if kind.is_empty()
        && let Some(fields) = doc.as_object_mut()
    {
        // A change of a pool's labels or taints names no type, as recorded.
        fields.remove("operationType");
    }
    let mut object = Object::new(OPERATION, &id, String::new(), ctx.now);
    object.owner = Owner::Default;
    "RUNNING".clone_into(&mut object.state);
    let object = object
        .with("doc", doc.clone())
        .with("cluster", cluster)
        .with("target", target)
        .with("kind", kind)
        .with("service", "container");
    ctx.scope().put(object);
    ctx.adjust(cluster, |o| o.set("operation", id.clone()));
    ctx.after(ms, GcpStep::Container { operation: id });
    doc
}

/// A link with the project's number in place of its id.
fn link(id: &str) -> String {
    let spoken = spoken(id);
    let project = id.split('/').nth(1).unwrap_or_default();
    let rest = spoken.strip_prefix(&format!("projects/{project}/")).unwrap_or(&spoken).to_owned();
    format!("{CONTAINER}projects/{}/{rest}", project_number(project))
}

/// Ends an operation and lets its cluster be changed again.
pub(crate) fn finish(ctx: &mut Ctx<'_>, operation: &Object, error: Option<&ErrorSpec>) {
    let ended = instant(ctx.now);
    ctx.adjust(&operation.id, |o| {
        "DONE".clone_into(&mut o.state);
        amend(o, |doc| {
            doc.insert("status".to_owned(), json!("DONE"));
            doc.insert("endTime".to_owned(), json!(ended));
            if let Some(error) = error {
                doc.insert("error".to_owned(), json!({ "code": rpc_code(error), "message": error.message }));
                doc.insert("statusMessage".to_owned(), json!(error.message));
            }
        });
    });
    let cluster = operation.text("cluster").to_owned();
    ctx.adjust(&cluster, |o| {
        if o.text("operation") == operation.id {
            o.set("operation", "");
        }
    });
    if let Some(error) = error {
        ctx.remark(format!("{}: {}", error.code, error.message));
    }
    ctx.after(OPERATION_KEPT_MS, GcpStep::Forget { id: operation.id.clone() });
}

/// Whether a code is one of GKE's own, for want of machines or quota.
#[must_use]
pub(crate) fn is_gke_code(code: &str) -> bool {
    matches!(code, "GCE_STOCKOUT" | "GCE_QUOTA_EXCEEDED")
}

/// The number of a canonical code: <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>.
fn rpc_code(error: &ErrorSpec) -> u64 {
    let codes = [
        ("INVALID_ARGUMENT", 3),
        ("DEADLINE_EXCEEDED", 4),
        ("NOT_FOUND", 5),
        ("ALREADY_EXISTS", 6),
        ("PERMISSION_DENIED", 7),
        ("RESOURCE_EXHAUSTED", 8),
        ("FAILED_PRECONDITION", 9),
        ("ABORTED", 10),
        ("UNAVAILABLE", 14),
    ];
    if is_gke_code(&error.code) {
        return 8;
    }
    codes.iter().find(|(name, _)| *name == error.code).map_or(13, |(_, code)| *code)
}

/// Handles a call about operations.
///
/// # Errors
/// notFound.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (project, location) = (call.var(0), call.var(1));
    if call.action == "ListOperations" {
        let start = match location {
            "-" => format!("projects/{project}/locations/"),
            location => format!("projects/{project}/locations/{location}/"),
        };
        let ours = ctx.scope().under(OPERATION, &start).filter(|o| o.text("service") == "container");
        let all: Vec<Value> = ours.map(|o| json!(document(o))).collect();
        return Ok(if all.is_empty() { json!({}) } else { json!({ "operations": all }) });
    }
    let id = format!("projects/{project}/locations/{location}/operations/{}", call.var(2));
    let found = ctx.scope().get(&id).map(|o| json!(document(o)));
    found.ok_or_else(|| not_found(format!("Not found: {}.", spoken(&id))))
}
