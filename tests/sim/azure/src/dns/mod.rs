//! Azure DNS: public zones and their record sets.
//!
//! <https://learn.microsoft.com/rest/api/dns/>; how etags protect from overwriting:
//! <https://learn.microsoft.com/azure/dns/dns-zones-records#etags>. A zone is deleted with its records, by a long-running
//! operation; everything else responds at once. Limits:
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#azure-dns-limits>.

mod records;
pub(crate) mod show;

use super::{
    durations, id::Target, kind::AzureKind, lro, references, resource, shown, state::Operation, wire::unknown,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    cluster::RecordSeen,
    ctx::Ctx,
    object::Object,
};
use serde_json::Value;

/// A record set as the zone's name servers respond to it.
pub(crate) fn served(record: &Object) -> RecordSeen {
    let doc = record.props.get("doc").cloned().unwrap_or_default();
    let properties = &doc["properties"];
    let (kind, zone, name) = (record.text("record_type"), record.text("zone"), record.name.as_deref().unwrap_or("@"));
    let each = |list: &str, field: &str| -> Vec<String> {
        let items = properties[list].as_array().into_iter().flatten();
        items.filter_map(|item| item[field].as_str().map(str::to_owned)).collect()
    };
    RecordSeen {
        name: if name == "@" { zone.to_lowercase() } else { format!("{name}.{zone}").to_lowercase() },
        kind: kind.to_owned(),
        ttl_seconds: properties["TTL"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(0),
        values: match kind {
            "A" => each("ARecords", "ipv4Address"),
            "NS" => each("NSRecords", "nsdname"),
            "CNAME" => properties["CNAMERecord"]["cname"].as_str().map(str::to_owned).into_iter().collect(),
            "TXT" => {
                let texts = properties["TXTRecords"].as_array().into_iter().flatten();
                texts
                    .map(|text| text["value"].as_array().into_iter().flatten().filter_map(Value::as_str).collect())
                    .collect()
            }
            "SOA" => soa(&properties["SOARecord"]).into_iter().collect(),
            _ => Vec::new(),
        },
    }
}

/// The start of authority as zone files write it; who looks for the zone of a name, as for a challenge by DNS-01, looks for it.
fn soa(record: &Value) -> Option<String> {
    let numbers = ["serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTTL"]
        .map(|field| record[field].as_u64().unwrap_or_default().to_string());
    Some(format!("{} {} {}", record["host"].as_str()?, record["email"].as_str()?, numbers.join(" ")))
}

/// Handles a call.
///
/// # Errors
/// In the service's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    match call.action.as_str() {
        "dnsZones.CreateOrUpdate" => put(ctx, call, target),
        "dnsZones.Get" => shown::one(ctx, AzureKind::DnsZone, target),
        "dnsZones.List" | "dnsZones.ListAll" => Ok(Reply::Json(200, shown::list(ctx, AzureKind::DnsZone, target)?)),
        "dnsZones.Update" => {
            let zone = resource::existing(ctx, AzureKind::DnsZone, target)?;
            check_conditions(call, Some(&zone), "Zone")?;
            shown::retagged(ctx, call, AzureKind::DnsZone, target)
        }
        "dnsZones.Delete" => {
            resource::check_group(ctx, target)?;
            let Some(zone) = resource::present(ctx, AzureKind::DnsZone, &target.key()) else {
                return Ok(Reply::Json(204, Value::Null));
            };
            check_conditions(call, Some(&zone), "Zone")?;
            let operation = delete_zone(ctx, &zone)?;
            Ok(lro::delete_response(ctx, call, &operation, &zone))
        }
        action if action.starts_with("recordSets.") => records::handle(ctx, call, target),
        _ => Err(unknown(call)),
    }
}

/// `If-None-Match: *` and `If-Match`.
///
/// # Errors
/// PreconditionFailed.
fn check_conditions(call: &Call, present: Option<&Object>, what: &str) -> Result<()> {
    let failed = |message: String| Err(ApiError::new("PreconditionFailed", message).status(412));
    let header = |name: &str| call.headers.get(name).filter(|v| !v.is_empty());
    if let (Some("*"), Some(object)) = (header("if-none-match").map(String::as_str), present) {
        let name = object.name.as_deref().unwrap_or_default();
        return failed(format!("The {what} {name} exists already and hence cannot be created again."));
    }
    match (header("if-match"), present) {
        (Some(wanted), Some(object)) if wanted != "*" && wanted.trim_matches('"') != object.text("etag") => {
            let name = object.name.as_deref().unwrap_or_default();
            failed(format!("The {what} {name} has another etag than the one in the If-Match header."))
        }
        (Some(_), None) => failed(format!("The {what} does not exist, so that no etag can match.")),
        _ => Ok(()),
    }
}

fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::open_group(ctx, target)?;
    let present = resource::present(ctx, AzureKind::DnsZone, &target.key());
    check_conditions(call, present.as_ref(), "Zone")?;
    if let Some(zone) = &present {
        lro::check_idle(ctx, zone)?;
    }
    if resource::normal(call.field("location")) != "global" {
        let message = "The location of a DNS zone must be 'global'.";
        return Err(ApiError::new("LocationNotAvailableForResourceType", message));
    }
    let name = target.name();
    let good = name.contains('.')
        && name.len() <= 253
        && name.split('.').all(|l| {
            !l.is_empty() && l.len() <= 63 && l.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        });
    if !good {
        return Err(ApiError::new("BadRequest", format!("The domain name '{name}' is invalid.")));
    }
    if let Some(mut zone) = present {
        resource::put_body(ctx, &mut zone, &call.json);
        ctx.change(&zone.id, |o| *o = zone.clone());
        return Ok(Reply::Json(200, shown::document(ctx, &zone)));
    }
    let zones = ctx.scope().count(AzureKind::DnsZone);
    if let Err(limit) = ctx.within_quota("dns-zones", zones) {
        let message = format!("The subscription cannot have more than {limit} DNS zones.");
        return Err(ApiError::new("QuotaExceeded", message));
    }
    let zone = resource::new(ctx, AzureKind::DnsZone, &target.id(), &call.json);
    ctx.create(zone.clone());
    for record in records::apex(ctx, &zone, &show::name_servers(&zone)) {
        ctx.create(record);
    }
    Ok(Reply::Json(201, shown::document(ctx, &zone)))
}

/// Begins to delete a zone with its records; gives the operation's id.
///
/// # Errors
/// None today; like its siblings.
pub(crate) fn delete_zone(ctx: &mut Ctx<'_>, zone: &Object) -> Result<String> {
    if zone.state == "Deleting" {
        return Ok(zone.text("operation").to_owned());
    }
    let sim_ms = ctx.draw(durations::ZONE_DELETE, &zone.id);
    Ok(lro::begin_delete(ctx, zone, sim_ms))
}

/// A zone goes with its records.
pub(crate) fn zone_gone(ctx: &mut Ctx<'_>, operation: &Operation, zone: &Object) {
    references::remove(ctx, &zone.id);
    lro::end(ctx, &operation.id, None);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_zones_start_of_authority_is_served() {
        let record = json!({ "host": "ns1-01.azure-dns.com.", "email": "azuredns-hostmaster.microsoft.com", "serialNumber": 1,
            "refreshTime": 3_600, "retryTime": 300, "expireTime": 2_419_200, "minimumTTL": 300 });
        let expected = "ns1-01.azure-dns.com. azuredns-hostmaster.microsoft.com 1 3600 300 2419200 300";
        assert_eq!(soa(&record).as_deref(), Some(expected));
    }
}
