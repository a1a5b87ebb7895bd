//! Cloud DNS: managed zones, their records, and changes.
//!
//! <https://cloud.google.com/dns/docs/reference/rest/v1>. A change applies whole or not at all; a zone goes only when
//! nothing but its SOA and NS records is left (`containerNotEmpty`).

pub(crate) mod changes;
mod records;
mod zones;

use super::{error::not_found, iam, kinds::GcpKind, names::numeric};
use cloudsim_core::{
    call::{Call, Reply, Result},
    cluster::RecordSeen,
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Handles a call.
///
/// # Errors
/// As Cloud DNS words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let body = match call.action.as_str() {
        "projects.get" => project(ctx, call),
        "managedZones.create" => zones::create(ctx, call)?,
        "managedZones.list" => zones::list(ctx, call),
        "managedZones.get" => zones::render(&zone(ctx, call)?),
        "managedZones.getIamPolicy" => iam::policy(&zone(ctx, call)?),
        "managedZones.setIamPolicy" => {
            let object = zone(ctx, call)?;
            iam::set_policy(ctx, call, &object.id)?
        }
        "managedZones.delete" => zones::delete(ctx, call)?,
        "managedZones.patch" | "managedZones.update" => zones::update(ctx, call)?,
        "changes.create" => changes::create(ctx, call)?,
        "changes.list" => changes::list(ctx, call)?,
        "changes.get" => changes::get(ctx, call)?,
        _ => records::handle(ctx, call)?,
    };
    Ok(Reply::Json(200, body))
}

/// The zone that a call is about, by name or number.
///
/// # Errors
/// notFound.
fn zone(ctx: &mut Ctx<'_>, call: &Call) -> Result<Object> {
    let id = format!("projects/{}/managedZones/{}", call.var(0), call.var(1));
    if let Some(found) = ctx.seen(&id).filter(Object::is_live) {
        return Ok(found);
    }
    let number = call.var(1);
    let mut all = ctx.scope().of_kind(GcpKind::ManagedZone);
    let found = all.find(|o| super::names::doc_text(o, "/id") == number).cloned();
    found.ok_or_else(|| not_found(format!("managedZone \"{id}\" not found")))
}

fn project(ctx: &mut Ctx<'_>, call: &Call) -> Value {
    let limit = |name: &str| ctx.world.quotas.limit(&ctx.key.account, name);
    json!({ "kind": "dns#project", "id": call.var(0), "number": super::names::project_number(call.var(0)).to_string(),
            "quota": { "kind": "dns#quota", "managedZones": limit("dns-managed-zones"),
                       "rrsetsPerManagedZone": limit("dns-records-per-zone") } })
}

/// A record set's key in its zone.
fn key(name: &str, kind: &str) -> String {
    format!("{}|{kind}", name.to_lowercase())
}

/// The record sets of a zone by key.
fn records_of(zone: &Object) -> serde_json::Map<String, Value> {
    zone.props.get("records").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The record sets of a zone as its name servers respond to them.
pub(crate) fn served(zone: &Object) -> Vec<RecordSeen> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let seen = |record: &Value| RecordSeen {
        name: text(record, "name").trim_end_matches('.').to_lowercase(),
        kind: text(record, "type"),
        ttl_seconds: record["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(0),
        values: record["rrdatas"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect(),
    };
    records_of(zone).values().map(seen).collect()
}

/// A new numeric id.
fn new_id(ctx: &mut Ctx<'_>) -> String {
    numeric(&ctx.world.hex(16))
}
