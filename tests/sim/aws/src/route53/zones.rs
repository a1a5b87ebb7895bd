//! Hosted zones: made, listed, deleted.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHostedZone.html>.

use super::{
    change_info, document,
    model::{NewZone, Record, RecordSet, Records},
    parse, submit,
};
use crate::kind::AwsKind;
use crate::xml::Xml;
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::json;
use std::fmt::Write as _;

const NAME_SERVERS: [&str; 4] =
    ["ns-1.awsdns-01.com.", "ns-2.awsdns-02.net.", "ns-3.awsdns-03.org.", "ns-4.awsdns-04.co.uk."];

/// The zone `id`, if this call sees it.
pub(super) fn zone(ctx: &mut Ctx<'_>, id: &str) -> Result<Object> {
    let found = ctx.seen(id).filter(|o| o.kind == AwsKind::HostedZone && o.is_live());
    found.ok_or_else(|| ApiError::new("NoSuchHostedZone", format!("No hosted zone found with ID: {id}")).status(404))
}

/// A name in lower case with its final dot. Other characters than letters, digits, hyphen, underscore and dot stand as their
/// octal codes, the star of a wildcard as `\052`:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html>.
pub(super) fn absolute(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.to_lowercase().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\' => escaped.push(char::from(byte)),
            other => drop(write!(escaped, "\\{other:03o}")),
        }
    }
    if escaped.ends_with('.') { escaped } else { format!("{escaped}.") }
}

/// Writes a zone.
pub(super) fn render_zone(x: &mut Xml, zone: &Object) {
    x.leaf("Id", format!("/hostedzone/{}", zone.id)).leaf("Name", zone.text("name"));
    x.leaf("CallerReference", zone.text("caller_reference"));
    x.node("Config", |x| {
        x.leaf_opt("Comment", Some(zone.text("comment")).filter(|c| !c.is_empty())).leaf("PrivateZone", false);
    });
    x.leaf("ResourceRecordSetCount", records(zone).len());
}

/// Writes the name servers.
pub(super) fn delegation(x: &mut Xml) {
    x.node("DelegationSet", |x| {
        x.list("NameServers", "NameServer", NAME_SERVERS, |x, server| {
            x.raw(server);
        });
    });
}

