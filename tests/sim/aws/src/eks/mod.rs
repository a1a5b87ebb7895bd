//! EKS: clusters, node groups, add-ons, access entries and pod identities.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/Welcome.html>. Each object keeps its API document in the
//! property `doc`; its status and tags are the object's. Lifecycles are in `lifecycle`.

pub(crate) mod access;
pub(crate) mod addon;
pub(crate) mod cluster;
pub(crate) mod config;
mod fargate;
pub(crate) mod lifecycle;
pub(crate) mod nodegroup;
pub(crate) mod nodes;
pub(crate) mod route;
pub(crate) mod updates;

use crate::kind::AwsKind;
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::{Object, Tags},
};
use serde_json::{Map, Value, json};

/// Handles a call.
///
/// # Errors
/// As EKS words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let body = match call.action.as_str() {
        "CreateCluster" => cluster::create(ctx, call)?,
        "ListClusters" => list(ctx, call, AwsKind::Cluster, "", "clusters"),
        "DescribeCluster" => json!({ "cluster": document(&cluster(ctx, call.var(0))?) }),
        "DeleteCluster" => cluster::delete(ctx, call)?,
        "UpdateClusterConfig" | "UpdateClusterVersion" => config::update_cluster(ctx, call)?,
        "ListUpdates" | "DescribeUpdate" => config::updates(ctx, call)?,
        "DescribeClusterVersions" => cluster::versions(),
        "CreateNodegroup" => nodegroup::create(ctx, call)?,
        "ListNodegroups" => children(ctx, call, AwsKind::Nodegroup, "nodegroups")?,
        "DescribeNodegroup" => {
            json!({ "nodegroup": document(&nodegroup::existing(ctx, call.var(0), call.var(1))?) })
        }
        "DeleteNodegroup" => nodegroup::delete(ctx, call)?,
        "UpdateNodegroupConfig" | "UpdateNodegroupVersion" => nodegroup::update(ctx, call)?,
        "CreateFargateProfile" | "DeleteFargateProfile" => fargate::handle(ctx, call)?,
        "ListFargateProfiles" => children(ctx, call, AwsKind::FargateProfile, "fargateProfileNames")?,
        "CreateAddon" => addon::create(ctx, call)?,
        "ListAddons" => children(ctx, call, AwsKind::Addon, "addons")?,
        "DescribeAddon" => {
            json!({ "addon": document(&addon::existing(ctx, call.var(0), call.var(1))?) })
        }
        "DeleteAddon" => addon::delete(ctx, call)?,
        "UpdateAddon" => addon::update(ctx, call)?,
        "DescribeAddonVersions" => addon::versions(call),
        "TagResource" | "UntagResource" | "ListTagsForResource" => tags(ctx, call)?,
        _ => return access::handle(ctx, call),
    };
    Ok(Reply::Json(200, body))
}

/// The error for what does not exist.
pub(crate) fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new("ResourceNotFoundException", message).status(404)
}

/// The error for what is taken or busy.
pub(crate) fn in_use(message: impl Into<String>) -> ApiError {
    ApiError::new("ResourceInUseException", message).status(409)
}

/// The error for a bad parameter.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

/// The cluster called `name`, if this call sees it.
///
/// # Errors
/// ResourceNotFoundException.
pub(crate) fn cluster(ctx: &mut Ctx<'_>, name: &str) -> Result<Object> {
    ctx.named(AwsKind::Cluster, name).ok_or_else(|| not_found(format!("No cluster found for name: {name}.")))
}

/// The cluster called `name` if it is ACTIVE.
///
/// # Errors
/// Not found, or InvalidRequestException.
pub(crate) fn active_cluster(ctx: &mut Ctx<'_>, name: &str) -> Result<Object> {
    let cluster = cluster(ctx, name)?;
    if !matches!(cluster.state.as_str(), "ACTIVE" | "UPDATING") {
        let message = format!("Cluster '{name}' is not in ACTIVE status");
        return Err(ApiError::new("InvalidRequestException", message));
    }
    Ok(cluster)
}

