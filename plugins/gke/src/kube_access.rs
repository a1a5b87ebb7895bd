//! Access to the API server as GKE grants it: the same OAuth access token that Google's APIs take.
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/api-server-authentication>

use google_cloud_container_v1::model::Cluster;
use landlord_provider_api::{ErrorKind, ProviderError, v1};
use secrecy::ExposeSecret as _;

use crate::{cluster, error::Result, google::Google, names::Names};

/// Endpoint, authority and a token.
pub(crate) async fn access(
    google: &Google,
    scope: &v1::Scope,
    given: Option<v1::ClusterStatus>,
) -> Result<v1::KubeAccess> {
    let names = Names::new(scope)?;
    let known = given.filter(|c| !c.endpoint.is_empty() && !c.ca_pem.is_empty() && c.name == names.home());
    let status = match known {
        Some(status) => status,
        None => match find(google, scope, &names).await? {
            // A cluster has no endpoint in the first minutes of its creation.
            Some(cluster) if !cluster.endpoint.is_empty() => cluster::status(scope, &cluster)?,
            found => {
                let what = if found.is_some() { "has no endpoint yet" } else { "does not exist" };
                let mut error = ProviderError::new(ErrorKind::Conflict, format!("GKE cluster {} {what}", names.home()));
                if names.is_shared() {
                    error = error.with_remedy(format!(
                        "name a regional cluster in {} of the project {}, or adopt one where that is",
                        scope.region, scope.account
                    ));
                }
                return Err(error.into());
            }
        },
    };
    let token = google.tokens.get().await?;
    Ok(v1::KubeAccess {
        endpoint: status.endpoint,
        ca_pem: status.ca_pem,
        token: token.value.expose_secret().to_owned(),
        expire_time: Some(token.expires.into()),
        ..v1::KubeAccess::default()
    })
}

async fn find(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Option<Box<Cluster>>> {
    if names.is_shared() {
        cluster::find_shared(google, scope, names).await
    } else {
        cluster::find(google, scope, names).await
    }
}
