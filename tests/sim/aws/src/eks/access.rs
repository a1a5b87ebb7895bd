//! Who may use a cluster: access entries with their policies, and pod identities.
//!
//! <https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html>,
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html>.

use super::{amend, check_role, cluster, document, fingerprint, in_use, invalid, is_replay, not_found, request_tags};
use crate::wire::unknown_action;
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::{Micros, epoch_seconds},
    ctx::Ctx,
    object::{Object, Tags},
};
use serde_json::{Value, json};

/// The policy that makes a principal administrator.
pub(crate) const CLUSTER_ADMIN_POLICY: &str = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// Handles a call about access entries or pod identities.
///
/// # Errors
/// As EKS words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let name = call.var(0);
    let body = match call.action.as_str() {
        "CreateAccessEntry" => create_entry(ctx, call)?,
        "ListAccessEntries" => {
            cluster(ctx, name)?;
            let names = children(ctx, AwsKind::AccessEntry, name);
            json!({ "accessEntries": names.iter().map(|o| super::doc_text(o, "/principalArn")).collect::<Vec<_>>() })
        }
        "DescribeAccessEntry" => {
            json!({ "accessEntry": document(&existing(ctx, name, call.var(1))?) })
        }
        "UpdateAccessEntry" => update_entry(ctx, call)?,
        "DeleteAccessEntry" => {
            let entry = existing(ctx, name, call.var(1))?;
            ctx.delete(&entry.id);
            json!({})
        }
        "AssociateAccessPolicy" | "DisassociateAccessPolicy" => change_policy(ctx, call)?,
        "ListAssociatedAccessPolicies" => {
            let entry = existing(ctx, name, call.var(1))?;
            let policies = entry.props.get("policies").cloned().unwrap_or_else(|| json!([]));
            json!({ "clusterName": name, "principalArn": call.var(1), "associatedAccessPolicies": policies })
        }
        "CreatePodIdentityAssociation" => create_association(ctx, call)?,
        "ListPodIdentityAssociations" => list_associations(ctx, call)?,
        "DescribePodIdentityAssociation" => {
            json!({ "association": document(&association(ctx, call)?) })
        }
        "UpdatePodIdentityAssociation" => {
            let object = association(ctx, call)?;
            let (role, request) = (call.field("roleArn").to_owned(), call.json.clone());
            ctx.change(&object.id, |o| {
                amend(o, |doc| {
                    if !role.is_empty() {
                        doc.insert("roleArn".to_owned(), role.into());
                    }
                    for (key, value) in request.as_object().into_iter().flatten() {
                        if matches!(key.as_str(), "policy" | "disableSessionTags") && !value.is_null() {
                            doc.insert(key.clone(), value.clone());
                        }
                    }
                });
            });
            json!({ "association": document(&association(ctx, call)?) })
        }
        "DeletePodIdentityAssociation" => {
            let object = association(ctx, call)?;
            ctx.delete(&object.id);
            json!({ "association": document(&object) })
        }
        _ => return Err(unknown_action(call)),
    };
    Ok(Reply::Json(200, body))
}

fn children(ctx: &mut Ctx<'_>, kind: AwsKind, cluster_name: &str) -> Vec<Object> {
    ctx.scope().named_under(kind, &format!("{cluster_name}/")).cloned().collect()
}

/// The IAM principal behind a caller: an assumed role's session is the role.
#[must_use]
pub(crate) fn principal_of(caller: &str) -> String {
    let Some((account, rest)) = caller.strip_prefix("arn:aws:sts::").and_then(|r| r.split_once(":assumed-role/"))
    else {
        return caller.to_owned();
    };
    let role = rest.split('/').next().unwrap_or(rest);
    format!("arn:aws:iam::{account}:role/{role}")
}

/// The access entry of a principal.
///
/// # Errors
/// ResourceNotFoundException.
pub(crate) fn existing(ctx: &mut Ctx<'_>, cluster_name: &str, principal: &str) -> Result<Object> {
    cluster(ctx, cluster_name)?;
    ctx.named(AwsKind::AccessEntry, &format!("{cluster_name}/{principal}"))
        .ok_or_else(|| not_found(format!("The specified principalArn could not be found: {principal}")))
}

