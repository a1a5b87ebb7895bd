//! What classes say in the same words on every cloud that makes clusters: zones, how nodes are bought, who reaches the API
//! server; and the part of `validate` that is alike there. Which keys a cloud has beside these, only its plugin knows.

use landlord_provider_api::{ProviderError, v1};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{findings::Findings, settings};

/// How many zones, or which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Zones {
    /// The first so many that the cloud takes in the region.
    Count(usize),
    /// These.
    Named(Vec<String>),
}

impl Zones {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Named(names) => names.len(),
        }
    }
}

/// How nodes are bought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// On demand.
    #[default]
    OnDemand,
    /// Spot: cheaper, and taken away at any time.
    Spot,
}

/// The parameters of a class (`parameters_json`), as far as every cloud has them.
pub trait ClassParameters: DeserializeOwned {
    /// Reads them; empty text: everything has its default.
    ///
    /// # Errors
    /// INVALID, naming the key.
    fn parse(text: &str) -> Result<Self, ProviderError> {
        settings::parameters(text)
    }

    /// Networks that reach the API server; `None`: not given, which [`Findings::access`] refuses.
    fn public_access_cidrs(&mut self) -> &mut Option<Vec<String>>;
}

/// Adds what a request has wrong in its parameters, its node pool and its zone.
pub fn check<P: ClassParameters>(
    findings: &mut Findings,
    request: &v1::ValidateRequest,
    check_parameters: impl FnOnce(&P, &mut Findings),
    check_pool: impl FnOnce(&v1::NodePoolSpec, &mut Findings),
) {
    match P::parse(&request.parameters_json) {
        Ok(mut parameters) => {
            // A cluster that the tenant shares exists; who reaches it was decided when it was created.
            if request.scope.as_ref().is_some_and(|scope| !scope.host_cluster.is_empty()) {
                parameters.public_access_cidrs().get_or_insert_default();
            }
            check_parameters(&parameters, findings);
        }
        Err(error) => findings.add("parameters", error.to_string()),
    }
    if let Some(pool) = &request.node_pool {
        check_pool(pool, findings);
    }
    if let Some(zone) = &request.dns_zone {
        findings.domain(&zone.domain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Class {
        public_access_cidrs: Option<Vec<String>>,
    }

    impl ClassParameters for Class {
        fn public_access_cidrs(&mut self) -> &mut Option<Vec<String>> {
            &mut self.public_access_cidrs
        }
    }

    fn fields(request: &v1::ValidateRequest) -> Vec<String> {
        let mut findings = Findings::default();
        let access =
            |class: &Class, findings: &mut Findings| findings.access("access", class.public_access_cidrs.as_deref(), 1);
        check(&mut findings, request, access, |_, findings| findings.add("node_pool", "is too small"));
        findings.into_violations().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn only_a_cluster_of_its_own_needs_to_know_who_reaches_it() {
        let mut request = v1::ValidateRequest::default();
        assert_eq!(fields(&request), ["access"]);
        request.scope = Some(v1::Scope { host_cluster: "hosts".to_owned(), ..v1::Scope::default() });
        assert!(fields(&request).is_empty());
        request.node_pool = Some(v1::NodePoolSpec::default());
        request.parameters_json = r#"{"unknown": 1}"#.to_owned();
        assert_eq!(fields(&request), ["parameters", "node_pool"]);
    }
}
