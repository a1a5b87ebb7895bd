//! Callers and resources as Cedar's entities.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema, entities_errors::EntitiesError,
};
use landlord_core::{
    CustomerId, EnvironmentName,
    access::{Action, EnvironmentAttributes, Principal, Resource},
};

use super::CustomerLabels;

const INSTALLATION: &str = "installation";

fn uid(kind: &str, id: impl AsRef<str>) -> EntityUid {
    // The names are those of the schema, which the tests parse.
    #[expect(clippy::expect_used, reason = "the kinds are words of this file")]
    let kind: EntityTypeName = kind.parse().expect("a name of the schema");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

pub(crate) fn principal(principal: &Principal) -> EntityUid {
    uid("Principal", &principal.name)
}

pub(crate) fn action(action: Action) -> EntityUid {
    uid("Action", action.as_str())
}

pub(crate) fn resource(resource: &Resource) -> EntityUid {
    match resource {
        Resource::Installation => uid("Installation", INSTALLATION),
        Resource::Customer(id) => customer(id),
        Resource::Environment { name, .. } => environment(name),
        Resource::Operation { id, .. } => uid("Operation", id.to_string()),
        Resource::Provider(name) => uid("Provider", name),
    }
}

fn customer(id: &CustomerId) -> EntityUid {
    uid("Customer", id.as_str())
}

fn environment(name: &EnvironmentName) -> EntityUid {
    match name {
        EnvironmentName::Tenant(name) => uid("Tenant", format!("{}/{}", name.customer, name.tenant)),
        EnvironmentName::HostCluster(id) => uid("HostCluster", id.as_str()),
    }
}

/// What contains an environment.
fn above(name: &EnvironmentName) -> EntityUid {
    match name {
        EnvironmentName::Tenant(name) => customer(&name.customer),
        EnvironmentName::HostCluster(_) => uid("Installation", INSTALLATION),
    }
}

/// A customer with its labels.
fn labelled(id: &CustomerId, labels: &CustomerLabels) -> Option<Entity> {
    let own = labels.get(id).into_iter().flatten();
    let tags = own.map(|(key, value)| (key.clone(), RestrictedExpression::new_string(value.clone())));
    Entity::new_with_tags(customer(id), [], [uid("Installation", INSTALLATION)], tags).ok()
}

/// Everything that a decision about `principal` and `resource` can speak of.
pub(crate) fn all(
    principal: &Principal,
    resource: &Resource,
    labels: &CustomerLabels,
    schema: &Schema,
) -> Result<Entities, Box<EntitiesError>> {
    let mut entities: HashMap<EntityUid, Entity> = HashMap::new();
    let mut put = |entity: Entity| {
        entities.insert(entity.uid(), entity);
    };
    put(Entity::new_no_attrs(uid("Installation", INSTALLATION), HashSet::new()));
    let groups: HashSet<EntityUid> = principal.groups.iter().map(|group| uid("Group", group)).collect();
    let mut attributes =
        HashMap::from([("method".to_owned(), RestrictedExpression::new_string(principal.method.as_str().to_owned()))]);
    if let Some(id) = &principal.customer {
        attributes.insert("customer".to_owned(), RestrictedExpression::new_entity_uid(customer(id)));
    }
    if let Ok(entity) = Entity::new(self::principal(principal), attributes, groups) {
        put(entity);
    }
    principal.customer.iter().chain(resource.customer()).filter_map(|id| labelled(id, labels)).for_each(&mut put);
    match resource {
        Resource::Installation | Resource::Customer(_) => {}
        Resource::Provider(_) => {
            put(Entity::new_no_attrs(self::resource(resource), [uid("Installation", INSTALLATION)].into()));
        }
        Resource::Environment { name, attributes } => {
            described(environment(name), attributes.as_ref(), above(name), None).into_iter().for_each(put);
        }
        Resource::Operation { of, attributes, .. } => {
            described(environment(of), attributes.as_ref(), above(of), None).into_iter().for_each(&mut put);
            described(self::resource(resource), attributes.as_ref(), environment(of), Some(of))
                .into_iter()
                .for_each(put);
        }
    }
    Entities::from_entities(entities.into_values(), Some(schema)).map_err(Box::new)
}

/// An environment or its operation with what is known of it.
fn described(
    id: EntityUid,
    known: Option<&EnvironmentAttributes>,
    parent: EntityUid,
    operation_of: Option<&EnvironmentName>,
) -> Option<Entity> {
    let text = |value: &String| RestrictedExpression::new_string(value.clone());
    let mut attributes = Vec::new();
    let mut labels = Vec::new();
    if let Some(of) = operation_of {
        let of_tenant = matches!(of, EnvironmentName::Tenant(_));
        attributes.push(("ofTenant".to_owned(), RestrictedExpression::new_bool(of_tenant)));
    }
    if let Some(known) = known {
        let pairs = [
            ("class", &known.class),
            ("level", &known.level),
            ("provider", &known.provider),
            ("region", &known.region),
            ("state", &known.state),
        ];
        attributes.extend(pairs.map(|(key, value)| (key.to_owned(), text(value))));
        labels.extend(known.labels.iter().map(|(key, value)| (key.clone(), text(value))));
    }
    Entity::new_with_tags(id, attributes, [parent], labels).ok()
}
