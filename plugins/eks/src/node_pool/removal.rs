//! Finding, deleting and observing the tenant's node groups, from the scope alone.

use aws_sdk_eks::types::{Nodegroup, NodegroupStatus as Status};
use landlord_provider_api::v1;

use super::{POLL_S, begin_delete, find};
use crate::{
    action,
    aws::Clients,
    cluster,
    error::{Absent as _, Result, failed},
    names::{self, Names},
    progress::{self, Outcome},
    tags,
};

fn owned(scope: &v1::Scope, group: &Nodegroup) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: "AWS::EKS::Nodegroup".to_owned(),
        id: group.nodegroup_arn().unwrap_or_default().to_owned(),
        name: group.nodegroup_name().unwrap_or_default().to_owned(),
        role: "node-pool".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// The tenant's pool of this role, or with an empty role all of them. Empty if the cluster is
/// absent or a foreign one.
async fn list(aws: &Clients, scope: &v1::Scope, names: &Names, role: &str) -> Result<Vec<Nodegroup>> {
    let mut found = Vec::new();
    // A shared cluster is not the tenant's; its pools in there are, by their markers.
    if !names.is_shared() && cluster::find_own(aws, scope, names).await?.is_none() {
        return Ok(found);
    }
    let wanted = match role {
        "" => names_of_all(aws, names).await?,
        role => vec![names::node_group(role)?],
    };
    for name in wanted {
        found.extend(find(aws, names, &name).await?.filter(|g| tags::is_ours(scope, &g.tags())));
    }
    Ok(found)
}

/// Names of node groups in the tenant's own cluster that do not carry its markers; `own` is a role that is not inspected.
pub(crate) async fn foreign(aws: &Clients, scope: &v1::Scope, names: &Names, own: &str) -> Result<Vec<String>> {
    let own = if own.is_empty() { String::new() } else { names::node_group(own)? };
    let mut found = Vec::new();
    for name in names_of_all(aws, names).await?.into_iter().filter(|name| *name != own) {
        if find(aws, names, &name).await?.is_some_and(|group| !tags::is_ours(scope, &group.tags())) {
            found.push(name);
        }
    }
    Ok(found)
}

async fn names_of_all(aws: &Clients, names: &Names) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pages = aws.eks.list_nodegroups().cluster_name(names.home()).into_paginator().items().send();
    while let Some(name) = pages.next().await {
        let Some(name) = name.map_err(failed(action::LIST_NODEGROUPS, names.home())).or_absent()? else { break };
        found.push(name);
    }
    Ok(found)
}

/// A node group that has the pool's name and not our markers is an error.
pub(crate) async fn refuse_unmarked(aws: &Clients, scope: &v1::Scope, names: &Names, role: &str) -> Result<()> {
    let name = names::node_group(role)?;
    match find(aws, names, &name).await? {
        Some(group) if !tags::is_ours(scope, &group.tags()) => Err(tags::name_taken("node group", &name).into()),
        _ => Ok(()),
    }
}

/// Makes the pool of `role` be absent.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope, role: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    delete_listed(aws, scope, &names, role).await
}

/// Makes every pool of the tenant be absent.
pub(crate) async fn delete_all(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    delete_listed(aws, scope, names, "").await
}

async fn delete_listed(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    role: &str,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let groups = list(aws, scope, names, role).await?;
    if groups.is_empty() {
        return Ok((Outcome::Gone, Vec::new()));
    }
    let mut removed = Vec::new();
    let mut waiting = Vec::new();
    for group in &groups {
        let name = group.nodegroup_name().unwrap_or_default();
        let status = group.status().map_or("", Status::as_str);
        match group.status() {
            Some(Status::Deleting) => waiting.push(format!("node group {name} is being deleted")),
            Some(Status::Creating | Status::Updating) => {
                waiting.push(format!("node group {name} is {status} and can be deleted after that"));
            }
            _ => {
                begin_delete(aws, names, name).await?;
                removed.push(owned(scope, group));
                waiting.push(format!("node group {name} is being deleted"));
            }
        }
    }
    Ok((progress::pending(POLL_S, waiting.join("; ")), removed))
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope, role: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let groups = list(aws, scope, &names, role).await?;
    let unready = |group: &Nodegroup| match group.status() {
        Some(Status::Active) => None,
        status => {
            let status = status.map_or("", Status::as_str);
            Some(format!("node group {} is {status}", group.nodegroup_name().unwrap_or_default()))
        }
    };
    Ok(progress::observed(&groups, |group| owned(scope, group), unready, POLL_S))
}
