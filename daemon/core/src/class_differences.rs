//! What environments have otherwise than their class says now. A class is resolved when an environment is accepted and kept for
//! life, so a changed class reaches nobody by itself: these are whom it has not reached. Pure; changes nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Catalog, Class, Environment, EnvironmentKind, Placement, Tenant, catalog::of_customer};

/// A field of a class in which an environment differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassDifference {
    /// Path of the field as the configuration has it, such as `parameters.nat`; `class` if there is no such class any more.
    pub field: String,
    /// What the environment was built with, as JSON; empty: nothing.
    pub placed: String,
    /// What the class says now, as JSON; empty: nothing.
    pub offered: String,
}

impl Catalog {
    /// What an environment has otherwise than its class says now, by field. What the order says (region, nodes), and what
    /// belongs to the provider's configuration (account), is no difference of the class; neither has a cluster that was
    /// adopted one.
    #[must_use]
    pub fn class_differences(&self, environment: &Environment) -> Vec<ClassDifference> {
        let placement = &environment.placement;
        let without_class = environment.kind() == EnvironmentKind::AdoptedHostCluster
            || environment.tenant().is_some_and(Tenant::is_orphan);
        if without_class {
            return Vec::new();
        }
        let Some(class) = self.classes.get(&placement.class) else {
            let placed = placement.class.to_string();
            return vec![ClassDifference { field: "class".into(), placed, offered: String::new() }];
        };
        let [placed, offered] = [placement.clone(), offered(class, environment)].map(|p| serde_json::to_value(p).ok());
        let mut found = Vec::new();
        compare("", placed.as_ref(), offered.as_ref(), &mut found);
        found
    }
}

/// The environment's placement as the class would make it now.
fn offered(class: &Class, environment: &Environment) -> Placement {
    let placement = environment.placement.clone();
    let tenant = environment.tenant();
    let guardrails = class.level.is_shared().then(|| class.guardrails.clone().unwrap_or_default());
    // One that does not fit the customer any more differs as it is written.
    let guardrails = guardrails.map(|guardrails| match tenant {
        Some(tenant) => of_customer(guardrails.clone(), &tenant.name).unwrap_or(guardrails),
        None => guardrails,
    });
    Placement {
        level: class.level,
        provider: class.provider.clone(),
        // At a shared level without one, the host cluster's.
        credentials: if class.credentials.is_empty() { placement.credentials } else { class.credentials.clone() },
        stack: class.stack.clone().filter(|_| tenant.is_some()),
        platform: class.platform.clone(),
        machine_type: class.machine_type.clone(),
        disk_size_gib: class.disk_size_gib,
        parameters: class.parameters.clone(),
        guardrails,
        skip_checks: class.skip_checks.clone(),
        service: class.service,
        ..placement
    }
}

fn compare(path: &str, placed: Option<&Value>, offered: Option<&Value>, found: &mut Vec<ClassDifference>) {
    match (placed, offered) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            for key in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, one.get(key), other.get(key), found);
            }
        }
        (placed, offered) if placed != offered => {
            let text = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(Value::to_string);
            let [placed, offered] = [text(placed), text(offered)].map(Option::unwrap_or_default);
            found.push(ClassDifference { field: path.to_owned(), placed, offered });
        }
        _ => {}
    }
}
