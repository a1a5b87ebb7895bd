//! CloudWatch Logs: log groups, which EKS makes for a cluster's control-plane logs and leaves when the cluster goes.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html>; what EKS does:
//! <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>.

use crate::{arn::Arn as _, kind::AwsKind, wire::unknown_action};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};
use serde_json::{Value, json};

/// Days that a group may keep its events, as documented.
const RETENTION_DAYS: [u64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Handles a call.
///
/// # Errors
/// As the service words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let name = call.field("logGroupName").to_owned();
    match call.action.as_str() {
        "CreateLogGroup" => {
            if ctx.scope().named(AwsKind::LogGroup, &name).is_some() {
                let message = "The specified log group already exists";
                return Err(ApiError::new("ResourceAlreadyExistsException", message));
            }
            make(ctx, &name, tags(call), Owner::Customer);
        }
        "PutRetentionPolicy" => {
            let days = call.json["retentionInDays"].as_u64().unwrap_or(0);
            if !RETENTION_DAYS.contains(&days) {
                return Err(ApiError::new("InvalidParameterException", format!("{days} days is no valid retention")));
            }
            let id = existing(ctx, &name)?.id;
            ctx.change(&id, |group| group.set("retention", days));
        }
        "DeleteLogGroup" => {
            let id = existing(ctx, &name)?.id;
            ctx.delete(&id);
        }
        "ListTagsForResource" => {
            let group = ctx.seen(call.field("resourceArn")).filter(|group| group.kind == AwsKind::LogGroup);
            let group = group.ok_or_else(absent)?;
            return Ok(Reply::Json(200, json!({ "tags": group.tags })));
        }
        "DescribeLogGroups" => return Ok(Reply::Json(200, list(ctx, call))),
        _ => return Err(unknown_action(call)),
    }
    // Their responses have no body.
    Ok(Reply::Json(200, json!({})))
}

fn existing(ctx: &mut Ctx<'_>, name: &str) -> Result<Object> {
    let found = ctx.named(AwsKind::LogGroup, name);
    found.ok_or_else(absent)
}

fn absent() -> ApiError {
    ApiError::new("ResourceNotFoundException", "The specified log group does not exist.")
}

fn tags(call: &Call) -> Tags {
    let tags = call.json["tags"].as_object().into_iter().flatten();
    tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn make(ctx: &mut Ctx<'_>, name: &str, tags: Tags, owner: Owner) {
    let arn = ctx.arn("logs", &format!("log-group:{name}"));
    let mut group = Object::new(AwsKind::LogGroup, &arn, arn.clone(), ctx.now);
    group.name = Some(name.to_owned());
    group.tags = tags;
    group.owner = owner;
    ctx.create(group);
}

/// Whatever begins with the prefix, all on one page.
fn list(ctx: &mut Ctx<'_>, call: &Call) -> Value {
    let prefix = call.field("logGroupNamePrefix").to_owned();
    let horizon = ctx.horizon;
    let groups: Vec<Value> = ctx
        .scope()
        .named_under(AwsKind::LogGroup, &prefix)
        .filter(|group| horizon.is_none_or(|h| group.created_us <= h))
        .map(|group| {
            let mut shown = json!({ "logGroupName": group.name, "arn": format!("{}:*", group.arn), "storedBytes": 0,
                                    "creationTime": group.created_us / 1_000, "logGroupClass": "STANDARD" });
            if let Some(days) = group.props.get("retention") {
                shown["retentionInDays"] = days.clone();
            }
            shown
        })
        .collect();
    json!({ "logGroups": groups })
}

/// EKS writes the control-plane logs of a cluster: it makes the group if there is none, without tags and retention.
pub(crate) fn written_by_eks(ctx: &mut Ctx<'_>, cluster: &str, logging: &Value) {
    let is_on = logging["clusterLogging"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|setup| setup["enabled"] == true && setup["types"].as_array().is_some_and(|types| !types.is_empty()));
    let name = format!("/aws/eks/{cluster}/cluster");
    if is_on && ctx.scope().named(AwsKind::LogGroup, &name).is_none() {
        make(ctx, &name, Tags::new(), Owner::Eks);
    }
}
