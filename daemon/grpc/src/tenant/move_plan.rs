//! MoveTenant: what a move would take, and why it is not done.
//!
//! A move needs the customer's data in the new place before the old one goes. The stack's charts have
//! no hooks that take a consistent copy of volumes and vectors, and storage of one cluster can't be
//! opened from another, so a move made here would either lose what was written meanwhile or call a
//! copy complete that nobody checked. It is planned, and refused.

use std::collections::BTreeMap;

use landlord_core::{
    Catalog, ClassName, Environment, Level, Orderer, Placement, Tenant, TenantSpec, Violation, Violations,
};
use landlord_proto::v1;

use crate::{convert, error::Error, name};

const DATA: &str = "the customer's files, vectors and settings would have to be copied, and the stack has no backup \
                    hooks that make a consistent copy; order a new tenant of the class, have the customer copy the \
                    data (SFTP), then delete this one";

/// The plan of a move; refused unless only the plan is requested.
pub(crate) fn plan(
    catalog: &Catalog,
    environment: &Environment,
    (tenant, labels): (&Tenant, &BTreeMap<String, String>),
    request: &v1::MoveTenantRequest,
) -> Result<Planned, Error> {
    let destination = destination(catalog, environment, (tenant, labels), &request.tenant_class)?;
    if !request.validate_only {
        return Err(Error::MoveNotSupported(format!("{} is not moved: {DATA}", tenant.name)));
    }
    Ok(Planned { steps: steps(&environment.placement, &destination), destination })
}

/// A move that was planned.
pub(crate) struct Planned {
    steps: Vec<String>,
    pub(crate) destination: Placement,
}

impl Planned {
    /// As the caller may see both places.
    pub(crate) fn response(self, source: &Environment, destination: &Placement) -> v1::MoveTenantResponse {
        v1::MoveTenantResponse {
            steps: self.steps,
            source: Some(convert::placement(source)),
            destination: Some(convert::offered(destination)),
            obstacles: vec![DATA.to_owned()],
        }
    }
}

fn destination(
    catalog: &Catalog,
    environment: &Environment,
    (tenant, labels): (&Tenant, &BTreeMap<String, String>),
    class: &str,
) -> Result<Placement, Violations> {
    let wrong = |description: String| Violations(vec![Violation { field: "tenant_class".into(), description }]);
    let class: ClassName = class.parse().map_err(|error: landlord_core::ids::InvalidName| wrong(error.to_string()))?;
    if class == environment.placement.class {
        return Err(wrong(format!("{} is of class {class} already", tenant.name)));
    }
    let level = catalog.classes.get(&class).map(|class| class.level);
    // Nodes belong to a class; a namespace has none.
    let node_count = tenant.spec.node_count.filter(|_| level != Some(Level::Namespace));
    let spec = TenantSpec { class: Some(class), region: None, node_count, ..tenant.spec.clone() };
    let of_request = |v: Violation| Violation { field: name::field(&v.field).to_owned(), ..v };
    catalog
        .place(Orderer { name: &tenant.name, labels }, &spec)
        .map_err(|wrong| Violations(wrong.0.into_iter().map(of_request).collect()))
}

fn steps(from: &Placement, to: &Placement) -> Vec<String> {
    let mut steps = Vec::new();
    match to.level {
        Level::Cluster => steps.push(format!("make a network and a cluster of {} in {}", to.provider, to.region)),
        Level::Node => {
            steps.push(format!("choose a host cluster of {} in {}", to.provider, to.region));
            steps.push(format!("make {} nodes {} in it, for this tenant alone", to.node_count, to.machine_type));
            steps.push("make the isolated namespace".into());
        }
        Level::Namespace => {
            steps.push(format!("choose a host cluster of {} in {}", to.provider, to.region));
            steps.push("make the isolated namespace".into());
        }
    }
    if let Some(stack) = &to.stack {
        steps.push(format!("deploy stack {stack} and wait until it is ready"));
    }
    steps.push("stop writes in the old place and copy its data".into());
    steps.push("check the copy".into());
    steps.push("point the DNS records to the new place".into());
    steps.push(match from.level {
        Level::Cluster => "remove the old cluster and network".into(),
        Level::Node => "remove the old namespace and nodes".into(),
        Level::Namespace => "remove the old namespace".to_owned(),
    });
    steps
}