/// A new access entry, not yet in the world.
pub(crate) fn new_entry(
    ctx: &mut Ctx<'_>,
    cluster_name: &str,
    principal: &str,
    kind: &str,
    groups: &[String],
    tags: Tags,
) -> Object {
    let uuid = ctx.world.uuid();
    let tail = principal.splitn(6, ':').nth(5).unwrap_or(principal);
    let account = ctx.key.account.clone();
    let arn = ctx.arn(
        "eks",
        &format!(
            "access-entry/{cluster_name}/{}/{account}/{}/{uuid}",
            tail.split('/').next().unwrap_or("role"),
            tail.rsplit('/').next().unwrap_or(tail)
        ),
    );
    let doc = json!({
        "clusterName": cluster_name, "principalArn": principal, "kubernetesGroups": groups,
        "accessEntryArn": arn, "createdAt": epoch_seconds(ctx.now), "modifiedAt": epoch_seconds(ctx.now),
        "username": if kind == "EC2_LINUX" { "system:node:{{EC2PrivateDNSName}}" } else { principal },
        "type": kind,
    });
    let mut entry = Object::new(AwsKind::AccessEntry, &arn, arn.clone(), ctx.now);
    entry.name = Some(format!("{cluster_name}/{principal}"));
    entry.tags = tags;
    entry.state = "ACTIVE".to_owned();
    entry.with("doc", doc).with("policies", json!([]))
}

