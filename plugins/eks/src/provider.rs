//! The contract's traits: which part handles which call. Holds no logic of its own.

use std::sync::Arc;

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, Identity, Inventory, Network, NodePool, Provider, ProviderError, ProviderPlugin, v1,
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
    aws::{Aws, Clients},
    cluster,
    config::Config,
    credentials, describe, dns, identity, inventory, kube_access, leftovers, network, node_pool,
    parameters::{ClassParameters as _, Parameters},
    pod_identity,
    progress::Outcome,
    protection, validate,
};

type ProviderResult<T> = Result<T, ProviderError>;

/// EKS with one credential scope.
#[derive(Debug)]
pub struct Eks {
    aws: Aws,
    config: Config,
    own_role: Option<String>,
    searches: Searches,
}

const REGIONS: Regions = Regions { is_region: validate::is_region, described: "a Region of AWS, like eu-central-1" };

impl Eks {
    /// The scope and the clients of its Region.
    fn at(&self, scope: Option<v1::Scope>) -> ProviderResult<(v1::Scope, Arc<Clients>)> {
        let scope = request::scope(scope, REGIONS)?;
        let clients = self.aws.region(&scope.region);
        Ok((scope, clients))
    }

    /// The same for what a tenant in a shared cluster has none of.
    fn at_own(&self, scope: Option<v1::Scope>) -> ProviderResult<(v1::Scope, Arc<Clients>)> {
        let (scope, aws) = self.at(scope)?;
        Ok((request::own_cluster(scope, "node groups")?, aws))
    }
}

