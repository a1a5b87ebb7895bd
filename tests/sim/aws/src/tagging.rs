//! The Resource Groups Tagging API: everything with a tag, a little late.
//!
//! <https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html>. True to AWS: IAM roles
//! are never listed, Route 53 zones only in us-east-1, new objects appear and deleted ones disappear with a lag
//! ("eventually consistent"), deleted stacks linger.

use crate::kind::AwsKind;
use crate::wire::unknown_action;
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    duration,
    kind::Kind,
    object::{Object, Tags},
};
use serde_json::{Value, json};

/// Most resources on a page, as documented.
const MAX_PAGE: usize = 100;

/// One listed resource.
struct Found {
    arn: String,
    kind: AwsKind,
    tags: Tags,
}

/// Handles a call.
///
/// # Errors
/// As the service words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    if call.action != "GetResources" {
        return Err(unknown_action(call));
    }
    let filters = tag_filters(&call.json)?;
    let types: Vec<String> = texts(&call.json["ResourceTypeFilters"]);
    let mut found = collect(ctx, &filters);
    if call.region == "us-east-1" {
        let zones = ctx.global(|ctx| collect(ctx, &filters));
        found.extend(zones.into_iter().filter(|f| f.kind == AwsKind::HostedZone));
    }
    found.retain(|f| {
        let all_tags =
            filters.iter().all(|(k, values)| f.tags.get(k).is_some_and(|v| values.is_empty() || values.contains(v)));
        let service = f.kind.tagging_type().split(':').next().unwrap_or_default();
        let of_type = types.is_empty() || types.iter().any(|t| t == f.kind.tagging_type() || t == service);
        all_tags && of_type && !f.tags.is_empty()
    });
    found.sort_by(|a, b| a.arn.cmp(&b.arn));
    found.dedup_by(|a, b| a.arn == b.arn);
    let after = call.field("PaginationToken").to_owned();
    let size = call.json["ResourcesPerPage"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(MAX_PAGE)
        .clamp(1, MAX_PAGE);
    found.retain(|f| f.arn > after);
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map_or(String::new(), |f| f.arn.clone());
    let list: Vec<Value> = found
        .iter()
        .map(|f| {
            let tags: Vec<Value> = f.tags.iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect();
            json!({ "ResourceARN": f.arn, "Tags": tags })
        })
        .collect();
    Ok(Reply::Json(200, json!({ "PaginationToken": next, "ResourceTagMappingList": list })))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn tag_filters(request: &Value) -> Result<Vec<(String, Vec<String>)>> {
    let filters = request["TagFilters"].as_array().into_iter().flatten();
    let filters: Vec<(String, Vec<String>)> =
        filters.map(|f| (f["Key"].as_str().unwrap_or_default().to_owned(), texts(&f["Values"]))).collect();
    if filters.iter().any(|(key, _)| key.is_empty()) {
        return Err(ApiError::new("InvalidParameterException", "A tag filter must have a key"));
    }
    Ok(filters)
}

/// What may be listed in this scope, by the most selective filter.
fn collect(ctx: &mut Ctx<'_>, filters: &[(String, Vec<String>)]) -> Vec<Found> {
    let now = ctx.now;
    let exact = filters.iter().find(|(_, values)| values.len() == 1);
    let scope = ctx.scope();
    scope.tombstones.retain(|t| t.until_us > now);
    let objects: Vec<Object> = match exact {
        Some((key, values)) => scope.tagged(key, &values[0]).cloned().collect(),
        None => scope.all().cloned().collect(),
    };
    let listed = |kind: Kind| AwsKind::of(kind).filter(|kind| kind.in_tagging_api());
    let mut found: Vec<Found> = scope
        .tombstones
        .iter()
        .filter_map(|t| Some(Found { kind: listed(t.kind)?, arn: t.arn.clone(), tags: t.tags.clone() }))
        .collect();
    for object in objects {
        let lag = ctx.world.clock.wall_us(ctx.draw(duration::TAG_LAG, &object.id));
        let shown = object.is_live() && object.created_us + lag <= now && ctx.sees(object.created_us);
        if let Some(kind) = listed(object.kind).filter(|_| shown) {
            found.push(Found { arn: object.arn, kind, tags: object.tags });
        }
    }
    found
}