fn create_entry(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (name, principal) = (call.var(0), call.field("principalArn"));
    cluster(ctx, name)?;
    if let Some(present) = ctx.scope().named(AwsKind::AccessEntry, &format!("{name}/{principal}")).cloned() {
        if is_replay(&present, call) {
            return Ok(json!({ "accessEntry": document(&present) }));
        }
        return Err(in_use("The specified access entry resource is already in use on this cluster."));
    }
    if !principal.starts_with("arn:aws:iam::") {
        return Err(invalid("The principalArn parameter format is not valid"));
    }
    let groups: Vec<String> = call
        .json
        .get("kubernetesGroups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|g| g.as_str().map(str::to_owned))
        .collect();
    if let Some(bad) = groups.iter().find(|g| g.starts_with("system:") || g.starts_with("eks:")) {
        return Err(invalid(format!(
            "The kubernetes group name {bad} is invalid, it cannot start with system: or eks:"
        )));
    }
    let kind = call.json.get("type").and_then(Value::as_str).unwrap_or("STANDARD");
    let entry = new_entry(ctx, name, principal, kind, &groups, request_tags(call))
        .with("token", call.client_token().unwrap_or_default())
        .with("request", fingerprint(call));
    let response = document(&entry);
    ctx.create(entry);
    Ok(json!({ "accessEntry": response }))
}

fn update_entry(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let entry = existing(ctx, call.var(0), call.var(1))?;
    let groups = call.json.get("kubernetesGroups").cloned();
    ctx.change(&entry.id, |o| {
        amend(o, |doc| {
            if let Some(groups) = groups {
                doc.insert("kubernetesGroups".to_owned(), groups);
            }
        });
    });
    Ok(json!({ "accessEntry": document(&existing(ctx, call.var(0), call.var(1))?) }))
}

/// An associated policy as the API shows it.
#[must_use]
pub(crate) fn policy_document(arn: &str, scope: &Value, now: Micros) -> Value {
    json!({ "policyArn": arn, "accessScope": scope, "associatedAt": epoch_seconds(now), "modifiedAt": epoch_seconds(now) })
}

fn change_policy(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let entry = existing(ctx, call.var(0), call.var(1))?;
    let associate = call.action == "AssociateAccessPolicy";
    let arn = if associate { call.field("policyArn") } else { call.var(2) };
    if !arn.starts_with("arn:aws:eks::aws:cluster-access-policy/") {
        return Err(invalid(format!("The policyArn parameter format is not valid: {arn}")));
    }
    let mut policies = entry.props.get("policies").and_then(Value::as_array).cloned().unwrap_or_default();
    let before = policies.len();
    policies.retain(|p| p["policyArn"] != arn);
    if !associate && policies.len() == before {
        return Err(not_found(format!("The policy {arn} is not associated")));
    }
    let scope = call.json.get("accessScope").cloned().unwrap_or_else(|| json!({"type": "cluster"}));
    let document = policy_document(arn, &scope, ctx.now);
    if associate {
        policies.push(document.clone());
    }
    ctx.change(&entry.id, |o| o.set("policies", policies));
    Ok(json!({ "clusterName": call.var(0), "principalArn": call.var(1), "associatedAccessPolicy": document }))
}

fn association(ctx: &mut Ctx<'_>, call: &Call) -> Result<Object> {
    cluster(ctx, call.var(0))?;
    let id = call.var(1);
    let found = children(ctx, AwsKind::PodIdentityAssociation, call.var(0))
        .into_iter()
        .find(|o| super::doc_text(o, "/associationId") == id);
    found.filter(|o| ctx.sees(o.created_us)).ok_or_else(|| not_found(format!("No association found with id: {id}")))
}

fn create_association(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let name = call.var(0);
    cluster(ctx, name)?;
    let unique = format!("{name}/{}/{}", call.field("namespace"), call.field("serviceAccount"));
    if let Some(present) = ctx.scope().named(AwsKind::PodIdentityAssociation, &unique).cloned() {
        if is_replay(&present, call) {
            return Ok(json!({ "association": document(&present) }));
        }
        let id = super::doc_text(&present, "/associationId");
        return Err(in_use(format!("Association already exists: {id}")));
    }
    if call.field("namespace").is_empty() || call.field("serviceAccount").is_empty() {
        return Err(invalid("namespace and serviceAccount must be given"));
    }
    check_role(ctx, call.field("roleArn"))?;
    let present = children(ctx, AwsKind::PodIdentityAssociation, name).len() as u64;
    if ctx.within_quota("pod-identity-associations-per-cluster", present).is_err() {
        let message = "Pod identity association limit exceeded for the cluster";
        return Err(ApiError::new("ResourceLimitExceededException", message));
    }
    let account = (call.field("namespace"), call.field("serviceAccount"));
    let object = new_association(ctx, name, account, call.field("roleArn"), request_tags(call))
        .with("token", call.client_token().unwrap_or_default())
        .with("request", fingerprint(call));
    let response = document(&object);
    ctx.create(object);
    Ok(json!({ "association": response }))
}

/// A new association of the service account (namespace, name), not yet in the world.
pub(crate) fn new_association(
    ctx: &mut Ctx<'_>,
    cluster_name: &str,
    account: (&str, &str),
    role: &str,
    tags: Tags,
) -> Object {
    let id = format!("a-{}", ctx.world.hex(17));
    let arn = ctx.arn("eks", &format!("podidentityassociation/{cluster_name}/{id}"));
    let doc = json!({
        "clusterName": cluster_name, "namespace": account.0, "serviceAccount": account.1,
        "roleArn": role, "associationArn": arn, "associationId": id,
        "createdAt": epoch_seconds(ctx.now), "modifiedAt": epoch_seconds(ctx.now),
    });
    let mut object = Object::new(AwsKind::PodIdentityAssociation, &arn, arn.clone(), ctx.now);
    object.name = Some(format!("{cluster_name}/{}/{}", account.0, account.1));
    object.state = "ACTIVE".to_owned();
    object.tags = tags;
    object.with("doc", doc)
}

fn list_associations(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    cluster(ctx, call.var(0))?;
    let wanted =
        |o: &Object, key: &str, pointer: &str| call.params.get(key).is_none_or(|v| v == super::doc_text(o, pointer));
    let all: Vec<Value> = children(ctx, AwsKind::PodIdentityAssociation, call.var(0))
        .iter()
        .filter(|o| wanted(o, "namespace", "/namespace") && wanted(o, "serviceAccount", "/serviceAccount"))
        .map(|o| {
            let doc = document(o);
            json!({ "clusterName": doc["clusterName"], "namespace": doc["namespace"], "serviceAccount": doc["serviceAccount"],
                    "associationArn": doc["associationArn"], "associationId": doc["associationId"] })
        })
        .collect();
    Ok(json!({ "associations": all, "nextToken": null }))
}
