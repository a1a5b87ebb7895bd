//! The contract's traits: which part handles which call. Holds no logic of its own.

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, ErrorKind, Identity, Inventory, Network, NodePool, Provider, ProviderError, ProviderPlugin, v1,
};
use landlord_provider_sdk::{
    configure::Problems,
    endpoint,
    holds::Searches,
    progress::done,
    request::{self, Regions, need},
};

use crate::{
    absence, addons, cluster,
    config::Config,
    credentials, describe, dns,
    google::Google,
    identity, inventory, kube_access, leftovers,
    names::Names,
    network, node_pool,
    parameters::{ClassParameters as _, Parameters},
    progress::Outcome,
    protection, validate,
};

type ProviderResult<T> = Result<T, ProviderError>;

/// GKE with one credential scope.
#[derive(Debug)]
pub struct Gke {
    google: Google,
    config: Config,
    own_project: Option<String>,
    searches: Searches,
}

const REGIONS: Regions =
    Regions { is_region: validate::is_region, described: "a region of Google Cloud, like europe-west1" };

impl Gke {
    /// The same for what a tenant in a shared cluster has none of.
    fn at_own(&self, scope: Option<v1::Scope>) -> ProviderResult<v1::Scope> {
        request::own_cluster(self.at(scope)?, "node pools")
    }

    /// The scope, with the project that is meant.
    fn at(&self, scope: Option<v1::Scope>) -> ProviderResult<v1::Scope> {
        let mut scope = request::scope(scope, REGIONS)?;
        if scope.account.is_empty() {
            scope.account = self.own_project.clone().unwrap_or_default();
        }
        if !validate::is_project(&scope.account) {
            let message = format!("{:?} is not the id of a project", scope.account);
            return Err(ProviderError::new(ErrorKind::Invalid, message)
                .with_remedy("name the project as the class's account: the credentials name none"));
        }
        Ok(scope)
    }
}

