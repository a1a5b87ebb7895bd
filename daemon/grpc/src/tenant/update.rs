//! UpdateTenant: the present tenant and the request together give the new spec, or everything that is wrong with it.

use landlord_core::{
    Catalog, DesiredState, Environment, EnvironmentName, Tenant, TenantSpec, Violation, Violations,
    lifecycle::check_etag,
    ports::{Accepted, Change, RequestContext, RequestScope, StoreError},
};
use landlord_proto::v1;

use super::{create::of_tenant, record::tenant_of};
use crate::{
    accept::{Write, given, scope_of},
    convert,
    error::{Error, violation},
    name,
    ports::Ports,
};

/// Fields that an update may change.
const CHANGEABLE: [&str; 7] =
    ["display_name", "labels", "storage_gib", "node_count", "stack_values", "deletion_protection", "paused"];

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
        let change = check(&ports.catalog, &current, tenant_of(&current)?, self, violations)?;
        check_etag(&current, given(self.etag())).map_err(StoreError::from)?;
        Ok(Merged { current, change })
    }

    async fn dry_run(&self, _: &Ports, merged: &Merged) -> Result<(), Error> {
        if merged.current.desired_state == DesiredState::Absent {
            let name = merged.current.name();
            return Err(StoreError::FailedPrecondition(format!("{name} is being deleted")).into());
        }
        Ok(())
    }

    async fn commit(&self, ports: &Ports, merged: Merged, request: RequestContext) -> Result<Accepted, Error> {
        let Merged { current, change } = merged;
        // The change was merged into this version, and no other may be overwritten by it.
        Ok(ports.store.change(&current.name(), Some(&current.etag), change, request).await?)
    }
}

fn tenant_name(request: &v1::UpdateTenantRequest) -> Result<landlord_core::TenantName, Violation> {
    name::tenant("tenant.name", request.tenant.as_ref().map_or("", |tenant| &tenant.name))
}

/// The change that a request asks for.
fn check(
    catalog: &Catalog,
    environment: &Environment,
    current: &Tenant,
    request: &v1::UpdateTenantRequest,
    mut violations: Vec<Violation>,
) -> Result<Change, Violations> {
    let wanted = request.tenant.clone().unwrap_or_default();
    let mut merged = convert::tenant(environment, current);
    for path in paths(request) {
        if !copy(&path, &wanted, &mut merged) {
            let changeable = CHANGEABLE.join(", ");
            let problem = format!("{path:?} can't be changed; changeable are: {changeable}");
            violations.push(violation("update_mask", problem));
        }
    }
    let spec = match TenantSpec::parse(convert::spec_input(merged)) {
        Ok(spec) => spec,
        Err(more) => {
            violations.extend(more.0.into_iter().map(of_tenant));
            return Err(Violations(violations));
        }
    };
    violations.extend(current.spec.forbidden_changes(&spec).into_iter().map(of_tenant));
    if spec.labels != current.spec.labels
        && let Some(why) = catalog.residency.forbids(&current.name, &spec.labels, &environment.placement.region)
    {
        let description = format!("{why}; a tenant does not move: order another one there");
        violations.push(violation("tenant.labels", description));
    }
    let placement = if current.spec.needs_work(&spec) && violations.is_empty() {
        catalog.place_again(&spec, &environment.placement)
    } else {
        Ok(environment.placement.clone())
    };
    match placement {
        Ok(placement) if violations.is_empty() => Ok(Change::Update { spec, placement }),
        Ok(_) => Err(Violations(violations)),
        Err(more) => Err(Violations(more.0.into_iter().map(of_tenant).collect())),
    }
}

/// The paths of the mask; `*`: all that may change; without a mask, all that are populated (AIP-134).
fn paths(request: &v1::UpdateTenantRequest) -> Vec<String> {
    match request.update_mask.as_ref().map(|mask| mask.paths.as_slice()) {
        Some([all]) if all == "*" => CHANGEABLE.map(str::to_owned).to_vec(),
        Some([]) | None => populated(&request.tenant.clone().unwrap_or_default()),
        Some(paths) => paths.to_vec(),
    }
}

/// Also those that can't change: another value of them gets its own explanation.
fn populated(tenant: &v1::Tenant) -> Vec<String> {
    let fields = [
        ("display_name", !tenant.display_name.is_empty()),
        ("labels", !tenant.labels.is_empty()),
        ("storage_gib", tenant.storage_gib != 0),
        ("node_count", tenant.node_count != 0),
        ("stack_values", tenant.stack_values.is_some()),
        ("deletion_protection", tenant.deletion_protection),
        ("paused", tenant.paused),
        ("domain", !tenant.domain.is_empty()),
        ("tenant_class", !tenant.tenant_class.is_empty()),
        ("region", !tenant.region.is_empty()),
    ];
    fields.into_iter().filter(|(_, populated)| *populated).map(|(field, _)| field.to_owned()).collect()
}

/// Copies one field. Those that can't change are copied too: the same value is no mistake, and
/// another one gets its own explanation.
fn copy(path: &str, from: &v1::Tenant, to: &mut v1::Tenant) -> bool {
    match path {
        "display_name" => to.display_name.clone_from(&from.display_name),
        "labels" => to.labels.clone_from(&from.labels),
        "storage_gib" => to.storage_gib = from.storage_gib,
        "node_count" => to.node_count = from.node_count,
        "stack_values" => to.stack_values.clone_from(&from.stack_values),
        "deletion_protection" => to.deletion_protection = from.deletion_protection,
        "paused" => to.paused = from.paused,
        "domain" => to.domain.clone_from(&from.domain),
        "tenant_class" => to.tenant_class.clone_from(&from.tenant_class),
        "region" => to.region.clone_from(&from.region),
        _ => return false,
    }
    true
}
