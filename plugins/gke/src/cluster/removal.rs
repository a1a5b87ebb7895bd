//! Deleting and observing the tenant's cluster, from the scope alone.

use google_cloud_container_v1::model::{Cluster, cluster::Status};
use landlord_provider_api::{ErrorKind, ProviderError, v1};

use super::{POLL_S, find, owned, path};
use crate::{
    action,
    error::{Owned as _, Result, failed},
    google::Google,
    names::Names,
    operation,
    progress::{self, Outcome},
};

/// `None` for absent and for a foreign one, which a deletion leaves alone.
pub(crate) async fn find_own(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Option<Box<Cluster>>> {
    find(google, scope, names).await.if_owned()
}

/// Whether somebody else has a cluster of the tenant's name.
pub(crate) async fn is_foreign(google: &Google, scope: &v1::Scope, names: &Names) -> Result<bool> {
    match find(google, scope, names).await.map_err(ProviderError::from) {
        Ok(_) => Ok(false),
        Err(error) if error.kind == ErrorKind::NameTaken => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Makes the cluster be absent. GKE takes its node pools along.
pub(crate) async fn delete(
    google: &Google,
    scope: &v1::Scope,
    checkpoint: &[u8],
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let name = names.cluster();
    let waiting = |detail: String, operation: &str| Ok((operation::pending(POLL_S, detail, operation), Vec::new()));
    let Some(cluster) = find_own(google, scope, &names).await? else {
        // Requested and not shown yet: what an earlier call began must not appear after we left.
        let earlier = operation::of_checkpoint(google, scope, checkpoint).await?;
        return match earlier.filter(operation::is_running) {
            Some(running) => waiting(format!("GKE cluster {name} is about to appear or to go"), &running.name),
            None => Ok((Outcome::Gone, Vec::new())),
        };
    };
    match &cluster.status {
        Status::Stopping => return waiting(format!("GKE cluster {name} is being deleted"), ""),
        status @ (Status::Provisioning | Status::Reconciling) => {
            let status = status.name().unwrap_or("busy");
            return waiting(format!("GKE cluster {name} is {status} and can be deleted after that"), "");
        }
        _ => {}
    }
    let response = google.clusters.delete_cluster().set_name(path(scope, &names)).send().await;
    match response.map_err(failed(action::DELETE_CLUSTER, name)) {
        Ok(begun) => Ok((
            operation::pending(POLL_S, format!("GKE cluster {name} is being deleted"), &begun.name),
            vec![owned(&cluster, &scope.region)],
        )),
        Err(error) if error.is_absent() => Ok((Outcome::Gone, vec![owned(&cluster, &scope.region)])),
        Err(error) if error.is_busy() => waiting(format!("GKE cluster {name} cannot be deleted yet: {error}"), ""),
        Err(error) => Err(error),
    }
}

/// Observes.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let Some(cluster) = find_own(google, scope, &names).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let outcome = match &cluster.status {
        Status::Running => progress::ready(),
        status => {
            let status = status.name().unwrap_or("of unknown state");
            progress::pending(POLL_S, format!("GKE cluster {} is {status}", names.cluster()))
        }
    };
    Ok((outcome, vec![owned(&cluster, &scope.region)]))
}
