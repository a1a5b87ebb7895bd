//! Record sets, one by one: <https://cloud.google.com/dns/docs/reference/rest/v1/resourceRecordSets>.

use super::{changes, key, records_of, zone};
use crate::error::not_found;
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
};
use serde_json::{Value, json};

/// Handles a call about record sets.
///
/// # Errors
/// notFound, alreadyExists, bad values.
pub(super) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = zone(ctx, call)?;
    let (name, kind) = (call.var(2), call.var(3));
    let present = records_of(&object).get(&key(name, kind)).cloned();
    let missing = || not_found(format!("The 'parameters.name' resource named '{name} ({kind})' does not exist."));
    match call.action.as_str() {
        "resourceRecordSets.list" => Ok(list(call, &records_of(&object))),
        "resourceRecordSets.get" => present.ok_or_else(missing),
        "resourceRecordSets.create" => {
            let wanted = call.json.clone();
            changes::apply(ctx, &object, std::slice::from_ref(&wanted), &[], "entity.resourceRecordSet")?;
            Ok(changes::normal(&wanted))
        }
        "resourceRecordSets.patch" => {
            let old = present.ok_or_else(missing)?;
            let mut wanted = old.clone();
            for (field, value) in call.json.as_object().into_iter().flatten() {
                wanted[field.as_str()] = value.clone();
            }
            changes::apply(ctx, &object, &[wanted.clone()], &[old], "entity.resourceRecordSet")?;
            Ok(changes::normal(&wanted))
        }
        _ => {
            let old = present.ok_or_else(missing)?;
            changes::apply(ctx, &object, &[], &[old], "entity.resourceRecordSet")?;
            Ok(json!({}))
        }
    }
}

fn list(call: &Call, records: &serde_json::Map<String, Value>) -> Value {
    let fits = |field: &str, value: &Value| {
        call.params.get(field).is_none_or(|w| value.as_str().is_some_and(|v| v.eq_ignore_ascii_case(w)))
    };
    let token = call.params.text("pageToken");
    let limit: usize = call.params.get("maxResults").and_then(|m| m.parse().ok()).unwrap_or(1_000).clamp(1, 1_000);
    let mut found: Vec<(&String, &Value)> = records
        .iter()
        .filter(|(k, r)| k.as_str() > token && fits("name", &r["name"]) && fits("type", &r["type"]))
        .take(limit + 1)
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let mut body = json!({ "kind": "dns#resourceRecordSetsListResponse" });
    if more {
        body["nextPageToken"] = json!(found.last().map(|(k, _)| k));
    }
    if !found.is_empty() {
        body["rrsets"] = found.into_iter().map(|(_, r)| r.clone()).collect();
    }
    body
}
