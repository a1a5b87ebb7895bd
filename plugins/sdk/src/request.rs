//! What a request can't do without. A message that lacks something is INVALID, before anything is requested from a cloud.

use landlord_provider_api::{ErrorKind, ProviderError, v1};

/// How a cloud writes its regions.
#[derive(Debug, Clone, Copy)]
pub struct Regions {
    /// Whether a text can be one.
    pub is_region: fn(&str) -> bool,
    /// What they are called, with an example: `a Region of AWS, like eu-central-1`.
    pub described: &'static str,
}

/// INVALID: the request lacks `what`.
#[must_use]
pub fn missing(what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, format!("the request lacks {what}"))
}

/// A part of the request.
///
/// # Errors
/// INVALID, naming it.
pub fn need<T>(part: Option<T>, what: &str) -> Result<T, ProviderError> {
    part.ok_or_else(|| missing(what))
}

/// The scope of a request, if it names an installation and a region.
///
/// # Errors
/// INVALID.
pub fn scope(scope: Option<v1::Scope>, regions: Regions) -> Result<v1::Scope, ProviderError> {
    let scope = need(scope, "the scope")?;
    if scope.installation.is_empty() {
        return Err(missing("the installation"));
    }
    if !(regions.is_region)(&scope.region) {
        let problem = format!("{:?} is not {}", scope.region, regions.described);
        return Err(ProviderError::new(ErrorKind::Invalid, problem));
    }
    Ok(scope)
}

/// Refuses what a tenant in a shared cluster has none of: only its `pools` are made there.
///
/// # Errors
/// INVALID for a scope in a shared cluster.
pub fn own_cluster(scope: v1::Scope, pools: &str) -> Result<v1::Scope, ProviderError> {
    if scope.host_cluster.is_empty() {
        return Ok(scope);
    }
    let problem = format!("cluster {} is shared: only {pools} are made in it", scope.host_cluster);
    Err(ProviderError::new(ErrorKind::Invalid, problem))
}

/// Whether a kind is the host cluster's and not the tenant's: its deletion is Gone for the tenant.
#[must_use]
pub fn is_of_host(scope: &v1::Scope, kind: v1::ResourceKind) -> bool {
    use v1::ResourceKind as Kind;
    let is_shared = !scope.host_cluster.is_empty();
    is_shared && matches!(kind, Kind::Network | Kind::Cluster | Kind::Addons | Kind::Identity | Kind::Leftovers)
}

#[cfg(test)]
mod tests {
    use super::{Regions, is_of_host, own_cluster, scope};
    use landlord_provider_api::v1::{ResourceKind, Scope};

    const REGIONS: Regions = Regions { is_region: |text| text == "north-1", described: "a region, like north-1" };

    #[test]
    fn a_scope_needs_an_installation_and_a_region() {
        let good = Scope { installation: "prod".into(), region: "north-1".into(), ..Scope::default() };
        assert!(scope(Some(good.clone()), REGIONS).is_ok());
        let lacks = |scope_of: Option<Scope>| scope(scope_of, REGIONS).expect_err("refused").message;
        assert_eq!(lacks(None), "the request lacks the scope");
        assert_eq!(
            lacks(Some(Scope { installation: String::new(), ..good.clone() })),
            "the request lacks the installation"
        );
        assert!(lacks(Some(Scope { region: "x".into(), ..good })).contains("is not a region, like north-1"));
    }

    #[test]
    fn a_shared_cluster_is_its_hosts() {
        let shared = Scope { host_cluster: "host".into(), ..Scope::default() };
        assert!(own_cluster(shared.clone(), "node pools").is_err());
        assert!(own_cluster(Scope::default(), "node pools").is_ok());
        assert!(is_of_host(&shared, ResourceKind::Cluster) && !is_of_host(&shared, ResourceKind::NodePool));
        assert!(!is_of_host(&Scope::default(), ResourceKind::Cluster));
    }
}
