//! UpdateHostClusterRevision: parts of a host cluster as they are on offer now, on trial. Tenants that live there keep theirs.

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
impl Write for v1::UpdateHostClusterRevisionRequest {
    const METHOD: &'static str = "UpdateHostClusterRevision";
    type Change = Renewed;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn merges_into(&self) -> Option<EnvironmentName> {
        name::host_cluster("name", &self.name).ok().map(Into::into)
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

    async fn check(&self, ports: &Ports, violations: Vec<Violation>) -> Result<Renewed, Error> {
        let name = name::host_cluster("name", &self.name).map(Into::into);
        renewal::check(ports, name, (&self.parts, &Part::OF_HOST_CLUSTERS), &self.etag, violations).await
    }

    async fn dry_run(&self, _: &Ports, renewed: &Renewed) -> Result<(), Error> {
        renewed.dry_run()
    }

    fn would_be(&self, renewed: &Renewed) -> Option<Environment> {
        renewed.would_be()
    }

    async fn commit(&self, ports: &Ports, renewed: Renewed, request: RequestContext) -> Result<Accepted, Error> {
        renewed.commit(ports, self, request).await
    }
}
