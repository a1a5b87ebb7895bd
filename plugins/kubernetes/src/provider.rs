//! The contract's traits: which part handles which call, and what this provider does not do.

use std::collections::HashMap;

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Inventory, Network, NodePool, Provider, ProviderError, ProviderPlugin, lacks, v1,
};
use landlord_provider_sdk::{
    configure::Problems,
    progress::{self, Outcome, done},
    request::{missing, need},
};

use crate::{
    config::{self, Config},
    credentials::Scope,
    describe,
    error::invalid,
    inventory, nodes,
    observation::{self, Observation},
    session::{Session, Sessions},
};

type ProviderResult<T> = Result<T, ProviderError>;

/// Attribute of statuses that holds the identity of the cluster.
const CLUSTER_UID: &str = "cluster_uid";
/// The API server says that it is not ready for seconds after its start, and for as long as etcd is away.
const UNREADY_POLL_AFTER_S: i64 = 5;
/// Longest name of a place, as of a label's value.
const REGION_BYTES_MAX: usize = 63;

/// The provider with one credential scope, which is one cluster.
#[derive(Debug)]
pub struct Kubernetes {
    sessions: Sessions,
    config: Config,
}

/// A value of a label: it goes into selectors as it is.
fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= REGION_BYTES_MAX && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().copied().all(inner)
}

fn checked(scope: Option<v1::Scope>) -> ProviderResult<v1::Scope> {
    let scope = need(scope, "the scope")?;
    if !is_label_value(&scope.installation) {
        return Err(missing("an installation that can be the value of a label"));
    }
    if !scope.tenant_uid.is_empty() && !is_label_value(&scope.tenant_uid) {
        return Err(missing("a tenant's uid that can be the value of a label"));
    }
    Ok(scope)
}

fn attributes(observation: &Observation) -> HashMap<String, String> {
    [(CLUSTER_UID.to_owned(), observation.uid.clone())].into()
}

impl Kubernetes {
    async fn observe(&self) -> ProviderResult<(Session, Observation)> {
        let session = self.sessions.open()?;
        let observation = observation::observe(&session, self.config.minimum_version).await?;
        Ok((session, observation))
    }
}

#[async_trait]
impl Network for Kubernetes {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> ProviderResult<v1::EnsureNetworkResponse> {
        checked(request.scope)?;
        config::check_parameters(&request.parameters_json)?;
        let (_, observation) = self.observe().await?;
        if let Some(unready) = observation.unready {
            return Ok(v1::EnsureNetworkResponse {
                progress: done(progress::pending(UNREADY_POLL_AFTER_S, unready)),
                status: None,
            });
        }
        let attributes = attributes(&observation);
        let status = v1::NetworkStatus { network_id: observation.uid, attributes, ..v1::NetworkStatus::default() };
        Ok(v1::EnsureNetworkResponse { progress: done(progress::ready()), status: Some(status) })
    }
}

