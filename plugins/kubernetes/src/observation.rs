//! Inspects the cluster that is adopted: does it respond, is it ready, is it new enough, may we do
//! there what has to be done. Changes nothing.

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use landlord_provider_api::{ErrorKind, ProviderError};

use crate::{
    config::Version,
    error::{during, invalid},
    session::Session,
};

/// What a tenant takes at the least: its namespace, isolated, with its workloads under an account of its own. Group,
/// resource, subresource, verb.
const RIGHTS: [(&str, &str, &str, &str); 10] = [
    ("", "namespaces", "", "create"),
    ("", "namespaces", "", "delete"),
    ("", "resourcequotas", "", "create"),
    ("", "secrets", "", "create"),
    ("", "serviceaccounts", "token", "create"),
    ("", "serviceaccounts", "", "impersonate"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "", "create"),
    ("networking.k8s.io", "networkpolicies", "", "create"),
    ("rbac.authorization.k8s.io", "rolebindings", "", "create"),
    ("apps", "deployments", "", "create"),
];
/// Checks of `/readyz` that are named when they fail.
const NAMED_MAX: usize = 5;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Observation {
    /// As the server says it, for example `v1.37.2+k3s1`.
    pub(crate) version: String,
    /// The cluster's identity.
    pub(crate) uid: String,
    /// Why the server is not ready.
    pub(crate) unready: Option<String>,
}

/// Inspects the API server.
///
/// # Errors
/// TRANSIENT: no response. INVALID: too old, or not the server that the kubeconfig names. AUTH: we are not known.
pub(crate) async fn observe(session: &Session, minimum: Version) -> Result<Observation, ProviderError> {
    let info = session.client.apiserver_version().await.map_err(during("asking for the version"))?;
    let found = Version::parse(&info.major, &info.minor).ok_or_else(|| {
        let problem = format!("the API server says its version is {:?}.{:?}", info.major, info.minor);
        ProviderError::new(ErrorKind::Internal, problem)
    })?;
    if found < minimum {
        return Err(invalid(
            format!(
                "cluster {} runs Kubernetes {found}, and {minimum} is the oldest adopted",
                session.access.cluster_name
            ),
            "upgrade it, or lower minimum_version in the provider's settings if you know what then does not work",
        ));
    }
    let unready = readiness(session).await?;
    let uid = session.cluster_uid().await?.to_owned();
    Ok(Observation { version: info.git_version, uid, unready })
}

/// Why the server is not ready; `None` if it is, or does not say why.
async fn readiness(session: &Session) -> Result<Option<String>, ProviderError> {
    let action = "asking whether the API server is ready";
    let request = http::Request::get("/readyz").body(Vec::new());
    let request = request.map_err(|error| ProviderError::new(ErrorKind::Internal, format!("{action}: {error}")))?;
    match session.client.request_text(request).await {
        Ok(_) => Ok(None),
        // Some offers keep it from their users; what follows shows whether it works.
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 500 => Ok(Some(failed_checks(&status.message))),
        Err(error) => Err(during(action)(error)),
    }
}

/// The lines of checks that failed, `[-]etcd failed: reason withheld`.
fn failed_checks(text: &str) -> String {
    let failed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("[-]")?.split(' ').next()).take(NAMED_MAX).collect();
    let which = if failed.is_empty() { "it does not say why".to_owned() } else { failed.join(", ") };
    format!("the API server is not ready: {which}")
}

/// Whether the kubeconfig's user may do what a tenant takes.
///
/// # Errors
/// AUTH, with every right that is lacking.
pub(crate) async fn check_rights(session: &Session) -> Result<(), ProviderError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(session.client.clone());
    let requested = RIGHTS.map(|(group, resource, subresource, verb)| {
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let (reviews, name) = (&reviews, [resource, subresource].join("/"));
        async move {
            let response = reviews.create(&PostParams::default(), &review).await;
            let response = response.map_err(during("asking for our rights"))?;
            let allowed = response.status.is_some_and(|status| status.allowed);
            Ok::<_, ProviderError>((!allowed).then(|| format!("{verb} {}", name.trim_end_matches('/'))))
        }
    });
    let lacking: Vec<String> = try_join_all(requested).await?.into_iter().flatten().collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let problem = format!(
        "the kubeconfig's user may not do in cluster {} what tenants take: {}",
        session.access.cluster_name,
        lacking.join(", ")
    );
    Err(ProviderError::new(ErrorKind::Auth, problem)
        .with_remedy("bind the user to the ClusterRole cluster-admin (see the plugin's README)"))
}

#[cfg(test)]
mod tests {
    use super::failed_checks;

    #[test]
    fn the_checks_that_failed_are_named() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: reason withheld\nreadyz check failed";
        assert_eq!(failed_checks(text), "the API server is not ready: etcd, informer-sync");
        assert!(failed_checks("").contains("does not say why"));
    }
}
