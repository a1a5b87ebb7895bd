//! Route 53: public hosted zones and their records, in the account's global scope.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/Welcome.html>. A batch of changes applies whole or not at
//! all; a zone goes only when nothing but its SOA and NS records is left (`HostedZoneNotEmpty`).

pub mod model;

use super::unknown_action;
use crate::{
    call::{AwsError, Call, Reply, Result},
    clock::iso8601,
    duration,
    object::{Kind, Object, Tags},
    ctx::Ctx,
    xml::Xml,
};
use model::{ChangeRequest, NewZone, Record, RecordSet, Records, TagChange};
use serde::Deserialize;
use serde_json::json;

const XMLNS: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
const NAME_SERVERS: [&str; 4] =
    ["ns-1.awsdns-01.com.", "ns-2.awsdns-02.net.", "ns-3.awsdns-03.org.", "ns-4.awsdns-04.co.uk."];

/// Sets operation and path variables from method and path; false if there is none.
pub fn route(call: &mut Call) -> bool {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let (action, vars): (&str, Vec<&str>) = match (call.method.as_str(), &path[..]) {
        ("POST", [_, "hostedzone"]) => ("CreateHostedZone", vec![]),
        ("GET", [_, "hostedzone"]) => ("ListHostedZones", vec![]),
        ("GET", [_, "hostedzonesbyname"]) => ("ListHostedZonesByName", vec![]),
        ("GET", [_, "hostedzonecount"]) => ("GetHostedZoneCount", vec![]),
        ("GET", [_, "hostedzone", id]) => ("GetHostedZone", vec![*id]),
        ("DELETE", [_, "hostedzone", id]) => ("DeleteHostedZone", vec![*id]),
        ("POST", [_, "hostedzone", id, "rrset"]) => ("ChangeResourceRecordSets", vec![*id]),
        ("GET", [_, "hostedzone", id, "rrset"]) => ("ListResourceRecordSets", vec![*id]),
        ("GET", [_, "change", id]) => ("GetChange", vec![*id]),
        ("POST", [_, "tags", kind, id]) => ("ChangeTagsForResource", vec![*kind, *id]),
        ("GET", [_, "tags", kind, id]) => ("ListTagsForResource", vec![*kind, *id]),
        _ => return false,
    };
    let vars = vars.into_iter().map(str::to_owned).collect();
    action.clone_into(&mut call.action);
    call.vars = vars;
    true
}

fn parse<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T> {
    quick_xml::de::from_str(&call.body).map_err(|e| AwsError::new("InvalidInput", format!("Invalid XML ; {e}")))
}

fn document(root: &str, status: u16, fill: impl FnOnce(&mut Xml)) -> Reply {
    let mut x = Xml::new();
    fill(&mut x);
    let body = format!("<?xml version=\"1.0\"?>\n<{root} xmlns=\"{XMLNS}\">{}</{root}>", x.finish());
    Reply::Xml(status, body, Vec::new())
}

fn zone(ctx: &mut Ctx<'_>, id: &str) -> Result<Object> {
    let found = ctx.seen(id).filter(|o| o.kind == Kind::HostedZone && o.is_live());
    found.ok_or_else(|| AwsError::new("NoSuchHostedZone", format!("No hosted zone found with ID: {id}")).status(404))
}

fn records(zone: &Object) -> Vec<RecordSet> {
    zone.props.get("records").and_then(|r| serde_json::from_value(r.clone()).ok()).unwrap_or_default()
}

/// A name in lower case with its final dot.
fn absolute(name: &str) -> String {
    let name = name.to_lowercase();
    if name.ends_with('.') { name } else { format!("{name}.") }
}

/// Answers a call.
///
/// # Errors
/// As Route 53 words them.
pub fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    match call.action.as_str() {
        "CreateHostedZone" => create_zone(ctx, call),
        "GetHostedZone" => {
            let zone = zone(ctx, call.var(0))?;
            Ok(document("GetHostedZoneResponse", 200, |x| {
                x.node("HostedZone", |x| render_zone(x, &zone));
                delegation(x);
            }))
        }
        "ListHostedZones" | "ListHostedZonesByName" => Ok(list_zones(ctx, call)),
        "GetHostedZoneCount" => {
            let count = ctx.scope().count(Kind::HostedZone);
            Ok(document("GetHostedZoneCountResponse", 200, |x| {
                x.leaf("HostedZoneCount", count);
            }))
        }
        "DeleteHostedZone" => delete_zone(ctx, call),
        "ChangeResourceRecordSets" => change_records(ctx, call),
        "ListResourceRecordSets" => list_records(ctx, call),
        "GetChange" => {
            let change = change_status(ctx, call.var(0))?;
            Ok(document("GetChangeResponse", 200, |x| change_info(x, &change)))
        }
        "ChangeTagsForResource" => change_tags(ctx, call),
        "ListTagsForResource" => {
            let zone = zone(ctx, call.var(1))?;
            Ok(document("ListTagsForResourceResponse", 200, |x| {
                x.node("ResourceTagSet", |x| {
                    x.leaf("ResourceType", "hostedzone").leaf("ResourceId", &zone.id);
                    x.tags("Tags", "Tag", ("Key", "Value"), &zone.tags);
                });
            }))
        }
        _ => Err(unknown_action(call)),
    }
}

