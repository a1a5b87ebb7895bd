//! Who administers the cluster: EKS access entries for the principals that the class names,
//! and for landlord's own role when the credential scope names it, so that a cluster made
//! under other credentials stays within reach.

use aws_sdk_eks::types::{AccessScope, AccessScopeType};
use landlord_provider_api::v1;

use crate::{
    action,
    aws::{self, Clients},
    error::{Absent as _, Result, failed},
    names::Names,
    parameters::Parameters,
    tags,
};

/// Makes every principal administrator. Entries that others made stay as they are.
pub(crate) async fn ensure(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    own_role: Option<&str>,
) -> Result<()> {
    let principals = parameters.admin_principal_arns.iter().map(String::as_str).chain(own_role);
    for principal in principals {
        ensure_one(aws, scope, names, principal).await?;
    }
    Ok(())
}

async fn ensure_one(aws: &Clients, scope: &v1::Scope, names: &Names, principal: &str) -> Result<()> {
    let cluster = names.cluster();
    let present = aws.eks.describe_access_entry().cluster_name(cluster).principal_arn(principal).send().await;
    let present = present.map_err(failed(action::DESCRIBE_ACCESS_ENTRY, principal)).or_absent()?;
    if present.is_none() {
        let request = aws
            .eks
            .create_access_entry()
            .cluster_name(cluster)
            .principal_arn(principal)
            .client_request_token(names.token("access", principal))
            .set_tags(Some(tags::all(scope, "access").into_iter().collect()));
        match request.send().await.map_err(failed(action::CREATE_ACCESS_ENTRY, principal)) {
            Ok(_) => {}
            Err(error) if error.code() == "ResourceInUseException" => {}
            Err(error) => return Err(error),
        }
    }
    let policy = policy(&aws.region);
    let listed = aws.eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal).send().await;
    let listed = listed.map_err(failed(action::LIST_ASSOCIATED_ACCESS_POLICIES, principal)).or_absent()?;
    let has =
        listed.is_some_and(|l| l.associated_access_policies().iter().any(|p| p.policy_arn() == Some(policy.as_str())));
    if has {
        return Ok(());
    }
    let whole = AccessScope::builder().r#type(AccessScopeType::Cluster).build();
    let request = aws.eks.associate_access_policy().cluster_name(cluster).principal_arn(principal);
    let response = request.policy_arn(policy).access_scope(whole).send().await;
    response.map(drop).map_err(failed(action::ASSOCIATE_ACCESS_POLICY, principal))
}

fn policy(region: &str) -> String {
    format!("arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", aws::partition(region))
}
