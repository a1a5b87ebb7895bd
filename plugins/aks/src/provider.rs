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
    absence, addons,
    arm::Arm,
    cluster,
    config::Config,
    credentials, describe, dns, identity, inventory, kube_access, leftovers,
    names::Call,
    network, node_pool,
    parameters::{ClassParameters as _, Parameters},
    progress::Outcome,
    protection,
    transport::Wire,
    validate,
};

type ProviderResult<T> = Result<T, ProviderError>;

/// AKS with one credential scope.
#[derive(Debug)]
pub struct Aks {
    arm: Arm,
    config: Config,
    searches: Searches,
}

const REGIONS: Regions = Regions { is_region: validate::is_region, described: "a region of Azure, like westeurope" };

/// The scope of a request.
fn checked(scope: Option<v1::Scope>) -> ProviderResult<v1::Scope> {
    request::scope(scope, REGIONS)
}

/// The same for what a tenant in a shared cluster has none of.
fn own(scope: Option<v1::Scope>) -> ProviderResult<v1::Scope> {
    request::own_cluster(checked(scope)?, "agent pools")
}

impl Aks {
    fn call<'a>(&'a self, scope: &'a v1::Scope) -> ProviderResult<Call<'a>> {
        Ok(Call::new(&self.arm, &self.config, scope)?)
    }
}

