//! The contract's traits: which part answers which call. Holds no logic of its own.

use std::sync::Arc;

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, ErrorKind, Identity, Inventory, Network, NodePool, Provider, ProviderError, ProviderPlugin, v1,
};

use crate::{
    absence, addons,
    aws::{Aws, Clients},
    cluster,
    config::{self, Config},
    credentials, describe, dns, identity, inventory, kube_access, leftovers, network, node_pool,
    parameters::Parameters,
    progress::Outcome,
    validate,
};

type Answer<T> = Result<T, ProviderError>;

/// EKS with one credential scope.
#[derive(Debug)]
pub struct Eks {
    aws: Aws,
    config: Config,
    own_role: Option<String>,
}

fn missing(what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, format!("the request lacks {what}"))
}

impl Eks {
    /// The same for what a tenant in a shared cluster has none of.
    fn at_own(&self, scope: Option<v1::Scope>) -> Answer<(v1::Scope, Arc<Clients>)> {
        let (scope, aws) = self.at(scope)?;
        if !scope.host_cluster.is_empty() {
            let message = format!("cluster {} is shared: only node groups are made in it", scope.host_cluster);
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        Ok((scope, aws))
    }

    /// The scope and the clients of its Region.
    fn at(&self, scope: Option<v1::Scope>) -> Answer<(v1::Scope, Arc<Clients>)> {
        let scope = scope.ok_or_else(|| missing("the scope"))?;
        if scope.installation.is_empty() {
            return Err(missing("the installation"));
        }
        if !validate::is_region(&scope.region) {
            let message = format!("{:?} is not a Region of AWS, like eu-central-1", scope.region);
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        let clients = self.aws.region(&scope.region);
        Ok((scope, clients))
    }
}

fn done(outcome: Outcome) -> Option<v1::Progress> {
    Some(outcome.progress(Vec::new()))
}

#[async_trait]
impl Network for Eks {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> Answer<v1::EnsureNetworkResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let (outcome, status) = network::ensure(&aws, &scope, &parameters).await?;
        Ok(v1::EnsureNetworkResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Cluster for Eks {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> Answer<v1::EnsureClusterResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = request.network.ok_or_else(|| missing("the network"))?;
        let own_role = self.own_role.as_deref();
        let (outcome, status) = cluster::ensure(&aws, &scope, &parameters, &network, own_role).await?;
        Ok(v1::EnsureClusterResponse { progress: done(outcome), status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> Answer<v1::EnsureAddonsResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = request.network.ok_or_else(|| missing("the network"))?;
        let outcome = addons::ensure(&aws, &scope, &parameters, &network).await?;
        Ok(v1::EnsureAddonsResponse { progress: done(outcome) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> Answer<v1::KubeAccess> {
        let (scope, aws) = self.at(request.scope)?;
        Ok(kube_access::access(&aws, &scope, request.cluster).await?)
    }
}

#[async_trait]
impl NodePool for Eks {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> Answer<v1::EnsureNodePoolResponse> {
        let (scope, aws) = self.at(request.scope)?;
        let parameters = Parameters::parse(&request.parameters_json)?;
        let network = request.network.ok_or_else(|| missing("the network"))?;
        let cluster = request.cluster.ok_or_else(|| missing("the cluster"))?;
        let spec = request.spec.ok_or_else(|| missing("the pool"))?;
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
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> Answer<v1::EnsureDnsZoneResponse> {
        let (scope, aws) = self.at(request.scope)?;
        let spec = request.spec.ok_or_else(|| missing("the zone"))?;
        let found = dns::ensure(&aws, &self.config, &scope, &spec.domain, &request.checkpoint).await;
        let (outcome, status) = found?;
        Ok(v1::EnsureDnsZoneResponse { progress: done(outcome), status })
    }

    async fn ensure_dns_records(&self, request: v1::EnsureDnsRecordsRequest) -> Answer<v1::EnsureDnsRecordsResponse> {
        let (scope, aws) = self.at(request.scope)?;
        let zone = request.zone.ok_or_else(|| missing("the zone"))?;
        let outcome = dns::records::ensure(&aws, &scope, &zone, &request.records).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress: done(outcome) })
    }
}

#[async_trait]
impl Identity for Eks {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> Answer<v1::EnsureIdentityResponse> {
        let (scope, aws) = self.at_own(request.scope)?;
        let network = request.network.ok_or_else(|| missing("the network"))?;
        let zone = request.zone.ok_or_else(|| missing("the zone"))?;
        let outcome = identity::ensure(&aws, &scope, &network, &zone).await?;
        // EKS knows them by namespace and name; nothing is needed in the cluster.
        Ok(v1::EnsureIdentityResponse { progress: done(outcome), status: None })
    }
}

#[async_trait]
impl Inventory for Eks {
    async fn observe(&self, request: v1::ObserveRequest) -> Answer<v1::ObserveResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let (scope, aws) = self.at(request.scope)?;
        let (outcome, objects) = match kind {
            Kind::Network => network::observe(&aws, &scope).await?,
            Kind::Cluster => cluster::observe(&aws, &scope).await?,
            Kind::Addons => addons::observe(&aws, &scope).await?,
            Kind::NodePool => node_pool::observe(&aws, &scope, &request.role).await?,
            Kind::DnsZone => dns::observe(&aws, &scope, &request.domain).await?,
            Kind::DnsRecords => dns::records::observe(&aws, &scope, &request.domain).await?,
            Kind::Identity => identity::observe(&aws, &scope).await?,
            Kind::Leftovers => leftovers::observe(&aws, &scope).await?,
            Kind::Unspecified => return Err(missing("the kind")),
        };
        Ok(v1::ObserveResponse { progress: done(outcome), objects })
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Answer<v1::DeleteResponse> {
        use v1::ResourceKind as Kind;
        let kind = request.kind();
        let (scope, aws) = self.at(request.scope)?;
        let (outcome, removed) = match kind {
            // The rest of a shared cluster is not the tenant's.
            Kind::Network | Kind::Cluster | Kind::Addons | Kind::Identity | Kind::Leftovers
                if !scope.host_cluster.is_empty() =>
            {
                (Outcome::Gone, Vec::new())
            }
            Kind::Network => network::delete(&aws, &scope).await?,
            Kind::Cluster => cluster::delete(&aws, &scope).await?,
            Kind::Addons => addons::delete(&aws, &scope).await?,
            Kind::NodePool => node_pool::delete(&aws, &scope, &request.role).await?,
            Kind::DnsZone => dns::delete(&aws, &self.config, &scope, &request.domain).await?,
            Kind::DnsRecords => dns::records::delete(&aws, &scope, &request.domain).await?,
            Kind::Identity => identity::delete(&aws, &scope).await?,
            Kind::Leftovers => leftovers::delete(&aws, &scope).await?,
            Kind::Unspecified => return Err(missing("the kind")),
        };
        if request.recorded && outcome == Outcome::Gone {
            absence::check(&aws, &scope, kind, &request.role).await?;
        }
        Ok(v1::DeleteResponse { progress: Some(outcome.progress(removed)) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Answer<v1::ListOwnedResponse> {
        let (scope, aws) = self.at(request.scope)?;
        Ok(inventory::list(&aws, &scope, &request.page_token).await?)
    }
}

#[async_trait]
impl Provider for Eks {
    async fn describe(&self, _request: v1::DescribeRequest) -> Answer<v1::DescribeResponse> {
        Ok(Self::description())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> Answer<v1::ValidateResponse> {
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

    async fn configure(request: v1::ConfigureRequest) -> Answer<Self> {
        let mut problems = Vec::new();
        let mut keep = |error: ProviderError| problems.push(error.message);
        let config = Config::parse(&request.config_json).map_err(&mut keep).ok();
        let endpoint = config::endpoint(&request).map_err(&mut keep).ok();
        let scope = credentials::Scope::parse(&request.credential_json).map_err(&mut keep).ok();
        let (Some(config), Some(endpoint), Some(scope)) = (config, endpoint, scope) else {
            return Err(ProviderError::new(ErrorKind::Invalid, problems.join("; ")));
        };
        let aws = Aws::new(&config, &scope, endpoint).await?;
        Ok(Self { aws, config, own_role: scope.role_arn().map(str::to_owned) })
    }
}
