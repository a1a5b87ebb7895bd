//! Managed zones.

use super::{key, new_id, records_of, zone};
use crate::{
    error::{exists, invalid},
    kinds::GcpKind,
    names::{amend, bad_label, doc_text, document, instant, is_name, labels},
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// The document of a zone as it is shown now.
pub(super) fn render(object: &Object) -> Value {
    let mut doc = document(object);
    if !object.tags.is_empty() {
        doc.insert("labels".to_owned(), json!(object.tags));
    }
    Value::Object(doc)
}

/// Creates a zone with its SOA and NS records.
///
/// # Errors
/// Name taken, bad values, quota.
pub(super) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (name, dns_name) = (call.field("name"), call.field("dnsName").to_lowercase());
    if !is_name(name, 63) {
        return Err(ApiError::new("invalid", format!("Invalid value for 'entity.managedZone.name': '{name}'")));
    }
    if !dns_name.ends_with('.') || dns_name.len() < 3 {
        return Err(ApiError::new("invalid", format!("Invalid value for 'entity.managedZone.dnsName': '{dns_name}'")));
    }
    let id = format!("projects/{}/managedZones/{name}", call.var(0));
    if ctx.scope().live(&id).is_some() {
        return Err(exists(format!("The resource 'entity.managedZone' named '{name}' already exists")));
    }
    let tags = labels(call.json.get("labels"));
    if let Some(bad) = bad_label(&tags) {
        return Err(ApiError::new("invalid", format!("Invalid value for 'entity.managedZone.labels': '{bad}'")));
    }
    let present = ctx.scope().count(GcpKind::ManagedZone);
    if let Err(limit) = ctx.within_quota("dns-managed-zones", present) {
        let message = format!("The limit of {limit} 'managedZones' for this project has been reached.");
        return Err(ApiError::new("quotaExceeded", message).status(403).field("domain", "usageLimits"));
    }
    let mut doc = call.json.as_object().cloned().unwrap_or_default();
    doc.retain(|k, v| k != "labels" && !v.is_null());
    // Google gives a zone one of a few sets of name servers.
    let set = ["a", "b", "c", "d", "e"][ctx.world.hex(2).bytes().map(usize::from).sum::<usize>() % 5];
    let servers: Vec<String> = (1..=4).map(|n| format!("ns-cloud-{set}{n}.googledomains.com.")).collect();
    for (field, value) in [
        ("kind", json!("dns#managedZone")),
        ("id", json!(new_id(ctx))),
        ("creationTime", json!(instant(ctx.now))),
        ("dnsName", json!(dns_name)),
        ("nameServers", json!(servers)),
        ("cloudLoggingConfig", json!({ "kind": "dns#managedZoneCloudLoggingConfig" })),
    ] {
        doc.insert(field.to_owned(), value);
    }
    doc.entry("visibility").or_insert(json!("public"));
    doc.entry("description").or_insert(json!(""));
    let soa = format!("{} cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300", servers[0]);
    let record = |kind: &str, data: Value| json!({ "kind": "dns#resourceRecordSet", "name": dns_name, "type": kind, "ttl": 21600, "rrdatas": data });
    let records = json!({ key(&dns_name, "NS"): record("NS", json!(servers)), key(&dns_name, "SOA"): record("SOA", json!([soa])) });
    let mut object = Object::new(GcpKind::ManagedZone, &id, format!("//dns.googleapis.com/{id}"), ctx.now);
    object.name = Some(name.to_owned());
    "active".clone_into(&mut object.state);
    object.tags = tags;
    let object = object.with("doc", doc).with("records", records);
    let body = render(&object);
    ctx.create(object);
    Ok(body)
}

/// One page of zones, of one DNS name if the call names one.
pub(super) fn list(ctx: &mut Ctx<'_>, call: &Call) -> Value {
    let wanted = call.params.get("dnsName").map(str::to_owned);
    let token = call.params.text("pageToken").to_owned();
    let limit: usize = call.params.get("maxResults").and_then(|m| m.parse().ok()).unwrap_or(100).clamp(1, 1_000);
    let horizon = ctx.horizon;
    let mut all: Vec<(String, Value)> = ctx
        .scope()
        .of_kind(GcpKind::ManagedZone)
        .filter(|o| o.is_live() && o.id > token && horizon.is_none_or(|h| o.created_us <= h))
        .filter(|o| wanted.as_deref().is_none_or(|w| w == doc_text(o, "/dnsName")))
        .take(limit + 1)
        .map(|o| (o.id.clone(), render(o)))
        .collect();
    let more = all.len() > limit;
    all.truncate(limit);
    let mut body = json!({ "kind": "dns#managedZonesListResponse" });
    if more {
        body["nextPageToken"] = json!(all.last().map(|(id, _)| id.clone()));
    }
    if !all.is_empty() {
        body["managedZones"] = all.into_iter().map(|(_, doc)| doc).collect();
    }
    body
}

/// Changes description or labels.
///
/// # Errors
/// notFound.
pub(super) fn update(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = zone(ctx, call)?;
    let before = render(&object);
    let (request, whole) = (call.json.clone(), call.action.ends_with("update"));
    ctx.change(&object.id, |o| {
        if whole || request.get("labels").is_some() {
            o.tags = labels(request.get("labels"));
        }
        amend(o, |doc| {
            for field in ["description", "privateVisibilityConfig", "cloudLoggingConfig"] {
                if let Some(value) = request.get(field).filter(|v| !v.is_null()) {
                    doc.insert(field.to_owned(), value.clone());
                }
            }
        });
    });
    let after = render(&zone(ctx, call)?);
    Ok(json!({ "kind": "dns#operation", "id": new_id(ctx), "startTime": instant(ctx.now), "status": "done",
               "type": "UPDATE", "user": call.caller.arn, "zoneContext": { "newValue": after, "oldValue": before } }))
}

/// Deletes a zone.
///
/// # Errors
/// notFound, containerNotEmpty.
pub(super) fn delete(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = zone(ctx, call)?;
    let apex = doc_text(&object, "/dnsName").to_owned();
    let own = [key(&apex, "NS"), key(&apex, "SOA")];
    if records_of(&object).keys().any(|k| !own.contains(k)) {
        let name = call.var(1);
        let message = format!(
            "The resource named '{name}' cannot be deleted because it contains one or more 'resource records'."
        );
        return Err(ApiError { code: "containerNotEmpty".to_owned(), ..invalid(message) });
    }
    ctx.delete(&object.id);
    Ok(json!({}))
}