/// CreateHostedZone.
pub(super) fn create_zone(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let request: NewZone = parse(call)?;
    let name = absolute(&request.name);
    if name.len() < 3 || !name.contains('.') || name.contains("..") || name.contains(char::is_whitespace) {
        return Err(ApiError::new("InvalidDomainName", format!("{name} is not a valid domain name")));
    }
    let taken = ctx.scope().named(AwsKind::HostedZone, &request.caller_reference).map(|o| o.text("name").to_owned());
    if taken.is_some() {
        let message = format!(
            "A hosted zone has already been created with the specified caller reference: {}",
            request.caller_reference
        );
        return Err(ApiError::new("HostedZoneAlreadyExists", message).status(409));
    }
    let present = ctx.scope().count(AwsKind::HostedZone);
    ctx.within_quota("hosted-zones", present).map_err(|limit| {
        ApiError::new("TooManyHostedZones", format!("Limits Exceeded: MAX_HOSTED_ZONES_BY_ACCOUNT - {limit}"))
    })?;
    let id = format!("Z{}", ctx.world.capitals(20));
    let arn = format!("arn:aws:route53:::hostedzone/{id}");
    let mut zone = Object::new(AwsKind::HostedZone, &id, arn, ctx.now);
    zone.name = Some(request.caller_reference.clone());
    let servers = NAME_SERVERS.map(|s| Record { value: s.to_owned() }).to_vec();
    let soa = format!("{} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400", NAME_SERVERS[0]);
    let own = |kind: &str, ttl, records| RecordSet {
        name: name.clone(),
        r#type: kind.to_owned(),
        set_identifier: None,
        ttl: Some(ttl),
        resource_records: Some(Records { records }),
        alias_target: None,
    };
    let defaults = vec![own("NS", 172_800, servers), own("SOA", 900, vec![Record { value: soa }])];
    let comment = request.hosted_zone_config.and_then(|c| c.comment).unwrap_or_default();
    let zone = zone
        .with("name", name)
        .with("caller_reference", request.caller_reference)
        .with("comment", comment)
        .with("records", json!(defaults));
    ctx.create(zone.clone());
    let change = submit(ctx);
    let reply = document("CreateHostedZoneResponse", 201, |x| {
        x.node("HostedZone", |x| render_zone(x, &zone));
        change_info(x, &change);
        delegation(x);
    });
    let Reply::Xml(status, body, _) = reply else {
        return Ok(reply);
    };
    Ok(Reply::Xml(
        status,
        body,
        vec![("location", format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{id}"))],
    ))
}

/// Labels from the root, by which AWS orders names.
pub(super) fn reversed(name: &str) -> String {
    let mut labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    labels.reverse();
    labels.join(".")
}

/// ListHostedZones and ListHostedZonesByName.
pub(super) fn list_zones(ctx: &mut Ctx<'_>, call: &Call) -> Reply {
    let by_name = call.action == "ListHostedZonesByName";
    let limit: usize = call.params.get("maxitems").and_then(|m| m.parse().ok()).unwrap_or(100).clamp(1, 100);
    let key = |o: &Object| {
        if by_name { (reversed(o.text("name")), o.id.clone()) } else { (String::new(), o.id.clone()) }
    };
    let start = if by_name {
        let name = call.params.get("dnsname").map(|n| reversed(&absolute(n))).unwrap_or_default();
        (name, call.params.text("hostedzoneid").to_owned())
    } else {
        (String::new(), call.params.text("marker").to_owned())
    };
    let mut zones: Vec<Object> =
        ctx.scope().of_kind(AwsKind::HostedZone).filter(|o| key(o) >= start).cloned().collect();
    zones.retain(|o| ctx.sees(o.created_us));
    zones.sort_by_key(key);
    let next = zones.get(limit).cloned();
    zones.truncate(limit);
    document(if by_name { "ListHostedZonesByNameResponse" } else { "ListHostedZonesResponse" }, 200, |x| {
        x.list("HostedZones", "HostedZone", &zones, render_zone);
        x.leaf("IsTruncated", next.is_some()).leaf("MaxItems", limit);
        if by_name {
            x.leaf_opt("DNSName", call.params.get("dnsname")).leaf_opt("HostedZoneId", call.params.get("hostedzoneid"));
            x.leaf_opt("NextDNSName", next.as_ref().map(|n| n.text("name")));
            x.leaf_opt("NextHostedZoneId", next.as_ref().map(|n| n.id.as_str()));
        } else {
            x.leaf("Marker", call.params.text("marker")).leaf_opt("NextMarker", next.as_ref().map(|n| n.id.as_str()));
        }
    })
}

/// DeleteHostedZone.
pub(super) fn delete_zone(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let zone = zone(ctx, call.var(0))?;
    let apex = zone.text("name");
    let own = |r: &RecordSet| r.name == apex && matches!(r.r#type.as_str(), "NS" | "SOA");
    if records(&zone).iter().any(|r| !own(r)) {
        let message = "The specified hosted zone contains non-required resource record sets and so cannot be deleted.";
        return Err(ApiError::new("HostedZoneNotEmpty", message));
    }
    ctx.delete(&zone.id);
    let change = submit(ctx);
    Ok(document("DeleteHostedZoneResponse", 200, |x| change_info(x, &change)))
}

/// The records of a zone.
pub(super) fn records(zone: &Object) -> Vec<RecordSet> {
    zone.props.get("records").and_then(|r| serde_json::from_value(r.clone()).ok()).unwrap_or_default()
}