fn render_zone(x: &mut Xml, zone: &Object) {
    x.leaf("Id", format!("/hostedzone/{}", zone.id)).leaf("Name", zone.text("name"));
    x.leaf("CallerReference", zone.text("caller_reference"));
    x.node("Config", |x| {
        x.leaf_opt("Comment", Some(zone.text("comment")).filter(|c| !c.is_empty())).leaf("PrivateZone", false);
    });
    x.leaf("ResourceRecordSetCount", records(zone).len());
}

fn delegation(x: &mut Xml) {
    x.node("DelegationSet", |x| {
        x.list("NameServers", "NameServer", NAME_SERVERS, |x, server| {
            x.raw(server);
        });
    });
}

/// A change: id, when submitted, when everywhere. The id carries the latter two, so none is ever forgotten.
struct Submitted {
    id: String,
    status: &'static str,
    at: String,
}

fn submit(ctx: &mut Ctx<'_>) -> Submitted {
    let hash = ctx.world.hex(6).to_uppercase();
    let ms = ctx.draw(duration::DNS_INSYNC, &hash);
    let insync = ctx.now + ctx.world.clock.wall_us(ms);
    Submitted { id: format!("C{hash}{insync:X}"), status: "PENDING", at: iso8601(ctx.now) }
}

fn change_status(ctx: &Ctx<'_>, id: &str) -> Result<Submitted> {
    let insync = id.get(7..).and_then(|hex| i64::from_str_radix(hex, 16).ok());
    let insync = insync.ok_or_else(|| AwsError::new("NoSuchChange", format!("Could not find resource with ID: {id}")).status(404))?;
    let status = if ctx.now >= insync { "INSYNC" } else { "PENDING" };
    Ok(Submitted { id: id.to_owned(), status, at: iso8601(insync.min(ctx.now)) })
}

fn change_info(x: &mut Xml, change: &Submitted) {
    x.node("ChangeInfo", |x| {
        x.leaf("Id", format!("/change/{}", change.id)).leaf("Status", change.status).leaf("SubmittedAt", &change.at);
    });
}

