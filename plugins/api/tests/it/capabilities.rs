//! Capabilities follow from what is implemented, and from nothing else.

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns as _, ErrorKind, Identity as _, Inventory, Network as _, NodePool as _, Provider, ProviderError,
    ProviderPlugin, lacks,
    provider::{capabilities, describe},
    v1,
};

type Result<T> = std::result::Result<T, ProviderError>;

/// A cloud with clusters and nothing else.
struct Bare;

impl lacks::Network for Bare {}
impl lacks::NodePool for Bare {}
impl lacks::Dns for Bare {}
impl lacks::Identity for Bare {}

fn nothing<T>() -> Result<T> {
    Err(ProviderError::new(ErrorKind::Internal, "not needed here"))
}

#[async_trait]
impl Cluster for Bare {
    async fn ensure_cluster(&self, _: v1::EnsureClusterRequest) -> Result<v1::EnsureClusterResponse> {
        nothing()
    }

    async fn kube_access(&self, _: v1::KubeAccessRequest) -> Result<v1::KubeAccess> {
        nothing()
    }
}

#[async_trait]
impl Inventory for Bare {
    async fn observe(&self, _: v1::ObserveRequest) -> Result<v1::ObserveResponse> {
        nothing()
    }

    async fn delete(&self, _: v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        nothing()
    }

    async fn list_owned(&self, _: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse> {
        nothing()
    }
}

#[async_trait]
impl Provider for Bare {
    async fn describe(&self, _: v1::DescribeRequest) -> Result<v1::DescribeResponse> {
        Ok(describe::<Self>())
    }

    async fn validate(&self, _: v1::ValidateRequest) -> Result<v1::ValidateResponse> {
        nothing()
    }
}

#[async_trait]
impl ProviderPlugin for Bare {
    const NAME: &'static str = "bare";
    const VERSION: &'static str = "1.0.0";

    fn description() -> v1::DescribeResponse {
        // What it says of itself in the contract's words does not count.
        let capabilities = ["dns", "secrets-encryption"].map(str::to_owned).to_vec();
        v1::DescribeResponse { capabilities, ..v1::DescribeResponse::default() }
    }

    async fn configure(_: v1::ConfigureRequest) -> Result<Self> {
        Ok(Self)
    }
}

#[tokio::test]
async fn what_is_lacking_refuses_and_is_no_capability() {
    assert_eq!(capabilities::<Bare>(), ["clusters"]);
    assert_eq!(describe::<Bare>().capabilities, ["clusters", "secrets-encryption"]);
    let scope = Some(v1::Scope { installation: "prod".to_owned(), ..v1::Scope::default() });
    let refused = [
        ("dns", Bare.ensure_dns_zone(v1::EnsureDnsZoneRequest::default()).await.unwrap_err()),
        ("dns", Bare.ensure_dns_records(v1::EnsureDnsRecordsRequest::default()).await.unwrap_err()),
        ("identity", Bare.ensure_identity(v1::EnsureIdentityRequest::default()).await.unwrap_err()),
        ("node-pools", Bare.ensure_node_pool(v1::EnsureNodePoolRequest::default()).await.unwrap_err()),
    ];
    for (capability, error) in refused {
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.remedy.contains(&format!("`{capability}`")), "{error:?}");
    }
    let network =
        Bare.ensure_network(v1::EnsureNetworkRequest { scope: scope.clone(), ..Default::default() }).await.unwrap();
    assert_eq!(network.status, Some(v1::NetworkStatus::default()));
    let addons = Bare.ensure_addons(v1::EnsureAddonsRequest { scope, ..Default::default() }).await.unwrap();
    assert_eq!(addons.progress, network.progress);
    assert!(Bare.ensure_addons(v1::EnsureAddonsRequest::default()).await.is_err(), "a request without a scope");
}
