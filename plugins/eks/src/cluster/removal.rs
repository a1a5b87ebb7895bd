//! Deleting and observing the tenant's control plane, from the scope alone.

use aws_sdk_eks::types::ClusterStatus as Status;
use landlord_provider_api::v1;

use super::{POLL_S, find_own, owned};
use crate::{
    action,
    aws::Clients,
    error::{Result, failed},
    names::Names,
    node_pool,
    progress::{self, Outcome},
};

/// Makes the control plane be absent, its node groups first.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let name = names.cluster();
    let Some(cluster) = find_own(aws, scope, &names).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let waiting = |detail: String| Ok((progress::pending(POLL_S, detail), Vec::new()));
    match cluster.status() {
        Some(Status::Deleting) => return waiting(format!("EKS cluster {name} is being deleted")),
        Some(status @ (Status::Creating | Status::Updating | Status::Pending)) => {
            return waiting(format!("EKS cluster {name} is {status} and can be deleted after that"));
        }
        _ => {}
    }
    let (pools, removed) = node_pool::delete_all(aws, scope, &names).await?;
    if pools.is_pending() {
        return Ok((pools, removed));
    }
    let response = aws.eks.delete_cluster().name(name).send().await;
    match response.map_err(failed(action::DELETE_CLUSTER, name)) {
        Ok(_) => Ok((
            progress::pending(POLL_S, format!("EKS cluster {name} is being deleted")),
            vec![owned(scope, &cluster)],
        )),
        Err(error) if error.is_absent() => Ok((Outcome::Gone, vec![owned(scope, &cluster)])),
        Err(error) if error.is_busy() => waiting(format!("EKS cluster {name} cannot be deleted yet: {error}")),
        Err(error) => Err(error),
    }
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let Some(cluster) = find_own(aws, scope, &names).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let outcome = match cluster.status() {
        Some(Status::Active) => progress::ready(),
        status => {
            let status = status.map_or("of unknown state", Status::as_str);
            progress::pending(POLL_S, format!("EKS cluster {} is {status}", names.cluster()))
        }
    };
    Ok((outcome, vec![owned(scope, &cluster)]))
}
