//! ListOperations: from the request to a page, newest first.

use landlord_core::{CustomerId, EnvironmentName, Operation, ports::OperationQuery};
use landlord_proto::google::longrunning::ListOperationsRequest;

use crate::{
    convert,
    error::{Error, violation},
    list::{
        filter::{self, Expression, Field, Kind, Value},
        order::Order,
        page,
        scan::{Item, Scan},
    },
    name,
    ports::Ports,
};

const KIND_WORDS: [&str; 4] = ["create", "update", "delete", "retry"];

const TENANT: Field = Field::new("tenant", Kind::Text(|text| checked(name::tenant("filter", text))));
const HOST_CLUSTER: Field = Field::new("host_cluster", Kind::Text(|text| checked(name::host_cluster("filter", text))));
const CUSTOMER: Field =
    Field::new("customer", Kind::Text(|text| text.parse::<CustomerId>().map(drop).map_err(|error| error.to_string())));

/// Fields that a filter can name.
const FIELDS: [Field; 10] = [
    Field::text("name"),
    TENANT,
    HOST_CLUSTER,
    CUSTOMER,
    Field::new("kind", Kind::Word(&KIND_WORDS)),
    Field::new("done", Kind::Bool),
    Field::new("cancel_requested", Kind::Bool),
    Field::new("generation", Kind::Number),
    Field::new("create_time", Kind::Time),
    Field::new("end_time", Kind::Time),
];

fn checked<T>(name: Result<T, landlord_core::Violation>) -> Result<(), String> {
    name.map(drop).map_err(|violation| violation.description)
}

impl Item for Operation {
    fn position(&self) -> String {
        self.id.to_string()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(format!("operations/{}", self.id)),
            "tenant" => self.name.tenant().map_or(Value::Absent, |name| Value::text(name.to_string())),
            "host_cluster" => self.name.host_cluster().map_or(Value::Absent, |_| Value::text(self.name.to_string())),
            "customer" => self.name.customer().map_or(Value::Absent, |id| Value::text(id.as_str())),
            "kind" => Value::text(convert::kind(self.kind)),
            "done" => Value::Bool(self.outcome.is_some()),
            "cancel_requested" => Value::Bool(self.cancel_requested),
            "generation" => Value::Number(self.generation),
            "create_time" => Value::time(Some(self.create_time)),
            "end_time" => Value::time(self.end_time),
            _ => Value::Absent,
        }
    }
}

/// The operations of a page, and the token of the next one.
pub(crate) async fn page(ports: &Ports, request: &ListOperationsRequest) -> Result<(Vec<Operation>, String), Error> {
    if !["", "operations"].contains(&request.name.as_str()) {
        return Err(violation("name", format!("{:?} must be \"operations\"", request.name)).into());
    }
    let filter = filter::parse(&request.filter, &FIELDS)?;
    let query = query(&filter)?;
    let scope = format!("operations {}", request.filter);
    let page =
        page::Request { scope: &scope, size: request.page_size, token: &request.page_token, tokens: &ports.tokens };
    let read = |after: Option<String>, limit: u32| {
        let query = OperationQuery { after, limit, ..query.clone() };
        async move { ports.store.operations(&query).await }
    };
    Scan { filter: &filter, order: &Order::default(), page }.page(read).await
}

/// What the store can choose by of a filter.
fn query(filter: &Expression) -> Result<OperationQuery, Error> {
    let tenant = filter.text(&TENANT).filter(|name| !name.is_empty());
    let host = filter.text(&HOST_CLUSTER).filter(|name| !name.is_empty());
    let tenant = tenant.map(|name| name::tenant("filter", &name)).transpose()?;
    let host = host.map(|name| name::host_cluster("filter", &name)).transpose()?;
    if tenant.is_some() && host.is_some() {
        return Err(violation("filter", "an operation is about a tenant or about a host cluster").into());
    }
    Ok(OperationQuery {
        name: tenant.map(EnvironmentName::from).or_else(|| host.map(EnvironmentName::from)),
        customer: filter.text(&CUSTOMER).and_then(|id| id.parse().ok()),
        done: filter.flag("done"),
        ..OperationQuery::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_kinds() {
        use landlord_core::OperationKind::{Create, Delete, Retry, Update};
        assert_eq!([Create, Update, Delete, Retry].map(convert::kind), KIND_WORDS);
    }
}