fn create_zone(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let request: NewZone = parse(call)?;
    let name = absolute(&request.name);
    if name.len() < 3 || !name.contains('.') || name.contains("..") || name.contains(char::is_whitespace) {
        return Err(AwsError::new("InvalidDomainName", format!("{name} is not a valid domain name")));
    }
    let taken = ctx.scope().named(Kind::HostedZone, &request.caller_reference).map(|o| o.text("name").to_owned());
    if taken.is_some() {
        let message = format!("A hosted zone has already been created with the specified caller reference: {}", request.caller_reference);
        return Err(AwsError::new("HostedZoneAlreadyExists", message).status(409));
    }
    let present = ctx.scope().count(Kind::HostedZone);
    ctx.within_quota("hosted-zones", present)
        .map_err(|limit| AwsError::new("TooManyHostedZones", format!("Limits Exceeded: MAX_HOSTED_ZONES_BY_ACCOUNT - {limit}")))?;
    let id = format!("Z{}", ctx.world.capitals(20));
    let arn = format!("arn:aws:route53:::hostedzone/{id}");
    let mut zone = Object::new(Kind::HostedZone, &id, arn, ctx.now);
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
    let Reply::Xml(status, body, _) = reply else { return Ok(reply) };
    Ok(Reply::Xml(status, body, vec![("location", format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{id}"))]))
}

/// Labels from the root, by which AWS orders names.
fn reversed(name: &str) -> String {
    let mut labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    labels.reverse();
    labels.join(".")
}

fn list_zones(ctx: &mut Ctx<'_>, call: &Call) -> Reply {
    let by_name = call.action == "ListHostedZonesByName";
    let limit: usize = call.params.get("maxitems").and_then(|m| m.parse().ok()).unwrap_or(100).clamp(1, 100);
    let key = |o: &Object| if by_name { (reversed(o.text("name")), o.id.clone()) } else { (String::new(), o.id.clone()) };
    let start = if by_name {
        let name = call.params.get("dnsname").map(|n| reversed(&absolute(n))).unwrap_or_default();
        (name, call.params.text("hostedzoneid").to_owned())
    } else {
        (String::new(), call.params.text("marker").to_owned())
    };
    let mut zones: Vec<Object> = ctx.scope().of_kind(Kind::HostedZone).filter(|o| key(o) >= start).cloned().collect();
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

fn delete_zone(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let zone = zone(ctx, call.var(0))?;
    let apex = zone.text("name");
    let own = |r: &RecordSet| r.name == apex && matches!(r.r#type.as_str(), "NS" | "SOA");
    if records(&zone).iter().any(|r| !own(r)) {
        let message = "The specified hosted zone contains non-required resource record sets and so cannot be deleted.";
        return Err(AwsError::new("HostedZoneNotEmpty", message));
    }
    ctx.delete(&zone.id);
    let change = submit(ctx);
    Ok(document("DeleteHostedZoneResponse", 200, |x| change_info(x, &change)))
}

fn change_records(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let zone = zone(ctx, call.var(0))?;
    let request: ChangeRequest = parse(call)?;
    let apex = zone.text("name").to_owned();
    let mut present = records(&zone);
    let mut problems = Vec::new();
    for change in request.change_batch.changes.changes {
        let mut set = change.resource_record_set;
        set.name = absolute(&set.name);
        let kind = set.r#type.clone();
        if set.name != apex && !set.name.ends_with(&format!(".{apex}")) {
            problems.push(format!("RRSet with DNS name {} is not permitted in zone {apex}", set.name));
            continue;
        }
        let same = |r: &RecordSet| r.name == set.name && r.r#type == kind && r.set_identifier == set.set_identifier;
        let at = present.iter().position(same);
        match (change.action.as_str(), at) {
            ("CREATE", Some(_)) => problems.push(format!(
                "Tried to create resource record set [name='{}', type='{kind}'] but it already exists", set.name
            )),
            ("DELETE", None) => problems.push(format!(
                "Tried to delete resource record set [name='{}', type='{kind}'] but it was not found", set.name
            )),
            ("DELETE", Some(i)) if present[i] != set => problems.push(format!(
                "Tried to delete resource record set [name='{}', type='{kind}'] but the values provided do not match the current values", set.name
            )),
            ("DELETE", Some(_)) if set.name == apex && matches!(kind.as_str(), "NS" | "SOA") => problems.push(format!(
                "A HostedZone must contain at least one {kind} record for the zone itself."
            )),
            ("DELETE", Some(i)) => drop(present.remove(i)),
            (_, Some(i)) => present[i] = set,
            (_, None) => present.push(set),
        }
    }
    if !problems.is_empty() {
        return Err(AwsError::new("InvalidChangeBatch", problems.join("\n")));
    }
    if ctx.within_quota("records-per-zone", (present.len() as u64).saturating_sub(1)).is_err() {
        return Err(AwsError::new("InvalidChangeBatch", "The zone would have too many resource record sets"));
    }
    present.sort_by_cached_key(|r| (reversed(&r.name), r.r#type.clone(), r.set_identifier.clone()));
    ctx.change(&zone.id, |o| o.set("records", json!(present)));
    let change = submit(ctx);
    Ok(document("ChangeResourceRecordSetsResponse", 200, |x| change_info(x, &change)))
}

fn list_records(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let zone = zone(ctx, call.var(0))?;
    let limit: usize = call.params.get("maxitems").and_then(|m| m.parse().ok()).unwrap_or(300).clamp(1, 300);
    let start_name = call.params.get("name").map(|n| reversed(&absolute(n))).unwrap_or_default();
    let start_type = call.params.text("type").to_owned();
    let start = (start_name, start_type);
    let mut sets = records(&zone);
    sets.retain(|r| (reversed(&r.name), r.r#type.clone()) >= start);
    let next = sets.get(limit).cloned();
    sets.truncate(limit);
    Ok(document("ListResourceRecordSetsResponse", 200, |x| {
        x.list("ResourceRecordSets", "ResourceRecordSet", &sets, render_record);
        x.leaf("IsTruncated", next.is_some()).leaf("MaxItems", limit);
        if let Some(next) = &next {
            x.leaf("NextRecordName", &next.name).leaf("NextRecordType", &next.r#type);
        }
    }))
}

fn render_record(x: &mut Xml, r: &RecordSet) {
    x.leaf("Name", &r.name).leaf("Type", &r.r#type).leaf_opt("SetIdentifier", r.set_identifier.as_ref());
    x.leaf_opt("TTL", r.ttl);
    if let Some(records) = &r.resource_records {
        x.list("ResourceRecords", "ResourceRecord", &records.records, |x, record| {
            x.leaf("Value", &record.value);
        });
    }
    if let Some(alias) = &r.alias_target {
        x.node("AliasTarget", |x| {
            x.leaf("HostedZoneId", &alias.zone).leaf("DNSName", &alias.name);
            x.leaf("EvaluateTargetHealth", alias.evaluate);
        });
    }
}

fn change_tags(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let zone = zone(ctx, call.var(1))?;
    let request: TagChange = parse(call)?;
    let added: Tags = request.add_tags.into_iter().flat_map(|l| l.tags).map(|t| (t.key, t.value)).collect();
    let removed: Vec<String> = request.remove_tag_keys.into_iter().flat_map(|l| l.keys).collect();
    ctx.change(&zone.id, |o| {
        o.tags.extend(added);
        o.tags.retain(|k, _| !removed.contains(k));
    });
    Ok(document("ChangeTagsForResourceResponse", 200, |_| {}))
}
