//! Kubeconfigs for operators: asks the tenant's provider for a token. Changes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use landlord_core::{
    ErrorKind, Failure, Stage, StageState, Tenant, Timestamp,
    ports::{KubeAccess, KubeCredentials, Providers, TenantStore},
};
use landlord_provider_api::v1;

/// Over the store and the plugins.
pub(crate) struct OperatorAccess {
    pub(crate) installation: String,
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) providers: Arc<dyn Providers>,
}

#[async_trait]
impl KubeAccess for OperatorAccess {
    async fn access(&self, tenant: &Tenant) -> Result<KubeCredentials, Failure> {
        let too_early = || {
            Failure::new(ErrorKind::Conflict, format!("{} has no cluster yet", tenant.name))
                .with_remedy("wait until its stage `cluster` is done")
        };
        let operation = self
            .store
            .operation(tenant.operation)
            .await
            .map_err(|error| Failure::new(ErrorKind::Transient, error.to_string()))?;
        let cluster = operation.stages.iter().find(|record| record.stage == Stage::Cluster);
        if cluster.is_some_and(|record| record.state != StageState::Done) {
            return Err(too_early());
        }
        let key = tenant.offer.provider_key();
        let scope = v1::Scope {
            installation: self.installation.clone(),
            tenant_uid: tenant.uid.to_string(),
            region: tenant.offer.region.clone(),
            account: tenant.offer.account.clone(),
            labels: std::collections::HashMap::default(),
            generation: tenant.generation,
        };
        // Without a status the provider looks the cluster up by its name.
        let request = v1::KubeAccessRequest { scope: Some(scope), cluster: None };
        let access = self.providers.provider(&key)?.kube_access(request).await?;
        Ok(KubeCredentials {
            endpoint: access.endpoint,
            ca_pem: access.ca_pem,
            token: access.token.into(),
            expire_time: access.expire_time.map_or(Timestamp(0), |time| Timestamp(time.seconds.saturating_mul(1_000))),
        })
    }
}