#[async_trait]
impl Cluster for Kubernetes {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> ProviderResult<v1::EnsureClusterResponse> {
        checked(request.scope)?;
        config::check_parameters(&request.parameters_json)?;
        let (session, observation) = self.observe().await?;
        if let Some(unready) = observation.unready {
            return Ok(v1::EnsureClusterResponse {
                progress: done(progress::pending(UNREADY_POLL_AFTER_S, unready)),
                status: None,
            });
        }
        observation::check_rights(&session).await?;
        let attributes = attributes(&observation);
        let status = v1::ClusterStatus {
            name: session.access.cluster_name,
            endpoint: session.access.endpoint,
            ca_pem: session.access.ca_pem,
            kubernetes_version: observation.version,
            attributes,
        };
        Ok(v1::EnsureClusterResponse { progress: done(progress::ready()), status: Some(status) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> ProviderResult<v1::KubeAccess> {
        checked(request.scope)?;
        let session = self.sessions.open()?;
        let known = request.cluster.and_then(|cluster| cluster.attributes.get(CLUSTER_UID).cloned());
        if let Some(known) = known {
            let found = session.cluster_uid().await?;
            if found != known {
                return Err(invalid(
                    format!("the kubeconfig leads to the cluster {found}, and the tenant is in the cluster {known}"),
                    "name the kubeconfig of the tenant's cluster in the credential scope again; another cluster is another \
                     credential scope",
                ));
            }
        }
        Ok(session.access.message())
    }
}

#[async_trait]
impl NodePool for Kubernetes {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> ProviderResult<v1::EnsureNodePoolResponse> {
        let scope = checked(request.scope)?;
        let spec = need(request.spec, "the pool")?;
        if scope.tenant_uid.is_empty() {
            return Err(missing("the tenant's uid"));
        }
        nodes::ensure(&self.sessions.open()?, &scope.tenant_uid, &spec).await
    }
}

/// Names and identities are those of whoever runs the cluster.
impl lacks::Dns for Kubernetes {}
impl lacks::Identity for Kubernetes {}

#[async_trait]
impl Inventory for Kubernetes {
    async fn observe(&self, request: v1::ObserveRequest) -> ProviderResult<v1::ObserveResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let scope = checked(request.scope)?;
        let progress = match kind {
            Kind::Network | Kind::Cluster | Kind::Addons => match self.observe().await?.1.unready {
                Some(unready) => progress::pending(UNREADY_POLL_AFTER_S, unready),
                None => progress::ready(),
            },
            Kind::NodePool => nodes::observe(&self.sessions.open()?, &scope.tenant_uid).await?,
            Kind::DnsZone | Kind::DnsRecords | Kind::Identity | Kind::Leftovers => Outcome::Gone,
            Kind::Unspecified => return Err(missing("the kind")),
        };
        // Nothing of it carries our markers: it was there before us.
        Ok(v1::ObserveResponse { progress: done(progress), objects: Vec::new() })
    }

    /// Forgets. The cluster, its machines and what they carry are not ours to remove.
    async fn delete(&self, request: v1::DeleteRequest) -> ProviderResult<v1::DeleteResponse> {
        let kind = request.kind();
        checked(request.scope)?;
        if kind == v1::ResourceKind::Unspecified {
            return Err(missing("the kind"));
        }
        Ok(v1::DeleteResponse { progress: done(Outcome::Gone) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> ProviderResult<v1::ListOwnedResponse> {
        let scope = checked(request.scope)?;
        inventory::list(&self.sessions.open()?, &scope, &request.page_token).await
    }
}

#[async_trait]
impl Provider for Kubernetes {
    async fn describe(&self, _request: v1::DescribeRequest) -> ProviderResult<v1::DescribeResponse> {
        Ok(landlord_provider_api::provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> ProviderResult<v1::ValidateResponse> {
        let mut violations = Vec::new();
        let mut violated = |field: &str, description: String| {
            violations.push(v1::FieldViolation { field: field.to_owned(), description });
        };
        let region = request.scope.unwrap_or_default().region;
        if !is_label_value(&region) {
            violated(
                "region",
                format!("{region:?} must be a name of at most {REGION_BYTES_MAX} letters, digits, - _ ."),
            );
        }
        if let Err(error) = config::check_parameters(&request.parameters_json) {
            violated("parameters", format!("{}; {}", error.message, error.remedy));
        }
        if request.dns_zone.is_some() {
            let error = lacks::refusal("DNS zones", "dns");
            violated("domain", format!("{}; {}", error.message, error.remedy));
        }
        if request.node_pool.is_some_and(|pool| pool.node_count < 1) {
            violated("node_pool.node_count", "must be at least 1".to_owned());
        }
        Ok(v1::ValidateResponse { violations })
    }
}

#[async_trait]
impl ProviderPlugin for Kubernetes {
    const NAME: &'static str = "kubernetes";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ADOPTS_CLUSTERS: bool = true;

    fn description() -> v1::DescribeResponse {
        describe::describe(Self::NAME, Self::VERSION)
    }

    async fn configure(request: v1::ConfigureRequest) -> ProviderResult<Self> {
        let mut problems = Problems::default();
        if !request.endpoint_override.is_empty() {
            let problem = "endpoint_override means nothing to this provider";
            problems.push(invalid(problem, "remove it: the kubeconfig names the API server"));
        }
        let config = problems.keep(Config::parse(&request.config_json));
        let sessions = problems.keep(Scope::parse(&request.credential_json)).map(Sessions::new);
        let opened = sessions.as_ref().and_then(|sessions| problems.keep(sessions.open()));
        match (config, sessions, opened) {
            (Some(config), Some(sessions), Some(_)) if problems.is_empty() => Ok(Self { sessions, config }),
            _ => Err(problems.into_error()),
        }
    }
}
