//! Route 53: public hosted zones and their records, in the account's global scope.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/Welcome.html>. A batch of changes applies whole or not at
//! all; a zone goes only when nothing but its SOA and NS records is left (`HostedZoneNotEmpty`).

pub(crate) mod model;
mod records;
mod zones;

use crate::wire::unknown_action;
use crate::xml::Xml;
use crate::{durations, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::iso8601,
    cluster::RecordSeen,
    ctx::Ctx,
    object::{Object, Tags},
};
use model::{RecordSet, TagChange};
use records::{change_records, list_records};
use serde::Deserialize;
use zones::{create_zone, delegation, delete_zone, list_zones, render_zone, zone};

const XMLNS: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// The record sets of a zone as its name servers respond to them. An alias is handled as a name, where Route 53 itself answers
/// the addresses of what it leads to.
pub(crate) fn served(zone: &Object) -> Vec<RecordSeen> {
    let seen = |record: RecordSet| {
        let alias = record.alias_target.map(|target| target.name);
        let values = record.resource_records.into_iter().flat_map(|all| all.records).map(|record| record.value);
        RecordSeen {
            name: record.name.trim_end_matches('.').to_lowercase(),
            kind: if alias.is_some() { "CNAME".to_owned() } else { record.r#type },
            ttl_seconds: record.ttl.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(60),
            values: alias.into_iter().chain(values).collect(),
        }
    };
    zones::records(zone).into_iter().map(seen).collect()
}

/// Sets operation and path variables from method and path; false if there is none.
pub(crate) fn route(call: &mut Call) -> bool {
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
    quick_xml::de::from_str(&call.body).map_err(|e| ApiError::new("InvalidInput", format!("Invalid XML ; {e}")))
}

fn document(root: &str, status: u16, fill: impl FnOnce(&mut Xml)) -> Reply {
    let mut x = Xml::new();
    fill(&mut x);
    let body = format!("<?xml version=\"1.0\"?>\n<{root} xmlns=\"{XMLNS}\">{}</{root}>", x.finish());
    Reply::Xml(status, body, Vec::new())
}

/// Handles a call.
///
/// # Errors
/// As Route 53 words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
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
            let count = ctx.scope().count(AwsKind::HostedZone);
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

/// A change: id, when submitted, when everywhere. The id carries the latter two, so none is ever forgotten.
struct Submitted {
    id: String,
    status: &'static str,
    at: String,
}

fn submit(ctx: &mut Ctx<'_>) -> Submitted {
    let hash = ctx.world.hex(6).to_uppercase();
    let ms = ctx.draw(durations::DNS_INSYNC, &hash);
    let insync = ctx.now + ctx.world.clock.wall_us(ms);
    Submitted { id: format!("C{hash}{insync:X}"), status: "PENDING", at: iso8601(ctx.now) }
}

fn change_status(ctx: &Ctx<'_>, id: &str) -> Result<Submitted> {
    let insync = id.get(7..).and_then(|hex| i64::from_str_radix(hex, 16).ok());
    let insync = insync
        .ok_or_else(|| ApiError::new("NoSuchChange", format!("Could not find resource with ID: {id}")).status(404))?;
    let status = if ctx.now >= insync { "INSYNC" } else { "PENDING" };
    Ok(Submitted { id: id.to_owned(), status, at: iso8601(insync.min(ctx.now)) })
}

fn change_info(x: &mut Xml, change: &Submitted) {
    x.node("ChangeInfo", |x| {
        x.leaf("Id", format!("/change/{}", change.id)).leaf("Status", change.status).leaf("SubmittedAt", &change.at);
    });
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