/// The API document of an object, with its present status and tags.
#[must_use]
pub(crate) fn document(object: &Object) -> Value {
    let mut doc = object.props.get("doc").and_then(Value::as_object).cloned().unwrap_or_default();
    if doc.contains_key("status") {
        doc.insert("status".to_owned(), object.state.clone().into());
    }
    doc.insert("tags".to_owned(), json!(object.tags));
    Value::Object(doc)
}

/// Changes fields of an object's document.
pub(crate) fn amend(object: &mut Object, act: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(doc) = object.props.get_mut("doc").and_then(Value::as_object_mut) {
        act(doc);
    }
}

/// A text of an object's document.
#[must_use]
pub(crate) fn doc_text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object.props.get("doc").and_then(|d| d.pointer(pointer)).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a list in an object's document.
#[must_use]
pub(crate) fn doc_texts(object: &Object, pointer: &str) -> Vec<String> {
    let list = object.props.get("doc").and_then(|d| d.pointer(pointer)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Tags in a request.
#[must_use]
pub(crate) fn request_tags(call: &Call) -> Tags {
    let tags = call.json.get("tags").and_then(Value::as_object);
    tags.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// A request without its token: what must be equal for a replay to be one.
#[must_use]
pub(crate) fn fingerprint(call: &Call) -> String {
    let mut body = call.json.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("clientRequestToken");
    }
    // The same request, in whatever order its members came.
    body.sort_all_objects();
    body.to_string()
}

/// Whether `object` was made by this very request.
#[must_use]
pub(crate) fn is_replay(object: &Object, call: &Call) -> bool {
    let token = call.client_token().unwrap_or_default();
    !token.is_empty() && object.text("token") == token && object.text("request") == fingerprint(call)
}

/// One page of names.
fn list(ctx: &mut Ctx<'_>, call: &Call, kind: AwsKind, prefix: &str, key: &str) -> Value {
    let after = call.params.text("nextToken").to_owned();
    let limit: usize = call.params.get("maxResults").and_then(|m| m.parse().ok()).unwrap_or(100).clamp(1, 100);
    let horizon = ctx.horizon;
    let mut names: Vec<String> = ctx
        .scope()
        .named_under(kind, prefix)
        .filter(|o| horizon.is_none_or(|h| o.created_us <= h))
        .filter_map(|o| o.name.as_deref()?.get(prefix.len()..).map(str::to_owned))
        .filter(|name| *name > after)
        .take(limit + 1)
        .collect();
    let more = names.len() > limit;
    names.truncate(limit);
    let next = if more { json!(names.last()) } else { Value::Null };
    json!({ key: names, "nextToken": next })
}

/// One page of the names of a cluster's node groups or add-ons.
fn children(ctx: &mut Ctx<'_>, call: &Call, kind: AwsKind, key: &str) -> Result<Value> {
    cluster(ctx, call.var(0))?;
    Ok(list(ctx, call, kind, &format!("{}/", call.var(0)), key))
}

fn tags(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let arn = call.var(0);
    let object = ctx
        .seen(arn)
        .ok_or_else(|| ApiError::new("NotFoundException", format!("No resource found for ARN: {arn}")).status(404))?;
    match call.action.as_str() {
        "ListTagsForResource" => return Ok(json!({ "tags": object.tags })),
        "TagResource" => ctx.tag(arn, request_tags(call)),
        _ => {
            let keys: Vec<String> = url::form_urlencoded::parse(call.query.as_bytes())
                .filter(|(k, _)| k == "tagKeys")
                .map(|(_, v)| v.into_owned())
                .collect();
            ctx.change(arn, |o| o.tags.retain(|k, _| !keys.contains(k)));
        }
    }
    Ok(json!({}))
}

/// Refuses a role that does not exist in this account's IAM.
///
/// # Errors
/// InvalidParameterException.
pub(crate) fn check_role(ctx: &mut Ctx<'_>, arn: &str) -> Result<()> {
    let exists = ctx.global(|ctx| ctx.scope().live(arn).is_some());
    if exists {
        return Ok(());
    }
    let message = format!(
        "Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
    );
    Err(invalid(message))
}
