//! What environments have otherwise than their class says now. A class is resolved when an environment is accepted and kept for
//! life, so a changed class reaches nobody by itself: these are whom it has not reached. Pure; changes nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    Catalog, Class, Environment, EnvironmentKind, Placement, Tenant,
    catalog::of_customer,
    revision::{Part, Revisions},
};

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
        let [placed, offered] =
            [placement.clone(), self.offered(class, environment)].map(|p| serde_json::to_value(p).ok());
        let mut found = Vec::new();
        compare("", placed.as_ref(), offered.as_ref(), &mut found);
        found
    }
}

/// The environment's placement as the class would make it now.
fn of_class(class: &Class, environment: &Environment) -> Placement {
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
        platform_options: class.platform_options.clone(),
        machine_type: class.machine_type.clone(),
        node_scaling: class.node_scaling.clone(),
        disk_size_gib: class.disk_size_gib,
        parameters: class.parameters.clone(),
        guardrails,
        skip_checks: class.skip_checks.clone(),
        checks_from: class.checks_from(),
        service: class.service,
        ..placement
    }
    .instead_of(&environment.placement)
}

impl Catalog {
    /// The environment's placement as the class would make it now, of what lies on disk now.
    fn offered(&self, class: &Class, environment: &Environment) -> Placement {
        let offered = of_class(class, environment);
        let own = &environment.placement.revisions;
        let current = self.revisions.of(offered.stack.as_ref(), offered.platform.as_ref());
        // What is not on disk any more, or was never named, differs in nothing that can be said.
        let revisions = Revisions {
            stack: current.stack.filter(|_| own.stack.is_some()).or(own.stack.clone()),
            platform: current.platform.filter(|_| own.platform.is_some()).or(own.platform.clone()),
            trial_generation: own.trial_generation,
        };
        Placement { revisions, ..offered }
    }

    /// The environment's placement with these parts as they are on offer now; the rest as it is. Where it is built, and on
    /// which machines, stays: those need a move.
    ///
    /// # Errors
    /// Why that can't be: its class is gone, or says another level, provider, stack or platform; it was adopted, and has none.
    pub fn renewed(&self, environment: &Environment, parts: &[Part]) -> Result<Placement, String> {
        let own = &environment.placement;
        let is_host_cluster = environment.host_cluster().is_some();
        if environment.kind() == EnvironmentKind::AdoptedHostCluster {
            return Err(
                "it was adopted and has no class and no platform of landlord's; whoever made it keeps it up to date"
                    .into(),
            );
        }
        let Some(class) = self.classes.get(&own.class) else {
            let class = &own.class;
            return Err(match is_host_cluster {
                true => format!(
                    "there is no class {class} any more; the operator configures it again, or orders another host cluster"
                ),
                false => format!("there is no class {class} any more; move it to another one"),
            });
        };
        let offered = self.offered(class, environment);
        let moves = [
            ("level", own.level == offered.level),
            ("provider", own.provider == offered.provider),
            ("credentials", own.credentials == offered.credentials),
            ("stack", own.stack == offered.stack),
            ("platform", own.platform == offered.platform),
        ];
        if let Some((field, _)) = moves.iter().find(|(_, same)| !same) {
            let class = &own.class;
            return Err(match is_host_cluster {
                true => format!(
                    "class {class} says another {field} now, and a host cluster keeps its own: order another one, and cordon this one"
                ),
                false => format!("class {class} says another {field} now: that takes a move (`landlord move`)"),
            });
        }
        let mut renewed = own.clone();
        if parts.contains(&Part::Class) {
            renewed.parameters = offered.parameters;
            renewed.guardrails = offered.guardrails;
            renewed.skip_checks = offered.skip_checks;
            renewed.checks_from = offered.checks_from;
            renewed.platform_options = offered.platform_options;
            renewed.service = offered.service;
            renewed.node_scaling = offered.node_scaling;
        }
        if parts.contains(&Part::Stack) {
            renewed.revisions.stack = offered.revisions.stack;
        }
        if parts.contains(&Part::Platform) {
            renewed.revisions.platform = offered.revisions.platform;
        }
        Ok(renewed)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        ChecksFrom, Level, OperationId, Owner, State, TenantSpec, TenantUid, Timestamp,
        environment::SpecInput,
        lifecycle,
        revision::{CurrentRevisions, RevisionId},
    };

