//! What a cloud lacks, one line a family: `impl lacks::Dns for MyCloud {}` implements the family with methods that refuse (or,
//! for networks, have nothing to do), and takes the capability away.

use async_trait::async_trait;

pub use crate::defaults::refusal;
use crate::{
    ProviderError,
    defaults::{ready, scoped},
    provider,
    seal::Seal,
    v1,
};

/// No networks of a tenant's own: EnsureNetwork is Ready with an empty status.
pub trait Network {}
/// No machines to make: EnsureNodePool is INVALID.
pub trait NodePool {}
/// No zones: EnsureDnsZone and EnsureDnsRecords are INVALID.
pub trait Dns {}
/// No identities of service accounts: EnsureIdentity is INVALID.
pub trait Identity {}

#[async_trait]
impl<P: Network + Sync> provider::Network for P {
    async fn ensure_network(
        &self,
        request: v1::EnsureNetworkRequest,
    ) -> Result<v1::EnsureNetworkResponse, ProviderError> {
        scoped(request.scope.as_ref())?;
        Ok(v1::EnsureNetworkResponse { progress: ready(), status: Some(v1::NetworkStatus::default()) })
    }

    fn is_offered(_: Seal) -> bool {
        false
    }
}

#[async_trait]
impl<P: NodePool + Sync> provider::NodePool for P {
    async fn ensure_node_pool(
        &self,
        _: v1::EnsureNodePoolRequest,
    ) -> Result<v1::EnsureNodePoolResponse, ProviderError> {
        Err(refusal("node pools", "node-pools"))
    }

    fn is_offered(_: Seal) -> bool {
        false
    }
}

#[async_trait]
impl<P: Dns + Sync> provider::Dns for P {
    async fn ensure_dns_zone(&self, _: v1::EnsureDnsZoneRequest) -> Result<v1::EnsureDnsZoneResponse, ProviderError> {
        Err(refusal("DNS zones", "dns"))
    }

    async fn ensure_dns_records(
        &self,
        _: v1::EnsureDnsRecordsRequest,
    ) -> Result<v1::EnsureDnsRecordsResponse, ProviderError> {
        Err(refusal("DNS records", "dns"))
    }

    fn is_offered(_: Seal) -> bool {
        false
    }
}

#[async_trait]
impl<P: Identity + Sync> provider::Identity for P {
    async fn ensure_identity(&self, _: v1::EnsureIdentityRequest) -> Result<v1::EnsureIdentityResponse, ProviderError> {
        Err(refusal("identities of service accounts", "identity"))
    }

    fn is_offered(_: Seal) -> bool {
        false
    }
}
