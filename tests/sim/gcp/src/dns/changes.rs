//! Changes of a zone's records: <https://cloud.google.com/dns/docs/reference/rest/v1/changes/create>.
//!
//! A deletion must name the record set as it is; additions must be new (after the deletions), lie in the zone, and leave
//! a CNAME alone with its name. A change is `pending` until all name servers have it.

use super::{key, new_id, records_of, zone};
use crate::{
    durations::{DNS_CHANGE, OPERATION_KEPT_MS},
    error::{condition, exists, not_found},
    kinds::GcpKind,
    kinds::GcpStep,
    names::{amend, doc_text, document, instant},
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    ctx::Ctx,
    object::{Object, Owner},
};
use serde_json::{Map, Value, json};

const CHANGE: GcpKind = GcpKind::Change;

/// A record set as it is stored and shown.
#[must_use]
pub(crate) fn normal(record: &Value) -> Value {
    let mut record = record.clone();
    record["kind"] = json!("dns#resourceRecordSet");
    if let Some(fields) = record.as_object_mut() {
        fields.retain(|_, v| !v.is_null());
    }
    record
}

/// Applies additions and deletions to a zone, all or none.
///
/// # Errors
/// As the API words them, with `entity` as the name of the list.
pub(crate) fn apply(
    ctx: &mut Ctx<'_>,
    zone: &Object,
    additions: &[Value],
    deletions: &[Value],
    entity: &str,
) -> Result<()> {
    let mut records = records_of(zone);
    let mut reported = Vec::new();
    let text = |r: &Value, field: &str| r[field].as_str().unwrap_or_default().to_owned();
    let spoken = |r: &Value| format!("{} ({})", text(r, "name"), text(r, "type"));
    for (n, record) in deletions.iter().enumerate() {
        let key = key(&text(record, "name"), &text(record, "type"));
        let place = format!("{entity}.deletions[{n}]");
        let Some(present) = records.remove(&key) else {
            return Err(not_found(format!("The '{place}' resource named '{}' does not exist.", spoken(record))));
        };
        if present["rrdatas"] != record["rrdatas"] || present["ttl"] != record["ttl"] {
            return Err(condition(format!("Precondition not met for '{place}'")));
        }
        reported.push(format!("- {}", spoken(record)));
    }
    let apex = doc_text(zone, "/dnsName").to_owned();
    for (n, record) in additions.iter().enumerate() {
        let place = format!("{entity}.additions[{n}]");
        add(&mut records, record, &apex, &place)?;
        reported.push(format!("+ {}", spoken(record)));
    }
    if !(records.contains_key(&key(&apex, "NS")) && records.contains_key(&key(&apex, "SOA"))) {
        return Err(ApiError::new(
            "invalidZoneApex",
            "The resource record set of type NS or SOA at the zone apex cannot be deleted.",
        ));
    }
    if let Err(limit) = ctx.within_quota("dns-records-per-zone", (records.len() as u64).saturating_sub(1)) {
        let message = format!("The limit of {limit} 'resourceRecordSets' for this zone has been reached.");
        return Err(ApiError::new("quotaExceeded", message).status(403).field("domain", "usageLimits"));
    }
    ctx.remark(reported.join("\n"));
    ctx.change(&zone.id, |o| o.set("records", records));
    Ok(())
}

fn add(records: &mut Map<String, Value>, record: &Value, apex: &str, place: &str) -> Result<()> {
    let (name, kind) =
        (record["name"].as_str().unwrap_or_default().to_lowercase(), record["type"].as_str().unwrap_or_default());
    let bad =
        |field: &str, value: &str| ApiError::new("invalid", format!("Invalid value for '{place}.{field}': '{value}'"));
    if !(name == apex || name.ends_with(&format!(".{apex}"))) {
        return Err(bad("name", &name));
    }
    if kind.is_empty() {
        return Err(bad("type", kind));
    }
    let routed = record.get("routingPolicy").is_some_and(|p| !p.is_null());
    if !routed && record["rrdatas"].as_array().is_none_or(Vec::is_empty) {
        return Err(bad("rrdata", ""));
    }
    let start = format!("{name}|");
    let beside: Vec<&String> = records.keys().filter(|k| k.starts_with(&start)).collect();
    let conflict = (kind == "CNAME" && beside.iter().any(|k| !k.ends_with("|CNAME")))
        || (kind != "CNAME" && beside.iter().any(|k| k.ends_with("|CNAME")));
    if conflict {
        let message = format!(
            "The resource record set '{place}' is invalid because the DNS name '{name}' has a CNAME and others."
        );
        return Err(ApiError::new("cnameResourceRecordSetConflict", message));
    }
    let key = key(&name, kind);
    if records.contains_key(&key) {
        return Err(exists(format!("The resource '{place}' named '{name} ({kind})' already exists")));
    }
    let mut record = normal(record);
    record["name"] = json!(name);
    records.insert(key, record);
    Ok(())
}

/// Makes a change.
///
/// # Errors
/// As [`apply`].
pub(crate) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = zone(ctx, call)?;
    let list = |field: &str| call.json[field].as_array().cloned().unwrap_or_default();
    let (additions, deletions) = (list("additions"), list("deletions"));
    if additions.is_empty() && deletions.is_empty() {
        return Err(ApiError::new("required", "The 'entity.change' parameter is required but was missing."));
    }
    apply(ctx, &object, &additions, &deletions, "entity.change")?;
    let number = new_id(ctx);
    let mut doc = json!({ "kind": "dns#change", "id": number, "startTime": instant(ctx.now), "status": "pending" });
    for (field, records) in [("additions", additions), ("deletions", deletions)] {
        if !records.is_empty() {
            doc[field] = json!(records);
        }
    }
    let id = format!("{}/changes/{number}", object.id);
    let mut change = Object::new(CHANGE, &id, String::new(), ctx.now);
    change.owner = Owner::Default;
    "pending".clone_into(&mut change.state);
    // Put, not created: a change is no object of the account.
    ctx.scope().put(change.with("doc", doc.clone()));
    let ms = ctx.draw(DNS_CHANGE, &id);
    ctx.after(ms, GcpStep::Change { change: id });
    Ok(doc)
}

/// All name servers have a change; gives the action for the journal.
pub(crate) fn served(ctx: &mut Ctx<'_>, id: &str) -> &'static str {
    ctx.adjust(id, |o| {
        "done".clone_into(&mut o.state);
        amend(o, |doc| {
            doc.insert("status".to_owned(), json!("done"));
        });
    });
    ctx.after(OPERATION_KEPT_MS, GcpStep::Forget { id: id.to_owned() });
    "ChangeDone"
}

/// One change.
///
/// # Errors
/// notFound.
pub(crate) fn get(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = zone(ctx, call)?;
    let id = format!("{}/changes/{}", object.id, call.var(2));
    let found = ctx.scope().get(&id).map(|o| json!(document(o)));
    let message = format!("The 'parameters.changeId' resource named '{}' does not exist.", call.var(2));
    found.ok_or_else(|| not_found(message))
}

/// The changes of a zone.
///
/// # Errors
/// notFound.
pub(crate) fn list(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let start = format!("{}/changes/", zone(ctx, call)?.id);
    let all = ctx.scope().under(CHANGE, &start);
    let all: Vec<Value> = all.map(|o| json!(document(o))).collect();
    Ok(json!({ "kind": "dns#changesListResponse", "changes": all }))
}