#[async_trait]
impl Network for Eks {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> ProviderResult<v1::EnsureNetworkResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let (outcome, status) = network::ensure(&aws, &scope, &parameters).await?;
        Ok(v1::EnsureNetworkResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Cluster for Eks {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> ProviderResult<v1::EnsureClusterResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = need(request.network, "the network")?;
        let own_role = self.own_role.as_deref();
        let (outcome, status) = cluster::ensure(&aws, &scope, &parameters, &network, own_role).await?;
        Ok(v1::EnsureClusterResponse { progress: done(outcome), status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> ProviderResult<v1::EnsureAddonsResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = need(request.network, "the network")?;
        pod_identity::ensure(&aws, &scope, &parameters.pod_identities).await?;
        let outcome = addons::ensure(&aws, &scope, &parameters, &network).await?;
        Ok(v1::EnsureAddonsResponse { progress: done(outcome) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> ProviderResult<v1::KubeAccess> {
        let (scope, aws) = self.at(request.scope)?;
        Ok(kube_access::access(&aws, &scope, request.cluster).await?)
    }
}

#[async_trait]
impl NodePool for Eks {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> ProviderResult<v1::EnsureNodePoolResponse> {
        let (scope, aws) = self.at(request.scope)?;
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
        };
        let (outcome, status) = node_pool::ensure(&aws, wanted).await?;
        Ok(v1::EnsureNodePoolResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Dns for Eks {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> ProviderResult<v1::EnsureDnsZoneResponse> {
        let (scope, aws) = self.at(request.scope)?;
        let spec = need(request.spec, "the zone")?;
        let found = dns::ensure(&aws, &self.config, &scope, &spec.domain, &request.checkpoint).await;
        let (outcome, status) = found?;
        Ok(v1::EnsureDnsZoneResponse { progress: done(outcome), status })
    }

    async fn ensure_dns_records(
        &self,
        request: v1::EnsureDnsRecordsRequest,
    ) -> ProviderResult<v1::EnsureDnsRecordsResponse> {
        let (scope, aws) = self.at(request.scope)?;
        let zone = need(request.zone, "the zone")?;
        let outcome = dns::records::ensure(&aws, &scope, &zone, &request.records).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress: done(outcome) })
    }
}

#[async_trait]
impl Identity for Eks {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> ProviderResult<v1::EnsureIdentityResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let network = need(request.network, "the network")?;
        let zone = need(request.zone, "the zone")?;
        let outcome = identity::ensure(&aws, &scope, &network, &zone).await?;
        // EKS knows them by namespace and name; nothing is needed in the cluster.
        Ok(v1::EnsureIdentityResponse { progress: done(outcome), status: None })
    }
}

#[async_trait]
impl Inventory for Eks {
    async fn observe(&self, request: v1::ObserveRequest) -> ProviderResult<v1::ObserveResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let (scope, aws) = self.at(request.scope)?;
        if request.for_removal {
            protection::check(&aws, &scope, kind, &request.role).await?;
        }
        let (outcome, objects) = match kind {
            Kind::Network => network::observe(&aws, &scope).await?,
            Kind::Cluster => cluster::observe(&aws, &scope).await?,
            Kind::Addons => addons::observe(&aws, &scope).await?,
            Kind::NodePool => node_pool::observe(&aws, &scope, &request.role).await?,
            Kind::DnsZone => dns::observe(&aws, &scope, &request.domain).await?,
            Kind::DnsRecords => dns::records::observe(&aws, &scope, &request.domain).await?,
            Kind::Identity => identity::observe(&aws, &scope).await?,
            Kind::Leftovers => leftovers::observe(&aws, &scope).await?,
            Kind::Unspecified => return Err(request::missing("the kind")),
        };
        Ok(v1::ObserveResponse { progress: done(outcome), objects })
    }

    async fn delete(&self, request: v1::DeleteRequest) -> ProviderResult<v1::DeleteResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let (scope, aws) = self.at(request.scope)?;
        let held = protection::check(&aws, &scope, kind, &request.role);
        self.searches.before((&scope, kind, &request.role), held).await?;
        let (outcome, removed) = match kind {
            // The rest of a shared cluster is not the tenant's.
            kind if request::is_of_host(&scope, kind) => (Outcome::Gone, Vec::new()),
            Kind::Network => network::delete(&aws, &scope).await?,
            Kind::Cluster => cluster::delete(&aws, &scope).await?,
            Kind::Addons => {
                let identities = pod_identity::delete(&aws, &scope).await?;
                let (outcome, removed) = addons::delete(&aws, &scope).await?;
                (outcome, [identities, removed].concat())
            }
            Kind::NodePool => node_pool::delete(&aws, &scope, &request.role).await?,
            Kind::DnsZone => dns::delete(&aws, &self.config, &scope, &request.domain).await?,
            Kind::DnsRecords => dns::records::delete(&aws, &scope, &request.domain).await?,
            Kind::Identity => identity::delete(&aws, &scope).await?,
            Kind::Leftovers => leftovers::delete(&aws, &scope).await?,
            Kind::Unspecified => return Err(request::missing("the kind")),
        };
        if request.recorded && outcome == Outcome::Gone {
            absence::check(&aws, &scope, kind, &request.role).await?;
        }
        Ok(v1::DeleteResponse { progress: Some(outcome.progress(removed)) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> ProviderResult<v1::ListOwnedResponse> {
        let (scope, aws) = self.at(request.scope)?;
        Ok(inventory::list(&aws, &scope, &request.page_token).await?)
    }
}

#[async_trait]
impl Provider for Eks {
    async fn describe(&self, _request: v1::DescribeRequest) -> ProviderResult<v1::DescribeResponse> {
        Ok(landlord_provider_api::provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> ProviderResult<v1::ValidateResponse> {
        Ok(v1::ValidateResponse { violations: validate::validate(&request) })
    }
}

#[async_trait]
impl ProviderPlugin for Eks {
    const NAME: &'static str = "eks";
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
        let aws = Aws::new(&config, &scope, endpoint.as_ref().map(endpoint::base)).await?;
        Ok(Self { aws, config, own_role: scope.role_arn().map(str::to_owned), searches: Searches::default() })
    }
}
