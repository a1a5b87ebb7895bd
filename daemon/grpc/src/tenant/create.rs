//! CreateTenant: from the request to a checked tenant, with everything that is wrong at once.

use std::collections::BTreeMap;

use landlord_core::{
    Catalog, ClassName, CustomerId, Environment, Orderer, Owner, Tenant, TenantName, TenantSpec, TenantUid, Violation,
    Violations,
    access::{EnvironmentAttributes, Resource},
    environment::ORPHANS,
    fleet::{Choice, choose},
    ids::TenantId,
    ports::{Accepted, NewTenant, RequestContext, RequestScope, StoreError},
};
use landlord_proto::v1;

use super::values;
use crate::{
    accept::Write,
    convert, customer,
    error::{Error, maybe, violation},
    name,
    ports::Ports,
    provider,
};

#[tonic::async_trait]
impl Write for v1::CreateTenantRequest {
    const METHOD: &'static str = "CreateTenant";
    const CREATES: bool = true;
    /// Its request is set when it is committed.
    type Change = NewTenant;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn scope(&self) -> Option<RequestScope> {
        name::customer(&self.parent).ok().map(RequestScope::Customer)
    }

    fn parent(&self, _: &Catalog) -> Option<Resource> {
        name::customer(&self.parent).ok().map(Resource::Customer)
    }

    fn ordered(&self, new: &NewTenant) -> Option<Resource> {
        let attributes = Some(EnvironmentAttributes::of_order(&new.placement, &new.spec.labels));
        Some(Resource::Environment { name: new.name.clone().into(), attributes })
    }

    async fn check(&self, ports: &Ports, violations: Vec<Violation>) -> Result<NewTenant, Error> {
        let labels = match name::customer(&self.parent) {
            Ok(id) => customer::labels(ports, &id).await?,
            Err(_) => BTreeMap::new(),
        };
        let new = check(ports, self, &labels, violations)?;
        // Refused now rather than accepted and left waiting.
        match provider::start_failure(&*ports.providers, &new.placement) {
            Some(down) => Err(Error::ProviderDown(down)),
            None => Ok(new),
        }
    }

    async fn dry_run(&self, ports: &Ports, new: &NewTenant) -> Result<(), Error> {
        let store = &ports.store;
        if maybe(store.get(&new.name.clone().into()).await)?.is_some() {
            return Err(StoreError::AlreadyExists(new.name.to_string()).into());
        }
        ports.customers.check_contract(&new.name, (&new.spec, &new.placement), None).await?;
        store.check_domain(&new.name, &new.spec.domain).await?;
        let (mut placement, mut host) = (new.placement.clone(), None);
        if let Some(selector) = &new.hosts {
            let candidates = store.candidates(Some(&new.name.customer)).await?;
            match choose(&candidates, selector) {
                Choice::Full(why) => return Err(StoreError::NoHostClusterCapacity(why).into()),
                Choice::Grow(growth) => placement.credentials.clone_from(&growth.placement.credentials),
                Choice::Host(chosen) => {
                    placement.credentials.clone_from(&chosen.credentials);
                    host = Some(chosen.host.clone());
                }
            }
        }
        if let Some(uid) = new.adopt {
            store.check_adoption(uid, &placement, host.as_ref()).await?;
        }
        Ok(())
    }

    fn would_be(&self, new: &NewTenant) -> Option<Environment> {
        let tenant = Tenant { name: new.name.clone(), spec: new.spec.clone(), host: None, last_ready: None };
        Some(convert::new_environment(Owner::Tenant(tenant), new.placement.clone()))
    }

    async fn commit(&self, ports: &Ports, new: NewTenant, request: RequestContext) -> Result<Accepted, Error> {
        Ok(ports.store.create(NewTenant { request, ..new }).await?)
    }
}

fn check(
    ports: &Ports,
    request: &v1::CreateTenantRequest,
    labels: &BTreeMap<String, String>,
    mut violations: Vec<Violation>,
) -> Result<NewTenant, Error> {
    let catalog = &ports.catalog.now();
    let adopt = adopted(&request.adopt_uid, &mut violations);
    let wanted = wanted(ports, &request.parent, &request.tenant_id, request.tenant.clone(), &mut violations);
    let Some((name, spec)) = wanted else { return Err(Violations(violations).into()) };
    let placement = catalog.place(Orderer { name: &name, labels }, &spec);
    // Of a class that is named, the values were checked with the rest.
    if let (Ok(placement), None) = (&placement, &spec.class) {
        violations.extend(values::check(ports, placement.stack.as_ref(), &spec.stack_values));
    }
    let placement = placement.map_err(|more| violations.extend(more.0.into_iter().map(of_tenant))).ok();
    match placement {
        Some(placement) if violations.is_empty() => {
            let hosts = catalog.host_selector(&placement);
            Ok(NewTenant { name, spec, placement, adopt, hosts, request: RequestContext::of_daemon() })
        }
        _ => Err(Violations(violations).into()),
    }
}

/// The orphan that becomes this tenant's.
fn adopted(uid: &str, violations: &mut Vec<Violation>) -> Option<TenantUid> {
    if uid.is_empty() {
        return None;
    }
    let uid = uid.parse::<TenantUid>();
    uid.map_err(|error| violations.push(violation("adopt_uid", error.to_string()))).ok()
}

/// Name and spec of what is ordered, before any placement. `None`: see `violations`.
pub(crate) fn wanted(
    ports: &Ports,
    parent: &str,
    tenant_id: &str,
    tenant: Option<v1::Tenant>,
    violations: &mut Vec<Violation>,
) -> Option<(TenantName, TenantSpec)> {
    let customer = parent.strip_prefix("customers/").unwrap_or_default().parse();
    let wrong_parent = |error| violation("parent", format!("must be customers/{{customer}}: {error}"));
    let customer = customer.map_err(|error: landlord_core::ids::InvalidName| violations.push(wrong_parent(error))).ok();
    if customer.as_ref().is_some_and(|customer: &CustomerId| customer.as_str() == ORPHANS) {
        let description = "customers/orphans is the daemon's own, for what it removes; take another customer id";
        violations.push(violation("parent", description));
    }
    let id = tenant_id.parse::<TenantId>();
    let id = id.map_err(|error| violations.push(violation("tenant_id", error.to_string()))).ok();
    let Some(resource) = tenant else {
        violations.push(violation("tenant", "is missing; it says what is ordered"));
        return None;
    };
    violations.extend(convert::non_finite(&resource));
    let input = convert::spec_input(resource);
    let class = input.class.parse::<ClassName>().ok();
    let catalog = ports.catalog.now();
    if let Some(class) = class.as_ref().and_then(|class| catalog.classes.get(class)) {
        violations.extend(values::check(ports, class.stack.as_ref(), &input.stack_values));
    }
    let spec = TenantSpec::parse(input.clone());
    let spec = spec
        .map_err(|more| {
            // Placing needs a whole spec; what a class forbids can be named without one.
            let class = class.and_then(|class| catalog.unknown_class(&class));
            let more = more.0.into_iter().chain(class).chain(catalog.class_faults(&input));
            violations.extend(more.map(of_tenant));
        })
        .ok();
    Some((TenantName { customer: customer?, tenant: id? }, spec?))
}

/// A violation of a specification as one of the request's.
pub(crate) fn of_tenant(violation: Violation) -> Violation {
    name::within("tenant", violation)
}
