//! The log group of a cluster's control-plane logs, `/aws/eks/CLUSTER/cluster`: made before EKS would make it without an owner
//! and for ever, kept at its retention, and removed with the cluster. EKS fixes its name, which carries the tenant's uid: of one that EKS
//! made, and that has no markers, the name shows whose it is.
//!
//! <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html>

use landlord_provider_api::{MARKER_INSTALLATION, v1};
use serde_json::{Value, json};

use crate::{
    action::{self, Action},
    aws::Clients,
    error::{Absent as _, Result},
    names::Names,
    parameters::Parameters,
    tags,
};

async fn call(aws: &Clients, action: Action, name: &str, body: &Value) -> Result<Value> {
    aws.query.json(action, "Logs_20140328", name, body).await
}

/// The group with its retention, if it is there.
async fn find(aws: &Clients, name: &str) -> Result<Option<Value>> {
    let response = call(aws, action::DESCRIBE_LOG_GROUPS, name, &json!({ "logGroupNamePrefix": name })).await?;
    let groups = response["logGroups"].as_array().into_iter().flatten();
    Ok(groups.into_iter().find(|group| group["logGroupName"] == name).cloned())
}

/// Makes the group be there with its retention, if the cluster is to write logs.
pub(crate) async fn ensure(aws: &Clients, scope: &v1::Scope, names: &Names, parameters: &Parameters) -> Result<()> {
    if parameters.control_plane_logs.is_empty() {
        return Ok(());
    }
    let (name, days) = (names.log_group(), parameters.control_plane_log_retention_days);
    let present = find(aws, &name).await?;
    if present.is_none() {
        let body = json!({ "logGroupName": name, "tags": tags::all(scope, "control-plane-logs") });
        match call(aws, action::CREATE_LOG_GROUP, &name, &body).await {
            // Made in the meantime, by an earlier call or by EKS.
            Err(error) if error.code() == "ResourceAlreadyExistsException" => {}
            response => drop(response?),
        }
    }
    if present.is_some_and(|group| group["retentionInDays"] == days) {
        return Ok(());
    }
    let body = json!({ "logGroupName": name, "retentionInDays": days });
    call(aws, action::PUT_RETENTION_POLICY, &name, &body).await.map(drop)
}

/// Whether there is such a group.
pub(crate) async fn exists(aws: &Clients, name: &str) -> Result<bool> {
    Ok(find(aws, name).await?.is_some())
}

fn arn<'a>(name: &'a str, group: &'a Value) -> &'a str {
    group["arn"].as_str().unwrap_or(name).trim_end_matches(":*")
}

/// The tenant's group: by its markers, or, where it has none, as EKS makes it, by its name.
async fn find_own(aws: &Clients, scope: &v1::Scope, name: &str) -> Result<Option<Value>> {
    let Some(group) = find(aws, name).await? else { return Ok(None) };
    let body = json!({ "resourceArn": arn(name, &group) });
    let response = call(aws, action::LIST_LOG_GROUP_TAGS, name, &body).await.or_absent()?.unwrap_or_default();
    let of = |key: &str| response["tags"][key].as_str();
    let is_ours = of(MARKER_INSTALLATION).is_none_or(|installation| installation == scope.installation);
    Ok(is_ours.then_some(group))
}

fn owned(scope: &v1::Scope, name: &str, group: &Value) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: "AWS::Logs::LogGroup".to_owned(),
        id: arn(name, group).to_owned(),
        name: name.to_owned(),
        role: "control-plane-logs".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// Makes the group be absent; gives it if it was there. EKS recreates it as long as the cluster lives.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<v1::OwnedObject>> {
    let name = names.log_group();
    let Some(group) = find_own(aws, scope, &name).await? else { return Ok(None) };
    call(aws, action::DELETE_LOG_GROUP, &name, &json!({ "logGroupName": name })).await.or_absent()?;
    Ok(Some(owned(scope, &name, &group)))
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<v1::OwnedObject>> {
    let name = names.log_group();
    Ok(find_own(aws, scope, &name).await?.map(|group| owned(scope, &name, &group)))
}