    fn id(digit: char) -> RevisionId {
        RevisionId::of_digest(&digit.to_string().repeat(64)).unwrap()
    }

    fn catalog(revision: char) -> Catalog {
        let class: Class = serde_json::from_value(serde_json::json!({
            "level": "CLUSTER", "provider": "sky", "credentials": "main", "regions": ["here"], "stack": "desk",
            "machine_type": "m1", "node_count": 2, "node_count_max": 5,
        }))
        .unwrap();
        let revisions =
            CurrentRevisions { stacks: [("desk".parse().unwrap(), id(revision))].into(), ..Default::default() };
        Catalog { classes: [("small".parse().unwrap(), class)].into(), revisions, ..Catalog::default() }
    }

    fn class_of(catalog: &mut Catalog) -> &mut Class {
        catalog.classes.values_mut().next().unwrap()
    }

    #[test]
    fn a_revision_on_disk_reaches_whoever_asks_for_it() {
        let (old, mut new) = (catalog('a'), catalog('b'));
        let name: crate::TenantName = "customers/acme/tenants/prod".parse().unwrap();
        let spec = SpecInput {
            domain: "acme.example.com".into(),
            storage_gib: 1,
            class: "small".into(),
            ..SpecInput::default()
        };
        let spec = TenantSpec::parse(spec).unwrap();
        let placement = old.place(crate::Orderer { name: &name, labels: &BTreeMap::new() }, &spec).unwrap();
        assert_eq!((placement.level, &placement.revisions.stack), (Level::Cluster, &Some(id('a'))));
        let owner = Owner::Tenant(Tenant { name, spec, host: None, last_ready: None });
        let (uid, operation) = (TenantUid(uuid::Uuid::nil()), OperationId(uuid::Uuid::nil()));
        let tenant = lifecycle::accept(uid, owner, placement.clone(), operation, Timestamp(0));
        assert!(old.class_differences(&tenant).is_empty());
        class_of(&mut new).skip_checks = vec!["certificates".into()];
        class_of(&mut new).machine_type = "m9".into();
        let fields = |catalog: &Catalog, tenant: &Environment| -> Vec<String> {
            catalog.class_differences(tenant).into_iter().map(|difference| difference.field).collect()
        };
        assert_eq!(fields(&new, &tenant), ["machine_type", "revisions.stack", "skip_checks"]);
        let stack = new.renewed(&tenant, &[Part::Stack]).unwrap();
        assert_eq!(
            (&stack.revisions.stack, stack.skip_checks.len(), stack.machine_type.as_str()),
            (&Some(id('b')), 0, "m1")
        );
        let class = new.renewed(&tenant, &[Part::Class]).unwrap();
        assert_eq!(
            (&class.revisions.stack, class.skip_checks.len(), class.machine_type.as_str()),
            (&Some(id('a')), 1, "m1")
        );
        // What was placed before there was a choice keeps what it has until it is renewed.
        class_of(&mut new).platform = Some("standard".parse().unwrap());
        class_of(&mut new).checks_from = None;
        assert_eq!(
            (tenant.placement.checks_from, class_of(&mut new).checks_from()),
            (ChecksFrom::Any, ChecksFrom::Outside)
        );
        assert!(fields(&new, &tenant).contains(&"checks_from".to_owned()));
        class_of(&mut new).checks_from = Some(ChecksFrom::Any);
        assert!(!fields(&new, &tenant).contains(&"checks_from".to_owned()));
        class_of(&mut new).platform = None;
        class_of(&mut new).checks_from = Some(ChecksFrom::Outside);
        assert_eq!(new.renewed(&tenant, &[Part::Class]).unwrap().checks_from, ChecksFrom::Outside);
        class_of(&mut new).stack = Some("other".parse().unwrap());
        assert!(new.renewed(&tenant, &Part::ALL).unwrap_err().contains("landlord move"));
        // On trial in the generation that it made, and accepted as work.
        let unsettled = lifecycle::renew(&tenant, stack.clone(), operation).unwrap().environment;
        assert_eq!(unsettled.placement.revisions.trial_generation, None, "there is nothing to go back to yet");
        let mut ready = tenant.clone();
        (ready.status.state, ready.status.observed_generation) = (State::Ready, ready.generation);
        let renewed = lifecycle::renew(&ready, stack, operation).unwrap().environment;
        assert_eq!((renewed.generation, renewed.placement.revisions.trial_generation), (2, Some(2)));
    }
}
