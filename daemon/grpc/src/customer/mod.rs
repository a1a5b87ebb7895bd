//! CustomerService: who may order, and what.

mod message;

use std::collections::BTreeMap;

use landlord_core::{
    CustomerId, Violation, Violations,
    access::Resource,
    environment::{Customer, CustomerSpec, ORPHANS},
    ports::{Page, RequestContext, StoreError},
};
use landlord_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    accept::given,
    access::Access,
    context,
    error::{Error, maybe, violation},
    list::{
        filter::{self, Field, Kind, Value},
        order::Order,
        page,
        scan::{Item, Scan},
    },
    merge::Merge,
    name,
    ports::Ports,
};

/// Fields that a filter or an order can name.
const FIELDS: [Field; 8] = [
    Field::text("name"),
    Field::text("display_name"),
    Field::new("labels", Kind::Map),
    Field::text("contract_number"),
    Field::new("suspended", Kind::Bool),
    Field::new("contract_end_time", Kind::Time),
    Field::new("create_time", Kind::Time),
    Field::new("update_time", Kind::Time),
];

/// Labels of a customer; of one that is not known: none.
pub(crate) async fn labels(ports: &Ports, id: &CustomerId) -> Result<BTreeMap<String, String>, StoreError> {
    let found = maybe(ports.customers.customer(id).await)?;
    Ok(found.map(|customer| customer.spec.labels).unwrap_or_default())
}

/// CustomerService.
pub(crate) struct Customers {
    pub(crate) ports: Ports,
}

impl Item for Customer {
    fn position(&self) -> String {
        self.id.to_string()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(format!("customers/{}", self.id)),
            "display_name" => Value::text(self.spec.display_name.as_str()),
            "labels" => Value::Map(&self.spec.labels),
            "contract_number" => Value::text(self.spec.contract.number.as_str()),
            "suspended" => Value::Bool(self.spec.suspended),
            "contract_end_time" => Value::time(self.spec.contract.end),
            "create_time" => Value::time(Some(self.create_time)),
            "update_time" => Value::time(Some(self.update_time)),
            _ => Value::Absent,
        }
    }
}

/// A checked request: who it is about, and its context.
fn context_of<M: prost::Message>(
    method: &'static str,
    request: &Request<M>,
    request_id: &str,
) -> (RequestContext, Vec<Violation>) {
    let mut violations = Vec::new();
    (context::of(method, request, request_id, &mut violations), violations)
}

impl Customers {
    async fn create(
        &self,
        request: &v1::CreateCustomerRequest,
        (id, context, mut violations): (CustomerId, RequestContext, Vec<Violation>),
    ) -> Result<v1::Customer, Error> {
        if id.as_str() == ORPHANS {
            violations
                .push(violation("customer_id", "orphans is the daemon's own, for what it removes; take another id"));
        }
        let spec = message::spec(request.customer.clone().unwrap_or_default(), &mut violations);
        let Some(spec) = spec.filter(|_| violations.is_empty()) else { return Err(Violations(violations).into()) };
        if request.validate_only {
            return match maybe(self.ports.customers.customer(&id).await)? {
                None => Ok(message::unsaved(&id, &spec)),
                Some(_) => Err(StoreError::AlreadyExists(format!("customers/{id}")).into()),
            };
        }
        Ok(message::shown(&self.ports.customers.create_customer(&id, spec, context).await?))
    }

    async fn update(
        &self,
        request: &v1::UpdateCustomerRequest,
        (id, context, violations): (CustomerId, RequestContext, Vec<Violation>),
    ) -> Result<v1::Customer, Error> {
        let wanted = request.customer.clone().unwrap_or_default();
        let mut merge = Merge::default();
        loop {
            let before = self.ports.customers.customer(&id).await?;
            let spec = merged(&before, &wanted, request.update_mask.as_ref(), violations.clone())?;
            let etag = given(&wanted.etag).unwrap_or(&before.etag);
            if request.validate_only {
                if etag != before.etag {
                    return Err(StoreError::EtagMismatch { name: wanted.name }.into());
                }
                return Ok(message::shown(&Customer { spec, ..before }));
            }
            match self.ports.customers.update_customer(&id, etag, spec, context.clone()).await {
                Err(StoreError::EtagMismatch { .. }) if wanted.etag.is_empty() && merge.again().await => {}
                updated => return Ok(message::shown(&updated?)),
            }
        }
    }

