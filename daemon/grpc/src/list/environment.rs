//! Tenants and host clusters as items of lists.

use std::collections::BTreeMap;

use landlord_core::{
    Catalog, ClassName, Environment, HostCluster, HostClusterId, ProviderName, State, Tenant,
    ids::InvalidName,
    ports::{Page, StoreError},
};

use super::{
    filter::{Expression, Field, Kind, Value},
    scan::Item,
};
use crate::{displayed::Displayed, error::Error};

const STATES: [State; 6] =
    [State::Pending, State::Provisioning, State::Ready, State::Updating, State::Deleting, State::Failed];
const STATE_WORDS: [&str; 6] = ["PENDING", "PROVISIONING", "READY", "UPDATING", "DELETING", "FAILED"];
/// Isolation levels, as the API calls them.
pub(crate) const LEVEL_WORDS: [&str; 3] = ["CLUSTER", "NODE", "NAMESPACE"];

const STATE: Field = Field::new("state", Kind::Word(&STATE_WORDS));
const PROVIDER: Field = Field::new("provider", Kind::Text(name::<ProviderName>));
const CLASS: Field = Field::new("tenant_class", Kind::Text(name::<ClassName>));
const CUSTOMER: Field = Field::new("customer", Kind::Text(name::<landlord_core::CustomerId>));
const CLASS_DIFFERS: Field = Field::new("class_differs", Kind::Bool);
const HOST_CLUSTER: Field = Field::new("host_cluster", Kind::Text(host_cluster));

/// Fields that a filter or an order of tenants can name.
pub(crate) const TENANT_FIELDS: [Field; 24] = [
    Field::text("name"),
    Field::text("uid"),
    CUSTOMER,
    Field::text("display_name"),
    Field::new("labels", Kind::Map),
    STATE,
    Field::new("level", Kind::Word(&LEVEL_WORDS)),
    PROVIDER,
    Field::text("account"),
    Field::text("region"),
    CLASS,
    Field::text("stack"),
    HOST_CLUSTER,
    Field::text("domain"),
    Field::new("storage_gib", Kind::Number),
    Field::new("node_count", Kind::Number),
    Field::new("deletion_protection", Kind::Bool),
    Field::new("paused", Kind::Bool),
    Field::new("generation", Kind::Number),
    Field::new("create_time", Kind::Time),
    Field::new("update_time", Kind::Time),
    Field::new("delete_time", Kind::Time),
    Field::text("rule"),
    CLASS_DIFFERS,
];

/// Fields that a filter or an order of host clusters can name.
pub(crate) const HOST_CLUSTER_FIELDS: [Field; 16] = [
    Field::text("name"),
    Field::text("uid"),
    Field::new("labels", Kind::Map),
    STATE,
    PROVIDER,
    Field::text("credentials"),
    Field::text("account"),
    Field::text("region"),
    CLASS,
    Field::new("cordoned", Kind::Bool),
    Field::new("tenants_max", Kind::Number),
    Field::new("deletion_protection", Kind::Bool),
    Field::new("create_time", Kind::Time),
    Field::new("update_time", Kind::Time),
    Field::new("delete_time", Kind::Time),
    CLASS_DIFFERS,
];

fn name<T: std::str::FromStr<Err = InvalidName>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| error.to_string())
}

fn host_cluster(text: &str) -> Result<(), String> {
    crate::name::host_cluster("filter", text).map(drop).map_err(|violation| violation.description)
}

/// What the store can choose by of a filter.
pub(crate) struct Chosen {
    pub(crate) states: Vec<State>,
    pub(crate) provider: Option<ProviderName>,
    pub(crate) class: Option<ClassName>,
    pub(crate) host_cluster: Option<HostClusterId>,
}

impl Chosen {
    /// Of a checked filter.
    pub(crate) fn by(filter: &Expression) -> Result<Self, Error> {
        let words = filter.texts(STATE.name).unwrap_or_default();
        let host_cluster = filter.text(&HOST_CLUSTER).filter(|name| !name.is_empty());
        Ok(Self {
            states: STATES.into_iter().filter(|state| words.iter().any(|word| word == state.as_str())).collect(),
            provider: filter.text(&PROVIDER).and_then(|text| text.parse().ok()),
            class: filter.text(&CLASS).and_then(|text| text.parse().ok()),
            host_cluster: host_cluster.map(|name| crate::name::host_cluster("filter", &name)).transpose()?,
        })
    }
}

