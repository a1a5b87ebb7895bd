//! CreateTenant: from the request to a checked tenant, with everything that is wrong at once.

use landlord_core::{
    Catalog, ClassName, TenantName, TenantSpec, Violation, Violations,
    ids::TenantId,
    ports::{NewTenant, RequestKey},
};
use landlord_proto::v1;

use crate::{convert, request};

/// The key of a request, and its tenant or what is wrong with it.
pub(crate) fn check(catalog: &Catalog, asked: &v1::CreateTenantRequest) -> (RequestKey, Result<NewTenant, Violations>) {
    let mut violations = Vec::new();
    let key = request::key("CreateTenant", &asked.request_id, asked, &mut violations);
    let wanted = wanted(catalog, &asked.parent, &asked.tenant_id, asked.tenant.clone(), &mut violations);
    let Some((name, spec)) = wanted else {
        return (key, Err(Violations(violations)));
    };
    let placement = catalog.place(&name, &spec);
    let placement = placement.map_err(|more| violations.extend(more.0.into_iter().map(of_tenant))).ok();
    match placement {
        Some(placement) if violations.is_empty() => {
            let (hosts, request) = (catalog.host_selector(&placement), request::context(key.clone()));
            (key, Ok(NewTenant { name, spec, placement, hosts, request }))
        }
        _ => (key, Err(Violations(violations))),
    }
}

/// Name and spec of what is asked for, before any placement. `None`: `violations` say why.
pub(crate) fn wanted(
    catalog: &Catalog,
    parent: &str,
    tenant_id: &str,
    tenant: Option<v1::Tenant>,
    violations: &mut Vec<Violation>,
) -> Option<(TenantName, TenantSpec)> {
    let mut add = |field: &str, description: String| {
        violations.push(Violation { field: field.into(), description });
    };
    let customer = parent.strip_prefix("customers/").unwrap_or_default().parse();
    let customer = customer.map_err(|error| add("parent", format!("must be customers/{{customer}}: {error}"))).ok();
    let id = tenant_id.parse::<TenantId>();
    let id = id.map_err(|error| add("tenant_id", error.to_string())).ok();
    let Some(resource) = tenant else {
        add("tenant", "is missing; it says what is ordered".into());
        return None;
    };
    let class = resource.tenant_class.parse::<ClassName>().ok();
    let spec = TenantSpec::parse(convert::spec_input(resource));
    let spec = spec
        .map_err(|more| {
            // Placing needs a whole spec; a class that does not exist can be told without one.
            let class = class.and_then(|class| catalog.unknown_class(&class));
            violations.extend(more.0.into_iter().chain(class).map(of_tenant));
        })
        .ok();
    Some((TenantName { customer: customer?, tenant: id? }, spec?))
}

fn of_tenant(violation: Violation) -> Violation {
    Violation { field: format!("tenant.{}", request::field(&violation.field)), ..violation }
}