    async fn list(
        &self,
        access: &Access,
        request: &v1::ListCustomersRequest,
    ) -> Result<v1::ListCustomersResponse, Error> {
        let (filter, order) = (filter::parse(&request.filter, &FIELDS)?, Order::parse(&request.order_by, &FIELDS)?);
        let own = access.principal().customer.clone();
        let scope = format!("customers {} {}", request.filter, request.order_by);
        let tokens = &self.ports.tokens;
        let page = page::Request { scope: &scope, size: request.page_size, token: &request.page_token, tokens };
        let read = |after: Option<String>, limit: u32| {
            let own = own.clone();
            async move {
                // Whoever acts for a customer learns nothing of how many others there are.
                let Page { mut items, next } = match own {
                    Some(own) => {
                        let found = maybe(self.ports.customers.customer(&own).await)?;
                        Page { items: found.into_iter().collect(), next: None }
                    }
                    None => self.ports.customers.customers(after.as_deref(), limit).await?,
                };
                items.retain(|customer| access.shows(&Resource::Customer(customer.id.clone())));
                Ok(Page { items, next })
            }
        };
        let (found, next_page_token) = Scan { filter: &filter, order: &order, page }.page(read).await?;
        Ok(v1::ListCustomersResponse { customers: found.iter().map(message::shown).collect(), next_page_token })
    }
}

/// What an update makes of a customer, or everything that is wrong with it.
fn merged(
    before: &Customer,
    wanted: &v1::Customer,
    mask: Option<&prost_types::FieldMask>,
    mut violations: Vec<Violation>,
) -> Result<CustomerSpec, Error> {
    let mut merged = message::shown(before);
    for path in message::paths(mask, wanted) {
        if let Err(problem) = message::copy(&path, wanted, &mut merged) {
            violations.push(violation("update_mask", problem));
        }
    }
    match message::spec(merged, &mut violations) {
        Some(spec) if violations.is_empty() => Ok(spec),
        _ => Err(Violations(violations).into()),
    }
}

/// The id of a customer that shall be made; with what is wrong with it comes what is wrong with the rest.
fn new_id(request: &v1::CreateCustomerRequest) -> Result<CustomerId, Violations> {
    request.customer_id.parse().map_err(|error: landlord_core::ids::InvalidName| {
        let mut violations = vec![violation("customer_id", error.to_string())];
        message::spec(request.customer.clone().unwrap_or_default(), &mut violations);
        Violations(violations)
    })
}

/// The customer that a name names, which the caller may do this to.
fn checked<M>(request: &Request<M>, id: Result<CustomerId, impl Into<Error>>) -> Result<(Access, CustomerId), Error> {
    let access = Access::of(request.extensions())?;
    let id = id.map_err(Into::into)?;
    access.check(&Resource::Customer(id.clone()))?;
    Ok((access, id))
}

fn named(field: &str, text: &str) -> Result<CustomerId, Violation> {
    name::customer(text).map_err(|wrong| Violation { field: field.into(), ..wrong })
}

#[tonic::async_trait]
impl v1::customer_service_server::CustomerService for Customers {
    async fn create_customer(
        &self,
        request: Request<v1::CreateCustomerRequest>,
    ) -> Result<Response<v1::Customer>, Status> {
        let (_, id) = checked(&request, new_id(request.get_ref()))?;
        let (context, violations) = context_of("CreateCustomer", &request, &request.get_ref().request_id);
        Ok(Response::new(self.create(request.get_ref(), (id, context, violations)).await?))
    }

    async fn get_customer(&self, request: Request<v1::GetCustomerRequest>) -> Result<Response<v1::Customer>, Status> {
        let (_, id) = checked(&request, named("name", &request.get_ref().name))?;
        let customer = self.ports.customers.customer(&id).await.map_err(Error::from)?;
        Ok(Response::new(message::shown(&customer)))
    }

    async fn list_customers(
        &self,
        request: Request<v1::ListCustomersRequest>,
    ) -> Result<Response<v1::ListCustomersResponse>, Status> {
        let access = Access::of(request.extensions())?;
        Ok(Response::new(self.list(&access, request.get_ref()).await?))
    }

    async fn update_customer(
        &self,
        request: Request<v1::UpdateCustomerRequest>,
    ) -> Result<Response<v1::Customer>, Status> {
        let name = request.get_ref().customer.as_ref().map_or("", |customer| &customer.name);
        let (_, id) = checked(&request, named("customer.name", name))?;
        let (context, violations) = context_of("UpdateCustomer", &request, &request.get_ref().request_id);
        Ok(Response::new(self.update(request.get_ref(), (id, context, violations)).await?))
    }

    async fn delete_customer(&self, request: Request<v1::DeleteCustomerRequest>) -> Result<Response<()>, Status> {
        let (_, id) = checked(&request, named("name", &request.get_ref().name))?;
        let (context, violations) = context_of("DeleteCustomer", &request, &request.get_ref().request_id);
        Error::unless_empty(violations)?;
        let request = request.into_inner();
        let deleted =
            self.ports.customers.delete_customer(&id, given(&request.etag), request.validate_only, context).await;
        deleted.map_err(Error::from)?;
        Ok(Response::new(()))
    }
}