/// A record, with the fields of its class that say something else by now.
pub(crate) struct Listed {
    pub(crate) environment: Environment,
    pub(crate) class_differences: Vec<String>,
}

impl Listed {
    pub(crate) fn new(catalog: &Catalog, environment: Environment) -> Self {
        Self { class_differences: class_differences(catalog, &environment), environment }
    }

    /// The same as a caller may see it.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) async fn displayed(self, displayed: &mut Displayed<'_>) -> Result<Self, StoreError> {
        Ok(Self { environment: displayed.record(self.environment).await?, ..self })
    }

    pub(crate) fn page(catalog: &Catalog, page: Page<Environment>) -> Page<Self> {
        let items = page.items.into_iter().map(|environment| Self::new(catalog, environment)).collect();
        Page { items, next: page.next }
    }
}

/// Names only: what a class says in them is the operator's.
pub(crate) fn class_differences(catalog: &Catalog, environment: &Environment) -> Vec<String> {
    catalog.class_differences(environment).into_iter().map(|difference| difference.field).collect()
}

impl Item for Listed {
    fn position(&self) -> String {
        self.environment.name().to_string()
    }

    fn value(&self, field: &str) -> Value<'_> {
        if field == CLASS_DIFFERS.name {
            return Value::Bool(!self.class_differences.is_empty());
        }
        let record = &self.environment;
        let of_owner = match (record.tenant(), record.host_cluster()) {
            (Some(tenant), _) => of_tenant(tenant, field),
            (None, Some(host)) => of_host_cluster(host, field),
            (None, None) => None,
        };
        of_owner.unwrap_or_else(|| of_record(record, field))
    }
}

fn of_record<'a>(environment: &'a Environment, field: &str) -> Value<'a> {
    let placement = &environment.placement;
    match field {
        "name" => Value::text(environment.name().to_string()),
        "uid" => Value::text(environment.uid.to_string()),
        "state" => Value::text(environment.status.state.as_str()),
        "level" => Value::text(placement.level.as_str()),
        "provider" => Value::text(placement.provider.as_str()),
        "credentials" => Value::text(placement.credentials.as_str()),
        "account" => Value::text(placement.account.as_str()),
        "region" => Value::text(placement.region.as_str()),
        "tenant_class" => Value::text(placement.class.as_str()),
        "rule" => Value::text(placement.rule.as_str()),
        "stack" => placement.stack.as_ref().map_or(Value::Absent, |stack| Value::text(stack.as_str())),
        "node_count" => Value::Number(placement.node_count.into()),
        "generation" => Value::Number(environment.generation),
        "create_time" => Value::time(Some(environment.create_time)),
        "update_time" => Value::time(Some(environment.update_time)),
        "delete_time" => Value::time(environment.delete_time),
        _ => Value::Absent,
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Value<'_> {
    Value::Map(labels)
}

/// `None`: the field is the record's.
fn of_tenant<'a>(tenant: &'a Tenant, field: &str) -> Option<Value<'a>> {
    let spec = &tenant.spec;
    Some(match field {
        "customer" => Value::text(tenant.name.customer.as_str()),
        "display_name" => Value::text(spec.display_name.as_str()),
        "labels" => labels(&spec.labels),
        "domain" => Value::text(spec.domain.as_str()),
        "storage_gib" => Value::Number(spec.storage.gib().into()),
        "deletion_protection" => Value::Bool(spec.deletion_protection),
        "paused" => Value::Bool(spec.paused),
        "host_cluster" => {
            tenant.host.as_ref().map_or(Value::Absent, |host| Value::text(format!("hostClusters/{}", host.id)))
        }
        _ => return None,
    })
}

/// `None`: the field is the record's.
fn of_host_cluster<'a>(host: &'a HostCluster, field: &str) -> Option<Value<'a>> {
    let spec = &host.spec;
    Some(match field {
        "labels" => labels(&spec.labels),
        "tenant_class" => spec.class.as_ref().map_or(Value::Absent, |class| Value::text(class.as_str())),
        "cordoned" => Value::Bool(spec.cordoned),
        "tenants_max" => Value::Number(spec.tenants_max.into()),
        "deletion_protection" => Value::Bool(spec.deletion_protection),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_states() {
        assert_eq!(STATES.map(State::as_str), STATE_WORDS);
    }
}
