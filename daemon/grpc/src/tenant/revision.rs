//! UpdateTenantRevision: parts of a tenant as they are on offer now, on trial.

use landlord_core::{
    Environment, EnvironmentName, Violation,
    ports::{Accepted, RequestContext, RequestScope},
    revision::Part,
};
use landlord_proto::v1;

use crate::{
    accept::{Write, scope_of},
    error::Error,
    name,
    ports::Ports,
    renewal::{self, Renewed},
};

#[tonic::async_trait]
impl Write for v1::UpdateTenantRevisionRequest {
    const METHOD: &'static str = "UpdateTenantRevision";
    type Change = Renewed;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn merges_into(&self) -> Option<EnvironmentName> {
        name::tenant("name", &self.name).ok().map(Into::into)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn scope(&self) -> Option<RequestScope> {
        scope_of(name::tenant("name", &self.name))
    }

    async fn check(&self, ports: &Ports, violations: Vec<Violation>) -> Result<Renewed, Error> {
        let name = name::tenant("name", &self.name).map(Into::into);
        renewal::check(ports, name, (&self.parts, &Part::ALL), &self.etag, violations).await
    }

    async fn dry_run(&self, ports: &Ports, renewed: &Renewed) -> Result<(), Error> {
        renewed.dry_run()?;
        let Some(tenant) = renewed.current.tenant() else { return Ok(()) };
        let (ordered, before) = ((&tenant.spec, &renewed.placement), (&tenant.spec, &renewed.current.placement));
        Ok(ports.customers.check_contract(&tenant.name, ordered, Some(before)).await?)
    }

    fn would_be(&self, renewed: &Renewed) -> Option<Environment> {
        renewed.would_be()
    }

    async fn commit(&self, ports: &Ports, renewed: Renewed, request: RequestContext) -> Result<Accepted, Error> {
        renewed.commit(ports, self, request).await
    }
}