#[async_trait]
impl Network for Gke {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> ProviderResult<v1::EnsureNetworkResponse> {
        let scope = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let (outcome, status) = network::ensure(&self.google, &scope, &parameters, &request.checkpoint).await?;
        Ok(v1::EnsureNetworkResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Cluster for Gke {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> ProviderResult<v1::EnsureClusterResponse> {
        let scope = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = need(request.network, "the network")?;
        let wanted = cluster::Wanted {
            scope: &scope,
            parameters: &parameters,
            network: &network,
            node_pool: request.node_pool.as_ref(),
            checkpoint: &request.checkpoint,
        };
        // Google's messages are large, and so are the futures that hold them: they are kept off the stack.
        let (outcome, status) = Box::pin(cluster::ensure(&self.google, wanted)).await?;
        Ok(v1::EnsureClusterResponse { progress: done(outcome), status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> ProviderResult<v1::EnsureAddonsResponse> {
        let scope = self.at_own(request.scope)?;
        let outcome = addons::ensure(&self.google, &scope).await?;
        Ok(v1::EnsureAddonsResponse { progress: done(outcome) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> ProviderResult<v1::KubeAccess> {
        let scope = self.at(request.scope)?;
        Ok(kube_access::access(&self.google, &scope, request.cluster).await?)
    }
}

#[async_trait]
impl NodePool for Gke {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> ProviderResult<v1::EnsureNodePoolResponse> {
        let scope = self.at(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = need(request.network, "the network")?;
        let cluster = need(request.cluster, "the cluster")?;
        let spec = need(request.spec, "the pool")?;
        let wanted = node_pool::Wanted {
            scope: &scope,
            parameters: &parameters,
            network: &network,
            cluster: &cluster,
            spec: &spec,
            checkpoint: &request.checkpoint,
        };
        let (outcome, status) = Box::pin(node_pool::ensure(&self.google, wanted)).await?;
        Ok(v1::EnsureNodePoolResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Dns for Gke {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> ProviderResult<v1::EnsureDnsZoneResponse> {
        let scope = self.at(request.scope)?;
        let spec = need(request.spec, "the zone")?;
        let (outcome, status) = dns::ensure(&self.google, &self.config, &scope, &spec.domain).await?;
        Ok(v1::EnsureDnsZoneResponse { progress: done(outcome), status })
    }

    async fn ensure_dns_records(
        &self,
        request: v1::EnsureDnsRecordsRequest,
    ) -> ProviderResult<v1::EnsureDnsRecordsResponse> {
        let scope = self.at(request.scope)?;
        let zone = need(request.zone, "the zone")?;
        let outcome = dns::records::ensure(&self.google, &scope, &zone, &request.records).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress: done(outcome) })
    }
}

#[async_trait]
impl Identity for Gke {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> ProviderResult<v1::EnsureIdentityResponse> {
        let scope = self.at_own(request.scope)?;
        let zone = need(request.zone, "the zone")?;
        let outcome = identity::ensure(&self.google, &scope, &zone).await?;
        // The cluster itself has the right; nothing is needed in it.
        Ok(v1::EnsureIdentityResponse { progress: done(outcome), status: None })
    }
}

#[async_trait]
impl Inventory for Gke {
    async fn observe(&self, request: v1::ObserveRequest) -> ProviderResult<v1::ObserveResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let (google, scope) = (&self.google, self.at(request.scope)?);
        if request.for_removal {
            protection::check(google, &scope, kind, &request.role).await?;
        }
        let (outcome, objects) = match kind {
            Kind::Network => network::observe(google, &scope).await?,
            Kind::Cluster => cluster::observe(google, &scope).await?,
            Kind::Addons => addons::observe(google, &scope).await?,
            Kind::NodePool => node_pool::observe(google, &scope, &request.role).await?,
            Kind::DnsZone => dns::observe(google, &scope, &request.domain).await?,
            Kind::DnsRecords => dns::records::observe(google, &scope, &request.domain).await?,
            Kind::Identity => identity::observe(google, &scope).await?,
            Kind::Leftovers => leftovers::observe(google, &scope).await?,
            Kind::Unspecified => return Err(request::missing("the kind")),
        };
        Ok(v1::ObserveResponse { progress: done(outcome), objects })
    }

    async fn delete(&self, request: v1::DeleteRequest) -> ProviderResult<v1::DeleteResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let (google, scope) = (&self.google, self.at(request.scope)?);
        // Also what needs no call is refused for a tenant that can't be one.
        Names::new(&scope)?;
        let held = protection::check(google, &scope, kind, &request.role);
        self.searches.before((&scope, kind, &request.role), held).await?;
        let (outcome, removed) = match kind {
            // The rest of a shared cluster is not the tenant's.
            kind if request::is_of_host(&scope, kind) => (Outcome::Gone, Vec::new()),
            Kind::Network => network::delete(google, &scope, &request.checkpoint).await?,
            Kind::Cluster => Box::pin(cluster::delete(google, &scope, &request.checkpoint)).await?,
            // They are part of the cluster and go with it.
            Kind::Addons => (Outcome::Gone, Vec::new()),
            Kind::NodePool => node_pool::delete(google, &scope, &request.role).await?,
            Kind::DnsZone => dns::delete(google, &self.config, &scope, &request.domain).await?,
            Kind::DnsRecords => dns::records::delete(google, &scope, &request.domain).await?,
            Kind::Identity => identity::delete(google, &scope).await?,
            Kind::Leftovers => leftovers::delete(google, &scope, &request.checkpoint).await?,
            Kind::Unspecified => return Err(request::missing("the kind")),
        };
        if request.recorded && outcome == Outcome::Gone {
            let subject = absence::Subject { kind, role: &request.role, domain: &request.domain };
            absence::check(google, &scope, &subject).await?;
        }
        Ok(v1::DeleteResponse { progress: Some(outcome.progress(removed)) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> ProviderResult<v1::ListOwnedResponse> {
        let scope = self.at(request.scope)?;
        Ok(inventory::list(&self.google, &scope).await?)
    }
}

#[async_trait]
impl Provider for Gke {
    async fn describe(&self, _request: v1::DescribeRequest) -> ProviderResult<v1::DescribeResponse> {
        Ok(landlord_provider_api::provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> ProviderResult<v1::ValidateResponse> {
        Ok(v1::ValidateResponse { violations: validate::validate(&request, self.own_project.as_deref()) })
    }
}

#[async_trait]
impl ProviderPlugin for Gke {
    const NAME: &'static str = "gke";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn description() -> v1::DescribeResponse {
        describe::describe(Self::NAME, Self::VERSION)
    }

    async fn configure(request: v1::ConfigureRequest) -> ProviderResult<Self> {
        let mut problems = Problems::default();
        let config = problems.keep(Config::parse(&request.config_json));
        let endpoint = problems.keep(endpoint::check(&request, endpoint::Path::Allowed));
        let scope = problems.keep(credentials::Scope::parse(&request.credential_json));
        let (Some(config), Some(endpoint), Some(scope)) = (config, endpoint, scope) else {
            return Err(problems.into_error());
        };
        let google = Google::new(&scope, endpoint.as_ref().map(endpoint::base)).await?;
        Ok(Self { google, config, own_project: scope.project(), searches: Searches::default() })
    }
}
