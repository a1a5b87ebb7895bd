//! Compute v1: networks and what hangs on them, as REST collections that all work alike.
//!
//! <https://cloud.google.com/compute/docs/reference/rest/v1>. Every change is an operation that ends by itself
//! (<https://cloud.google.com/compute/docs/api/how-tos/api-requests-responses>); what is made is visible at once, but
//! not ready (`resourceNotReady`) until its operation is DONE. A call repeated with its `requestId` gives the operation
//! of the first. Each resource's own rules are in `checks` and `changes`.

mod changes;
pub(crate) mod checks;
pub(crate) mod cidr;
pub(crate) mod collections;
mod filter;
mod list;
pub(crate) mod operation;
pub(crate) mod places;
pub(crate) mod resource;

use super::error::{exists, in_use, invalid_field, no_resource, not_found, not_ready};
use crate::names::{bad_label, is_name, labels};
use cloudsim_core::{
    call::{Call, Reply, Result},
    ctx::Ctx,
    object::{Object, Owner},
};
use collections::Collection;
use operation::Effect;
use serde_json::{Value, json};

/// States of a resource here; Google shows only some of them, some of the time.
pub(crate) const READY: &str = "READY";
/// Its insert is under way.
pub(crate) const CREATING: &str = "CREATING";
/// Its delete is under way.
pub(crate) const DELETING: &str = "DELETING";

/// Handles a call.
///
/// # Errors
/// As Compute words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let body = respond(ctx, call)?;
    Ok(Reply::Json(200, body))
}

fn respond(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let verb = call.action.rsplit('.').next().unwrap_or_default();
    if call.vars.len() < 4 {
        return places::handle(ctx, call);
    }
    let (scope, name) = (call.var(1), call.var(3));
    if call.var(2) == "operations" {
        return operation::handle(ctx, call, verb);
    }
    let level = scope.split('/').next().unwrap_or_default();
    let collection = collections::find(call.var(2))
        .filter(|c| verb == "aggregatedList" || c.levels.contains(&level))
        .ok_or_else(|| not_found("The requested URL was not found on this server."))?;
    places::check(scope)?;
    let id = format!("projects/{}/{scope}/{}/{name}", call.var(0), collection.name);
    match verb {
        "get" => {
            let object = visible(ctx, &id)?;
            return Ok(resource::render(ctx, &object));
        }
        "list" => return list::list(ctx, call, collection),
        "aggregatedList" => return list::aggregated(ctx, call, collection),
        _ => {}
    }
    if let Some(replay) = operation::replay(ctx, call)? {
        return Ok(replay);
    }
    match verb {
        "insert" => insert(ctx, call, collection),
        "delete" => delete(ctx, call, collection, &id),
        _ => {
            let object = visible(ctx, &id)?;
            changes::change(ctx, call, collection, &object, verb)
        }
    }
}

/// The resource `id`, if this call sees it.
///
/// # Errors
/// notFound.
pub(crate) fn visible(ctx: &mut Ctx<'_>, id: &str) -> Result<Object> {
    ctx.seen(id).filter(Object::is_live).ok_or_else(|| no_resource(id))
}

fn insert(ctx: &mut Ctx<'_>, call: &Call, collection: &'static Collection) -> Result<Value> {
    let (project, scope) = (call.var(0).to_owned(), call.var(1).to_owned());
    let mut doc = call.json.as_object().cloned().unwrap_or_default();
    let name = call.field("name").to_owned();
    if !is_name(&name, 63) {
        let why = "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'";
        return Err(invalid_field("resource.name", &name, why));
    }
    let wanted = labels(doc.get("labels"));
    if let Some(bad) = bad_label(&wanted) {
        return Err(invalid_field(
            "resource.labels",
            bad,
            "Label keys and values must be lowercase, at most 63 characters.",
        ));
    }
    let id = format!("projects/{project}/{scope}/{}/{name}", collection.name);
    if ctx.scope().live(&id).is_some() {
        return Err(exists(format!("The resource '{id}' already exists")));
    }
    checks::check(ctx, collection, &id, &mut doc)?;
    let new = resource::New { collection, id: &id, doc, owner: Owner::Customer, state: CREATING, labels: wanted };
    let ms = resource::create(ctx, new);
    ctx.begin_work("create", &id, ms);
    operation::begin(ctx, call, &id, Effect::Insert, "insert", ms)
}

fn delete(ctx: &mut Ctx<'_>, call: &Call, collection: &'static Collection, id: &str) -> Result<Value> {
    let object = visible(ctx, id)?;
    ready(&object)?;
    if let Some(user) = resource::user_of(ctx, id) {
        return Err(in_use(collection.word, id, &user));
    }
    ctx.adjust(id, |o| DELETING.clone_into(&mut o.state));
    let ms = ctx.draw(collection.span, &format!("{id}/delete"));
    ctx.begin_work("delete", id, ms);
    operation::begin(ctx, call, id, Effect::Delete, "delete", ms)
}

/// Refuses while another operation is under way.
///
/// # Errors
/// resourceNotReady.
pub(crate) fn ready(object: &Object) -> Result<()> {
    if object.state == READY { Ok(()) } else { Err(not_ready(&object.id)) }
}

/// The empty document of a list.
fn page(kind: &str, id: String, key: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut body = json!({ "kind": kind, "id": id, "selfLink": format!("{}{id}", super::names::COMPUTE) });
    if !items.is_empty() {
        body[key] = json!(items);
    }
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    body
}
