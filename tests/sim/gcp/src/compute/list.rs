//! Lists of one place, and of all places at once.
//!
//! <https://cloud.google.com/compute/docs/reference/rest/v1/disks/aggregatedList>.

use super::{collections::Collection, filter::Filter, page, resource::render};
use crate::names::{COMPUTE, scope_of};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Map, Value, json};

/// Most entries of one page.
const PAGE: usize = 500;

/// One page of a collection in one place.
///
/// # Errors
/// A bad filter.
pub(super) fn list(ctx: &mut Ctx<'_>, call: &Call, collection: &Collection) -> Result<Value> {
    let place = format!("projects/{}/{}/{}", call.var(0), call.var(1), collection.name);
    let (items, next) = find(ctx, call, collection, &format!("{place}/"))?;
    let items = items.into_iter().map(|(_, doc)| doc).collect();
    Ok(page(&format!("{}List", collection.doc_kind), place, "items", items, next))
}

/// Documents by id, and the token of the next page.
type Found = (Vec<(String, Value)>, Option<String>);

/// The objects of a collection under `start` that fit the call's filter, and the token of the next page.
fn find(ctx: &mut Ctx<'_>, call: &Call, collection: &Collection, start: &str) -> Result<Found> {
    let filter = Filter::parse(call.params.text("filter"))?;
    let limit = call.params.get("maxResults").and_then(|m| m.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE);
    let token = call.params.text("pageToken").to_owned();
    let horizon = ctx.horizon;
    let all: Vec<Object> = ctx
        .scope()
        .under(collection.kind, start)
        .filter(|o| o.is_live() && o.id > token)
        .filter(|o| horizon.is_none_or(|h| o.created_us <= h))
        .cloned()
        .collect();
    let mut found = Vec::new();
    for object in all {
        let doc = render(ctx, &object);
        if !filter.fits(&doc) {
            continue;
        }
        if found.len() == limit {
            let next = found.last().map(|(id, _): &(String, Value)| id.clone());
            return Ok((found, next));
        }
        found.push((object.id, doc));
    }
    Ok((found, None))
}

/// One page of a collection in all places.
///
/// # Errors
/// A bad filter.
pub(super) fn aggregated(ctx: &mut Ctx<'_>, call: &Call, collection: &Collection) -> Result<Value> {
    let project = call.var(0);
    let (found, next) = find(ctx, call, collection, &format!("projects/{project}/"))?;
    let mut places: Map<String, Value> = Map::new();
    for (id, doc) in found {
        let place = places.entry(scope_of(&id)).or_insert_with(|| json!({ collection.name: [] }));
        if let Some(items) = place[collection.name].as_array_mut() {
            items.push(doc);
        }
    }
    if places.is_empty() {
        let warning = json!({ "code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope 'global' on this page.",
                              "data": [{ "key": "scope", "value": "global" }] });
        places.insert("global".to_owned(), json!({ "warning": warning }));
    }
    let id = format!("projects/{project}/aggregated/{}", collection.name);
    let mut body = json!({ "kind": format!("{}AggregatedList", collection.doc_kind), "id": id, "items": places,
                           "selfLink": format!("{COMPUTE}{id}") });
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(body)
}
