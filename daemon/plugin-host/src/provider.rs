//! The contract's traits of a plugin: each method is a call of its process.

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, Identity, Inventory, Method, Network, NodePool, Provider, ProviderError, v1,
};

use crate::Plugin;

macro_rules! carried {
    ($family:ident { $($function:ident: $method:ident($request:ident) -> $response:ident;)* }) => {
        #[async_trait]
        impl $family for Plugin {
            $(async fn $function(&self, request: v1::$request) -> Result<v1::$response, ProviderError> {
                self.call(Method::$method, request, |request| request.scope.as_mut()).await
            })*
        }
    };
}

carried!(Network { ensure_network: EnsureNetwork(EnsureNetworkRequest) -> EnsureNetworkResponse; });
carried!(Cluster {
    ensure_cluster: EnsureCluster(EnsureClusterRequest) -> EnsureClusterResponse;
    ensure_addons: EnsureAddons(EnsureAddonsRequest) -> EnsureAddonsResponse;
    kube_access: KubeAccess(KubeAccessRequest) -> KubeAccess;
});
carried!(NodePool { ensure_node_pool: EnsureNodePool(EnsureNodePoolRequest) -> EnsureNodePoolResponse; });
carried!(Dns {
    ensure_dns_zone: EnsureDnsZone(EnsureDnsZoneRequest) -> EnsureDnsZoneResponse;
    ensure_dns_records: EnsureDnsRecords(EnsureDnsRecordsRequest) -> EnsureDnsRecordsResponse;
});
carried!(Identity { ensure_identity: EnsureIdentity(EnsureIdentityRequest) -> EnsureIdentityResponse; });
carried!(Inventory {
    observe: Observe(ObserveRequest) -> ObserveResponse;
    delete: Delete(DeleteRequest) -> DeleteResponse;
    list_owned: ListOwned(ListOwnedRequest) -> ListOwnedResponse;
});

#[async_trait]
impl Provider for Plugin {
    async fn describe(&self, request: v1::DescribeRequest) -> Result<v1::DescribeResponse, ProviderError> {
        self.call(Method::Describe, request, |_| None).await
    }

    async fn validate(&self, request: v1::ValidateRequest) -> Result<v1::ValidateResponse, ProviderError> {
        self.call(Method::Validate, request, |request| request.scope.as_mut()).await
    }
}
