//! Record sets of a zone.
//!
//! <https://learn.microsoft.com/rest/api/dns/record-sets>. Every zone begins with SOA and NS at its apex, which stay.

use super::{
    super::{
        id::Target,
        kind::{AzureKind, RECORD_TYPES},
        references, resource, shown,
        wire::unknown,
    },
    check_conditions,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

const KIND: AzureKind = AzureKind::DnsRecordSet;

/// Handles a call.
///
/// # Errors
/// In the service's words.
pub(super) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let zone = zone(ctx, target)?;
    match call.action.as_str() {
        "recordSets.CreateOrUpdate" => put(ctx, call, target, &zone),
        "recordSets.Get" => {
            let record = resource::seen(ctx, KIND, &target.key()).ok_or_else(|| absent(target, &zone))?;
            Ok(Reply::Json(200, shown::document(ctx, &record)))
        }
        "recordSets.List" => list(ctx, call, target, &zone),
        "recordSets.Update" => {
            let record = resource::seen(ctx, KIND, &target.key()).ok_or_else(|| absent(target, &zone))?;
            check_conditions(call, Some(&record), "Record set")?;
            let mut next = record.clone();
            resource::amend(&mut next, |doc| {
                for (key, value) in call.json["properties"].as_object().into_iter().flatten() {
                    doc["properties"][key] = value.clone();
                }
            });
            resource::touch(ctx, &mut next);
            ctx.change(&record.id, |o| *o = next.clone());
            Ok(Reply::Json(200, shown::document(ctx, &next)))
        }
        "recordSets.Delete" => delete(ctx, call, target),
        _ => Err(unknown(call)),
    }
}

/// The zone of a record set or of a list of them.
fn zone(ctx: &mut Ctx<'_>, target: &Target) -> Result<Object> {
    let mut parent = target.clone();
    parent.types.truncate(1);
    parent.names.truncate(1);
    let zone = resource::seen(ctx, AzureKind::DnsZone, &parent.key());
    match zone.filter(|z| z.state != "Deleting") {
        Some(zone) => Ok(zone),
        None => {
            resource::check_group(ctx, target)?;
            let message = format!(
                "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
                parent.name()
            );
            Err(ApiError::new("ParentResourceNotFound", message).status(404))
        }
    }
}

fn absent(target: &Target, zone: &Object) -> ApiError {
    let message = format!(
        "The resource record '{}' does not exist in resource group '{}' of subscription '{}': zone {}.",
        target.name(),
        target.group(),
        target.subscription,
        zone.name.as_deref().unwrap_or_default()
    );
    ApiError::new("NotFound", message).status(404)
}

/// `A`, `TXT` and so on, in the case that Azure writes.
fn record_type(text: &str) -> Option<&'static str> {
    RECORD_TYPES.iter().copied().find(|t| t.eq_ignore_ascii_case(text))
}

fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target, zone: &Object) -> Result<Reply> {
    let present = resource::present(ctx, KIND, &target.key());
    check_conditions(call, present.as_ref(), "Record set")?;
    let kind = target.types.last().and_then(|t| record_type(t)).unwrap_or_default();
    let name = target.name().to_lowercase();
    let bad = |message: String| Err(ApiError::new("BadRequest", message));
    if kind == "SOA" && present.is_none() {
        return bad("Record sets of type SOA can be updated but not created.".to_owned());
    }
    let others = resource::children_of(ctx, zone, KIND);
    let same_name =
        |o: &&Object| o.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(&name)) && o.id != target.key();
    let neighbour = others.iter().find(same_name);
    if let Some(neighbour) = neighbour.filter(|n| kind == "CNAME" || n.text("record_type") == "CNAME") {
        return bad(format!(
            "The record could not be created because a record of type {} with the same name exists: a CNAME stands alone.",
            neighbour.text("record_type")
        ));
    }
    if call.json.pointer("/properties/TTL").and_then(Value::as_u64).is_none() {
        return bad(format!("The record set '{name}' has no valid TTL."));
    }
    if let Some(mut record) = present {
        resource::put_body(ctx, &mut record, &call.json);
        ctx.change(&record.id, |o| *o = record.clone());
        return Ok(Reply::Json(200, shown::document(ctx, &record)));
    }
    if let Err(limit) = ctx.within_quota("dns-record-sets-per-zone", others.len() as u64) {
        let message = format!("The zone cannot have more than {limit} record sets.");
        return Err(ApiError::new("QuotaExceeded", message));
    }
    let mut record = resource::new(ctx, KIND, &target.id(), &call.json);
    record.set("record_type", kind);
    record.set("zone", zone.name.clone());
    ctx.create(record.clone());
    Ok(Reply::Json(201, shown::document(ctx, &record)))
}

/// SOA and NS of a new zone.
pub(super) fn apex(ctx: &mut Ctx<'_>, zone: &Object, servers: &[String]) -> Vec<Object> {
    let ns: Vec<Value> = servers.iter().map(|s| json!({ "nsdname": s })).collect();
    let soa = json!({ "email": "azuredns-hostmaster.microsoft.com", "expireTime": 2_419_200, "host": servers.first(),
        "minimumTTL": 300, "refreshTime": 3_600, "retryTime": 300, "serialNumber": 1 });
    let bodies = [
        ("NS", json!({ "properties": { "TTL": 172_800, "NSRecords": ns } })),
        ("SOA", json!({ "properties": { "TTL": 3_600, "SOARecord": soa } })),
    ];
    let mut made = Vec::new();
    for (kind, body) in bodies {
        let mut record = resource::new(ctx, KIND, &format!("{}/{kind}/@", zone.arn), &body);
        record.set("record_type", kind);
        record.set("zone", zone.name.clone());
        // Comes and goes with its zone, so that inventories need not name it.
        record.owner = cloudsim_core::object::Owner::Default;
        made.push(record);
    }
    made
}

fn list(ctx: &mut Ctx<'_>, call: &Call, target: &Target, zone: &Object) -> Result<Reply> {
    let wanted = target.types.last().and_then(|t| record_type(t));
    let suffix = call.params.text("$recordsetnamesuffix").to_lowercase();
    let mut records = resource::children_of(ctx, zone, KIND);
    records.retain(|r| {
        let name = r.name.as_deref().unwrap_or_default();
        ctx.sees(r.created_us) && wanted.is_none_or(|w| r.text("record_type") == w) && name.ends_with(&suffix)
    });
    let value: Vec<Value> = records.iter().map(|r| shown::document(ctx, r)).collect();
    Ok(Reply::Json(200, json!({ "value": value })))
}

fn delete(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let Some(record) = resource::present(ctx, KIND, &target.key()) else {
        return Ok(Reply::Json(204, Value::Null));
    };
    check_conditions(call, Some(&record), "Record set")?;
    if target.name() == "@" && matches!(record.text("record_type"), "SOA" | "NS") {
        let message = format!(
            "The record set of type '{}' at the apex of the zone cannot be deleted.",
            record.text("record_type")
        );
        return Err(ApiError::new("BadRequest", message));
    }
    references::remove(ctx, &record.id);
    Ok(Reply::Json(200, Value::Null))
}
