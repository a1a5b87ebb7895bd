//! DeleteHostCluster and RetryHostCluster.

use landlord_core::{
    Candidate, EnvironmentName, Violation,
    ports::{Accepted, EnvironmentQuery, Owners, RequestContext, RequestScope, StoreError},
};
use landlord_proto::v1;

use crate::{
    accept::{self, Write, checked_name, scope_of},
    error::Error,
    name,
    ports::Ports,
};

#[tonic::async_trait]
impl Write for v1::DeleteHostClusterRequest {
    const METHOD: &'static str = "DeleteHostCluster";
    type Change = EnvironmentName;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn scope(&self) -> Option<RequestScope> {
        scope_of(name::host_cluster("name", &self.name))
    }

    async fn check(&self, _: &Ports, violations: Vec<Violation>) -> Result<EnvironmentName, Error> {
        checked_name(name::host_cluster("name", &self.name), violations)
    }

    async fn dry_run(&self, ports: &Ports, name: &EnvironmentName) -> Result<(), Error> {
        accept::dry_run_delete(ports, name, &self.etag).await?;
        let query = EnvironmentQuery {
            owners: Owners::Tenants { customer: None, host_cluster: name.host_cluster().cloned() },
            limit: 1,
            ..EnvironmentQuery::default()
        };
        let candidates = ports.store.candidates(None).await?;
        let lives = |candidate: &&Candidate| name.host_cluster() == Some(&candidate.host.id) && candidate.tenants > 0;
        let Some(candidate) = candidates.iter().find(lives) else { return Ok(()) };
        let tenants = match ports.store.list(&query).await?.items.first() {
            Some(tenant) if candidate.tenants == 1 => tenant.name().to_string(),
            Some(tenant) => format!("{}, …", tenant.name()),
            None => "tenants that you may not read".to_owned(),
        };
        Err(StoreError::HostInUse { name: name.to_string(), tenants }.into())
    }

    async fn commit(&self, ports: &Ports, name: EnvironmentName, request: RequestContext) -> Result<Accepted, Error> {
        accept::delete(ports, &name, &self.etag, self.force, request).await
    }
}

#[tonic::async_trait]
impl Write for v1::RetryHostClusterRequest {
    const METHOD: &'static str = "RetryHostCluster";
    type Change = EnvironmentName;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn scope(&self) -> Option<RequestScope> {
        scope_of(name::host_cluster("name", &self.name))
    }

    async fn check(&self, _: &Ports, violations: Vec<Violation>) -> Result<EnvironmentName, Error> {
        checked_name(name::host_cluster("name", &self.name), violations)
    }

    async fn dry_run(&self, _: &Ports, _: &EnvironmentName) -> Result<(), Error> {
        Ok(())
    }

    async fn commit(&self, ports: &Ports, name: EnvironmentName, request: RequestContext) -> Result<Accepted, Error> {
        accept::retry(ports, &name, &self.etag, request).await
    }
}
