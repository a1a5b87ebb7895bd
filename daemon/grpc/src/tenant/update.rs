//! UpdateTenant: the present tenant and the request together give the new spec, or everything that is wrong with it.

use std::collections::BTreeMap;

use landlord_core::{
    DesiredState, Environment, EnvironmentName, Orderer, Precondition, Tenant, TenantSpec, Violation, Violations,
    access::{EnvironmentAttributes, Resource},
    lifecycle::{self, check_precondition},
    ports::{Accepted, Change, RequestContext, RequestScope, StoreError},
};
use landlord_proto::v1;

use super::{create::of_tenant, mask, record::tenant_of, values};
use crate::{
    accept::{Write, merged_into, scope_of},
    convert, customer,
    error::{Error, violation},
    name,
    ports::Ports,
};

/// A change, and the version that it was merged into.
pub(crate) struct Merged {
    current: Environment,
    change: Change,
}

#[tonic::async_trait]
impl Write for v1::UpdateTenantRequest {
    const METHOD: &'static str = "UpdateTenant";
    type Change = Merged;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn merges_into(&self) -> Option<EnvironmentName> {
        tenant_name(self).ok().map(Into::into)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn etag(&self) -> &str {
        self.tenant.as_ref().map_or("", |tenant| &tenant.etag)
    }

    fn scope(&self) -> Option<RequestScope> {
        scope_of(tenant_name(self))
    }

    async fn check(&self, ports: &Ports, mut violations: Vec<Violation>) -> Result<Merged, Error> {
        let name = match tenant_name(self) {
            Ok(name) => EnvironmentName::from(name),
            Err(violation) => {
                violations.push(violation);
                return Err(Violations(violations).into());
            }
        };
        let current = ports.store.get(&name).await?;
        let tenant = tenant_of(&current)?;
        let labels = customer::labels(ports, &tenant.name.customer).await?;
        let change = check(ports, &current, (tenant, &labels), self, violations)?;
        check_precondition(&current, &Precondition::of_etag(self.etag())).map_err(StoreError::from)?;
        Ok(Merged { current, change })
    }

    fn ordered(&self, merged: &Merged) -> Option<Resource> {
        let Change::Update { spec, placement } = &merged.change else { return None };
        let state = merged.current.status.state.as_str().into();
        let attributes = EnvironmentAttributes { state, ..EnvironmentAttributes::of_order(placement, &spec.labels) };
        Some(Resource::Environment { name: merged.current.name(), attributes: Some(attributes) })
    }

    async fn dry_run(&self, ports: &Ports, merged: &Merged) -> Result<(), Error> {
        if merged.current.desired_state == DesiredState::Absent {
            let name = merged.current.name();
            return Err(StoreError::FailedPrecondition(format!("{name} is being deleted")).into());
        }
        if let (Change::Update { spec, placement }, Some(tenant)) = (&merged.change, merged.current.tenant()) {
            let before = (&tenant.spec, &merged.current.placement);
            if before != (spec, placement) {
                ports.customers.check_contract(&tenant.name, (spec, placement), Some(before)).await?;
            }
        }
        Ok(())
    }

    fn would_be(&self, merged: &Merged) -> Option<Environment> {
        let Change::Update { spec, placement } = &merged.change else { return None };
        let operation = merged.current.operation;
        let after = lifecycle::update(&merged.current, spec.clone(), placement.clone(), operation).ok()?;
        Some(after.environment)
    }

    async fn commit(&self, ports: &Ports, merged: Merged, request: RequestContext) -> Result<Accepted, Error> {
        let Merged { current, change } = merged;
        Ok(ports.store.change(&current.name(), merged_into(self, &current), change, request).await?)
    }
}

fn tenant_name(request: &v1::UpdateTenantRequest) -> Result<landlord_core::TenantName, Violation> {
    name::tenant("tenant.name", request.tenant.as_ref().map_or("", |tenant| &tenant.name))
}

/// The change that a request requests.
fn check(
    ports: &Ports,
    environment: &Environment,
    (current, labels): (&Tenant, &BTreeMap<String, String>),
    request: &v1::UpdateTenantRequest,
    mut violations: Vec<Violation>,
) -> Result<Change, Violations> {
    let catalog = &ports.catalog.now();
    let wanted = request.tenant.clone().unwrap_or_default();
    let mut merged = convert::tenant(environment, current);
    for path in mask::paths(request) {
        if let Err(problem) = mask::copy(&path, &wanted, &mut merged) {
            violations.push(violation("update_mask", problem));
        }
    }
    violations.extend(convert::non_finite(&wanted));
    let spec = match TenantSpec::parse(convert::spec_input(merged)) {
        Ok(spec) => spec,
        Err(more) => {
            violations.extend(more.0.into_iter().map(of_tenant));
            return Err(Violations(violations));
        }
    };
    violations.extend(current.spec.forbidden_changes(&spec).into_iter().map(of_tenant));
    let orderer = Orderer { name: &current.name, labels };
    if spec.labels != current.spec.labels
        && let Some(why) = catalog.residency.forbids(orderer, &spec.labels, &environment.placement.region)
    {
        let description = format!("{why}; a tenant does not move: order another one there");
        violations.push(violation("tenant.labels", description));
    }
    // What was accepted once is not checked against what is on offer now.
    if spec.stack_values != current.spec.stack_values {
        violations.extend(values::check(ports, environment.placement.stack.as_ref(), &spec.stack_values));
    }
    let placement = if current.spec.needs_work(&spec) {
        catalog.place_again(&spec, &current.spec, &environment.placement)
    } else {
        Ok(environment.placement.clone())
    };
    match placement {
        Ok(placement) if violations.is_empty() => Ok(Change::Update { spec, placement }),
        Ok(_) => Err(Violations(violations)),
        Err(more) => Err(Violations(violations.into_iter().chain(more.0.into_iter().map(of_tenant)).collect())),
    }
}
