//! Records of a zone. A batch of changes applies whole or not at all.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>.

use super::{
    change_info, document,
    model::{ChangeRequest, RecordSet},
    parse, submit,
    zones::{absolute, records, reversed, zone},
};
use crate::xml::Xml;
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
};
use serde_json::json;

/// ChangeResourceRecordSets.
pub(super) fn change_records(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
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
        return Err(ApiError::new("InvalidChangeBatch", problems.join("\n")));
    }
    if ctx.within_quota("records-per-zone", (present.len() as u64).saturating_sub(1)).is_err() {
        return Err(ApiError::new("InvalidChangeBatch", "The zone would have too many resource record sets"));
    }
    present.sort_by_cached_key(|r| (reversed(&r.name), r.r#type.clone(), r.set_identifier.clone()));
    ctx.change(&zone.id, |o| o.set("records", json!(present)));
    let change = submit(ctx);
    Ok(document("ChangeResourceRecordSetsResponse", 200, |x| change_info(x, &change)))
}

/// ListResourceRecordSets.
pub(super) fn list_records(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
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
