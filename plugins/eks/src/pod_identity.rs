//! Roles of the operator's for service accounts of programs in the cluster, such as a provisioner of nodes: EKS pod identity
//! associations as the class names them. They go with the cluster's add-ons.

use std::collections::BTreeMap;

use aws_sdk_eks::types::PodIdentityAssociation;
use landlord_provider_api::v1;

use crate::{
    action,
    aws::Clients,
    cluster,
    error::{Absent as _, Result, failed, invalid},
    identity::{NewAssociation, create, describe, find, remove},
    names::Names,
    tags,
};

/// What its associations are marked with.
const ROLE: &str = "pod-identity";

/// Makes the associations be there: role by `NAMESPACE/ACCOUNT`.
pub(crate) async fn ensure(aws: &Clients, scope: &v1::Scope, wanted: &BTreeMap<String, String>) -> Result<()> {
    let names = Names::new(scope)?;
    for (key, role) in wanted {
        let (namespace, account) = split(key).ok_or_else(|| invalid(format!("parameters.pod_identities: {key:?}")))?;
        let Some(present) = find(aws, &names, namespace, account).await? else {
            let new = NewAssociation { namespace, account, role_arn: role, policy: None, marker: ROLE, token: key };
            create(aws, scope, &names, new).await?;
            continue;
        };
        if !is_ours(scope, &present) {
            return Err(tags::name_taken("pod identity association", key).into());
        }
        if present.role_arn() == Some(role.as_str()) {
            continue;
        }
        let request = aws
            .eks
            .update_pod_identity_association()
            .cluster_name(names.cluster())
            .association_id(present.association_id().unwrap_or_default())
            .role_arn(role);
        request.send().await.map_err(failed(action::UPDATE_POD_IDENTITY, account))?;
    }
    Ok(())
}

/// Namespace and account.
pub(crate) fn split(key: &str) -> Option<(&str, &str)> {
    key.split_once('/').filter(|(namespace, account)| !namespace.is_empty() && !account.is_empty())
}

fn is_ours(scope: &v1::Scope, association: &PodIdentityAssociation) -> bool {
    let tags = association.tags();
    let role = tags.and_then(|tags| tags.get("landlord-role"));
    tags::is_ours(scope, &tags) && role.is_some_and(|role| role == ROLE)
}

/// Those of the tenant's cluster.
pub(crate) async fn list(aws: &Clients, scope: &v1::Scope) -> Result<Vec<PodIdentityAssociation>> {
    let (names, mut found) = (Names::new(scope)?, Vec::new());
    if cluster::find_own(aws, scope, &names).await?.is_none() {
        return Ok(found);
    }
    let pages = aws.eks.list_pod_identity_associations().cluster_name(names.cluster());
    let mut pages = pages.into_paginator().items().send();
    while let Some(summary) = pages.next().await {
        let summary = summary.map_err(failed(action::LIST_POD_IDENTITIES, names.cluster()));
        let Some(summary) = summary.or_absent()? else { break };
        let id = summary.association_id().unwrap_or_default();
        found.extend(describe(aws, &names, id).await?.filter(|association| is_ours(scope, association)));
    }
    Ok(found)
}

/// Makes them be absent.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<Vec<v1::OwnedObject>> {
    remove(aws, scope, &Names::new(scope)?, (list(aws, scope).await?, ROLE)).await
}
