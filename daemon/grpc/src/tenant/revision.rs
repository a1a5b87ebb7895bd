//! UpdateTenantRevision: parts of a tenant as they are on offer now, on trial.

use landlord_core::{
    DesiredState, Environment, EnvironmentName, Placement, Precondition, Violation, Violations,
    lifecycle::{self, check_precondition},
    ports::{Accepted, Change, RequestContext, RequestScope, StoreError},
    revision::Part,
};
use landlord_proto::v1;

use crate::{
    accept::{Write, merged_into, scope_of},
    error::{Error, violation},
    name,
    ports::Ports,
};

/// What a tenant becomes, and the version that it was made of.
pub(crate) struct Renewed {
    current: Environment,
    placement: Placement,
}

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

    async fn check(&self, ports: &Ports, mut violations: Vec<Violation>) -> Result<Renewed, Error> {
        let parts: Result<Vec<Part>, String> = self.parts.iter().map(|part| part.parse()).collect();
        violations.extend(parts.as_ref().err().map(|problem| violation("parts", problem.as_str())));
        let name = match name::tenant("name", &self.name) {
            Ok(name) => EnvironmentName::from(name),
            Err(violation) => {
                violations.push(violation);
                return Err(Violations(violations).into());
            }
        };
        Error::unless_empty(violations)?;
        let parts = parts.ok().filter(|parts| !parts.is_empty()).unwrap_or_else(|| Part::ALL.to_vec());
        let current = ports.store.get(&name).await?;
        check_precondition(&current, &Precondition::of_etag(&self.etag)).map_err(StoreError::from)?;
        let refused = |problem: String| Error::from(StoreError::FailedPrecondition(format!("{name}: {problem}")));
        let placement = ports.catalog.now().renewed(&current, &parts).map_err(refused)?;
        if placement == current.placement {
            return Err(refused("it runs what is on offer already; nothing is to be done".into()));
        }
        Ok(Renewed { current, placement })
    }

    async fn dry_run(&self, ports: &Ports, renewed: &Renewed) -> Result<(), Error> {
        if renewed.current.desired_state == DesiredState::Absent {
            let name = renewed.current.name();
            return Err(StoreError::FailedPrecondition(format!("{name} is being deleted")).into());
        }
        let Some(tenant) = renewed.current.tenant() else { return Ok(()) };
        let (ordered, before) = ((&tenant.spec, &renewed.placement), (&tenant.spec, &renewed.current.placement));
        Ok(ports.customers.check_contract(&tenant.name, ordered, Some(before)).await?)
    }

    fn would_be(&self, renewed: &Renewed) -> Option<Environment> {
        let operation = renewed.current.operation;
        let after = lifecycle::renew(&renewed.current, renewed.placement.clone(), operation).ok()?;
        Some(after.environment)
    }

    async fn commit(&self, ports: &Ports, renewed: Renewed, request: RequestContext) -> Result<Accepted, Error> {
        let Renewed { current, placement } = renewed;
        let change = Change::Renew { placement };
        Ok(ports.store.change(&current.name(), merged_into(self, &current), change, request).await?)
    }
}