#[async_trait]
impl Network for Aks {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> ProviderResult<v1::EnsureNetworkResponse> {
        let scope = own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let (outcome, status) = network::ensure(&self.call(&scope)?, &parameters, &request.checkpoint).await?;
        Ok(v1::EnsureNetworkResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Cluster for Aks {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> ProviderResult<v1::EnsureClusterResponse> {
        let scope = own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = need(request.network, "the network")?;
        let (call, pool) = (self.call(&scope)?, request.node_pool.as_ref());
        let (outcome, status) = cluster::ensure(&call, &parameters, &network, pool, &request.checkpoint).await?;
        Ok(v1::EnsureClusterResponse { progress: done(outcome), status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> ProviderResult<v1::EnsureAddonsResponse> {
        let scope = own(request.scope)?;
        Ok(v1::EnsureAddonsResponse { progress: done(addons::ensure(&self.call(&scope)?).await?) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> ProviderResult<v1::KubeAccess> {
        let scope = checked(request.scope)?;
        Ok(kube_access::access(&self.call(&scope)?, request.cluster).await?)
    }
}

#[async_trait]
impl NodePool for Aks {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> ProviderResult<v1::EnsureNodePoolResponse> {
        let scope = checked(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let cluster = need(request.cluster, "the cluster")?;
        let spec = need(request.spec, "the pool")?;
        let call = self.call(&scope)?;
        let (outcome, status) = node_pool::ensure(&call, &parameters, &cluster, &spec, &request.checkpoint).await?;
        Ok(v1::EnsureNodePoolResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Dns for Aks {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> ProviderResult<v1::EnsureDnsZoneResponse> {
        let scope = checked(request.scope)?;
        let spec = need(request.spec, "the zone")?;
        let (outcome, status) = dns::ensure(&self.call(&scope)?, &spec.domain).await?;
        Ok(v1::EnsureDnsZoneResponse { progress: done(outcome), status })
    }

    async fn ensure_dns_records(
        &self,
        request: v1::EnsureDnsRecordsRequest,
    ) -> ProviderResult<v1::EnsureDnsRecordsResponse> {
        let scope = checked(request.scope)?;
        let zone = need(request.zone, "the zone")?;
        let outcome = dns::records::ensure(&self.call(&scope)?, &zone, &request.records).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress: done(outcome) })
    }
}

#[async_trait]
impl Identity for Aks {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> ProviderResult<v1::EnsureIdentityResponse> {
        let scope = own(request.scope)?;
        let network = need(request.network, "the network")?;
        let zone = need(request.zone, "the zone")?;
        let (outcome, status) = identity::ensure(&self.call(&scope)?, &network, request.cluster, &zone).await?;
        Ok(v1::EnsureIdentityResponse { progress: done(outcome), status: Some(status) })
    }
}

#[async_trait]
impl Inventory for Aks {
    async fn observe(&self, request: v1::ObserveRequest) -> ProviderResult<v1::ObserveResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let scope = checked(request.scope)?;
        let call = self.call(&scope)?;
        if request.for_removal {
            protection::check(&call, kind, &request.role).await?;
        }
        let (outcome, objects) = match kind {
            Kind::Network => network::observe(&call).await?,
            Kind::Cluster => cluster::observe(&call).await?,
            Kind::Addons => addons::observe(&call).await?,
            Kind::NodePool => node_pool::observe(&call, &request.role).await?,
            Kind::DnsZone => dns::observe(&call, &request.domain).await?,
            Kind::DnsRecords => dns::records::observe(&call, &request.domain).await?,
            Kind::Identity => identity::observe(&call).await?,
            Kind::Leftovers => leftovers::observe(&call).await?,
            Kind::Unspecified => return Err(request::missing("the kind")),
        };
        Ok(v1::ObserveResponse { progress: done(outcome), objects })
    }

    async fn delete(&self, request: v1::DeleteRequest) -> ProviderResult<v1::DeleteResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let scope = checked(request.scope)?;
        let call = self.call(&scope)?;
        let checkpoint = &request.checkpoint;
        let held = protection::check(&call, kind, &request.role);
        self.searches.before((&scope, kind, &request.role), held).await?;
        let (outcome, removed) = match kind {
            // The rest of a shared cluster is not the tenant's.
            kind if request::is_of_host(&scope, kind) => (Outcome::Gone, Vec::new()),
            Kind::Network => network::delete(&call, checkpoint).await?,
            Kind::Cluster => cluster::delete(&call, checkpoint).await?,
            // They go with the cluster.
            Kind::Addons => (Outcome::Gone, Vec::new()),
            Kind::NodePool => node_pool::delete(&call, &request.role, checkpoint).await?,
            Kind::DnsZone => dns::delete(&call, &request.domain, checkpoint).await?,
            Kind::DnsRecords => dns::records::delete(&call, &request.domain).await?,
            Kind::Identity => identity::delete(&call).await?,
            Kind::Leftovers => leftovers::delete(&call).await?,
            Kind::Unspecified => return Err(request::missing("the kind")),
        };
        if request.recorded && outcome == Outcome::Gone {
            absence::check(&call, kind, &request.role, &request.domain).await?;
        }
        Ok(v1::DeleteResponse { progress: Some(outcome.progress(removed)) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> ProviderResult<v1::ListOwnedResponse> {
        let scope = checked(request.scope)?;
        Ok(inventory::list(&self.arm, &self.config, &scope, &request.page_token).await?)
    }
}

#[async_trait]
impl Provider for Aks {
    async fn describe(&self, _request: v1::DescribeRequest) -> ProviderResult<v1::DescribeResponse> {
        Ok(landlord_provider_api::provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> ProviderResult<v1::ValidateResponse> {
        Ok(v1::ValidateResponse { violations: validate::validate(&request) })
    }
}

#[async_trait]
impl ProviderPlugin for Aks {
    const NAME: &'static str = "aks";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn description() -> v1::DescribeResponse {
        describe::describe(Self::NAME, Self::VERSION)
    }

    async fn configure(request: v1::ConfigureRequest) -> ProviderResult<Self> {
        let mut problems = Problems::default();
        let config = problems.keep(Config::parse(&request.config_json));
        let endpoint = problems.keep(endpoint::check(&request, endpoint::Path::Refused));
        let scope = problems.keep(credentials::Scope::parse(&request.credential_json));
        let (Some(config), Some(endpoint), Some(scope)) = (config, endpoint, scope) else {
            return Err(problems.into_error());
        };
        let wire = Wire::new(endpoint.clone())?;
        let credential = scope.credential(&wire, &config.cloud)?;
        let manager = config.cloud.manager();
        let base = manager
            .parse()
            .map_err(|e| ProviderError::new(ErrorKind::Internal, format!("{manager} is not a URL: {e}")))?;
        let arm = Arm::new(base, endpoint, credential, wire.options());
        Ok(Self { arm, config, searches: Searches::default() })
    }
}
