//! TenantService over the store and the catalog.

use std::pin::Pin;

use futures::{Stream, TryStreamExt as _};
use landlord_core::{
    CustomerId, DesiredState, Environment, EnvironmentName, Tenant, Violation, Violations,
    fleet::{Choice, choose},
    ports::{Accepted, Change, DeleteRequest, EventQuery, EventScope, NewTenant, RequestKey, RequestScope, StoreError},
};
use landlord_proto::{google::longrunning::Operation, v1};
use tonic::{Request, Response, Status};

use crate::{
    Ports, convert, create, events, kubeconfig, list, moving, page, place, request, status, update, watch::Watches,
};

/// An update without an etag is merged again into what another change made meanwhile this often;
/// the engine writes a tenant's record a few times a second at most.
const UPDATE_ATTEMPTS_MAX: u32 = 10;

/// TenantService.
pub(crate) struct Tenants {
    pub(crate) ports: Ports,
    pub(crate) watches: Watches,
}

type Answer<T> = Result<Response<T>, Status>;

impl Tenants {
    fn accepted(&self, accepted: &Accepted) -> Response<Operation> {
        if !accepted.replayed {
            self.ports.wake.wake();
        }
        Response::new(convert::operation(&accepted.operation, accepted.environment.as_ref()))
    }

    /// The answer to an earlier request with the same id.
    async fn replayed(&self, customer: &CustomerId, key: &RequestKey) -> Result<Option<Accepted>, Status> {
        if key.request_id.is_none() {
            return Ok(None);
        }
        self.ports
            .store
            .replayed(&RequestScope::Customer(customer.clone()), key)
            .await
            .map_err(|error| status::store(&error))
    }

    /// Checks a create as far as it can be without doing it.
    async fn validate_create(&self, new: &NewTenant) -> Answer<Operation> {
        let (store, failed) = (&self.ports.store, |error| status::store(&error));
        match store.get(&new.name.clone().into()).await {
            Ok(_) => return Err(failed(StoreError::AlreadyExists(new.name.to_string()))),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(failed(error)),
        }
        store.check_domain(&new.name, &new.spec.domain).await.map_err(failed)?;
        if let Some(selector) = &new.hosts {
            let candidates = store.candidates(Some(&new.name.customer)).await.map_err(failed)?;
            if let Choice::Full(why) = choose(&candidates, selector) {
                return Err(failed(StoreError::NoHostClusterCapacity(why)));
            }
        }
        Ok(validated())
    }
}

/// The answer to a request that was checked only.
pub(crate) fn validated() -> Response<Operation> {
    Response::new(Operation { done: true, ..Operation::default() })
}

/// The tenant of a record, which its name has chosen.
fn tenant_of(environment: &Environment) -> Result<&Tenant, Status> {
    environment.tenant().ok_or_else(|| status::store(&StoreError::NotFound(environment.name().to_string())))
}

fn check_etag(tenant: &Environment, etag: &str) -> Result<(), Status> {
    if etag.is_empty() || etag == tenant.etag {
        return Ok(());
    }
    Err(status::store(&StoreError::EtagMismatch { name: tenant.name().to_string() }))
}

fn refuse_unless_empty(violations: Vec<Violation>) -> Result<(), Status> {
    if violations.is_empty() { Ok(()) } else { Err(status::invalid(&Violations(violations))) }
}

#[tonic::async_trait]
impl v1::tenant_service_server::TenantService for Tenants {
    async fn create_tenant(&self, asked: Request<v1::CreateTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let (key, checked) = create::check(&self.ports.catalog, &asked);
        let new = match checked {
            Ok(new) => new,
            Err(violations) => {
                // What was accepted once is answered as it was, though the offer has changed.
                if let Ok(customer) = request::customer(&asked.parent)
                    && let Some(earlier) = self.replayed(&customer, &key).await?
                {
                    return Ok(self.accepted(&earlier));
                }
                return Err(status::invalid(&violations));
            }
        };
        // Told now rather than by a tenant that hangs; what was accepted before is answered as it was.
        if let Some(down) = place::down(&*self.ports.providers, &new.placement)
            && self.replayed(&new.name.customer, &key).await?.is_none()
        {
            return Err(status::provider_down(&down));
        }
        if asked.validate_only {
            return self.validate_create(&new).await;
        }
        let accepted = self.ports.store.create(new).await.map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    async fn explain_placement(
        &self,
        asked: Request<v1::ExplainPlacementRequest>,
    ) -> Answer<v1::ExplainPlacementResponse> {
        Ok(Response::new(place::explain(&self.ports, asked.into_inner()).await?))
    }

    async fn get_tenant(&self, asked: Request<v1::GetTenantRequest>) -> Answer<v1::Tenant> {
        let name = request::tenant_name("name", &asked.into_inner().name)?;
        let environment = self.ports.store.get(&name.into()).await.map_err(|error| status::store(&error))?;
        Ok(Response::new(convert::tenant(&environment, tenant_of(&environment)?)))
    }

    async fn list_tenants(&self, asked: Request<v1::ListTenantsRequest>) -> Answer<v1::ListTenantsResponse> {
        let asked = asked.into_inner();
        let query = list::query(&asked)?;
        let found = self.ports.store.list(&query).await.map_err(|error| status::store(&error))?;
        Ok(Response::new(v1::ListTenantsResponse {
            tenants: found.items.iter().filter_map(|e| e.tenant().map(|tenant| convert::tenant(e, tenant))).collect(),
            next_page_token: page::token(&list::scope(&asked), found.next.as_deref()),
        }))
    }

    async fn update_tenant(&self, asked: Request<v1::UpdateTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let resource = asked.tenant.as_ref();
        let name = request::tenant_name("tenant.name", resource.map_or("", |tenant| &tenant.name))?;
        let etag = resource.map_or("", |tenant| &tenant.etag);
        let mut violations = Vec::new();
        let key = request::key("UpdateTenant", &asked.request_id, &asked, &mut violations);
        if let Some(earlier) = self.replayed(&name.customer, &key).await? {
            return Ok(self.accepted(&earlier));
        }
        let resource_name = EnvironmentName::from(name.clone());
        let mut attempts_left = UPDATE_ATTEMPTS_MAX;
        loop {
            let current = self.ports.store.get(&resource_name).await.map_err(|error| status::store(&error))?;
            let change = update::check(&self.ports.catalog, &current, tenant_of(&current)?, &asked, violations.clone())
                .map_err(|violations| status::invalid(&violations))?;
            check_etag(&current, etag)?;
            if asked.validate_only {
                if current.desired_state == DesiredState::Absent {
                    let error = StoreError::FailedPrecondition(format!("{name} is being deleted"));
                    return Err(status::store(&error));
                }
                return Ok(validated());
            }
            // The change was merged into this version, and no other may be overwritten by it.
            let changed = self
                .ports
                .store
                .change(&resource_name, Some(&current.etag), change, request::context(key.clone()))
                .await;
            match changed {
                Err(StoreError::EtagMismatch { .. }) if etag.is_empty() && attempts_left > 0 => {
                    attempts_left -= 1;
                }
                changed => {
                    let accepted = changed.map_err(|error| status::store(&error))?;
                    return Ok(self.accepted(&accepted));
                }
            }
        }
    }

    async fn delete_tenant(&self, asked: Request<v1::DeleteTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let name = request::tenant_name("name", &asked.name)?;
        let mut violations = Vec::new();
        let key = request::key("DeleteTenant", &asked.request_id, &asked, &mut violations);
        refuse_unless_empty(violations)?;
        if asked.validate_only {
            let tenant = self.ports.store.get(&name.into()).await.map_err(|error| status::store(&error))?;
            check_etag(&tenant, &asked.etag)?;
            if tenant.is_protected() {
                return Err(status::store(&StoreError::DeletionProtected(asked.name)));
            }
            return Ok(validated());
        }
        let etag = (!asked.etag.is_empty()).then(|| asked.etag.clone());
        let delete = DeleteRequest { force: asked.force, etag, request: request::context(key) };
        let accepted = self.ports.store.delete(&name.into(), delete).await.map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    async fn retry_tenant(&self, asked: Request<v1::RetryTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let name = request::tenant_name("name", &asked.name)?;
        let etag = (!asked.etag.is_empty()).then_some(asked.etag.as_str());
        let mut violations = Vec::new();
        let key = request::key("RetryTenant", &asked.request_id, &asked, &mut violations);
        refuse_unless_empty(violations)?;
        let changed = self.ports.store.change(&name.into(), etag, Change::Retry, request::context(key)).await;
        let accepted = changed.map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    type WatchTenantsStream = Pin<Box<dyn Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send>>;

    async fn watch_tenants(&self, asked: Request<v1::WatchTenantsRequest>) -> Answer<Self::WatchTenantsStream> {
        let asked = asked.into_inner();
        let scope = if asked.parent.contains("/tenants/") {
            EventScope::Environment(request::tenant_name("parent", &asked.parent)?.into())
        } else {
            request::customer_or_all(&asked.parent)?.map_or(EventScope::Tenants, EventScope::Customer)
        };
        let query = EventQuery { scope, ..EventQuery::default() };
        let messages = self.watches.open(query, &asked.resume_token).await?;
        let responses = messages.map_ok(|message| v1::WatchTenantsResponse {
            event: message.event.as_deref().map(convert::event),
            resume_token: message.resume_token(),
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_tenant_events(
        &self,
        asked: Request<v1::ListTenantEventsRequest>,
    ) -> Answer<v1::ListTenantEventsResponse> {
        let asked = asked.into_inner();
        let name = request::tenant_name("parent", &asked.parent)?;
        let page = events::page(&self.ports, name.into(), &asked.parent, asked.page_size, &asked.page_token).await?;
        Ok(Response::new(v1::ListTenantEventsResponse {
            events: page.events.iter().map(convert::event).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn move_tenant(&self, asked: Request<v1::MoveTenantRequest>) -> Answer<v1::MoveTenantResponse> {
        let asked = asked.into_inner();
        let name = request::tenant_name("name", &asked.name)?;
        let environment = self.ports.store.get(&name.into()).await.map_err(|error| status::store(&error))?;
        check_etag(&environment, &asked.etag)?;
        let plan = moving::plan(&self.ports.catalog, &environment, tenant_of(&environment)?, &asked)?;
        Ok(Response::new(plan))
    }

    async fn generate_kubeconfig(
        &self,
        asked: Request<v1::GenerateKubeconfigRequest>,
    ) -> Answer<v1::GenerateKubeconfigResponse> {
        let answer = kubeconfig::generate(&self.ports, &asked.into_inner()).await?;
        Ok(Response::new(answer))
    }
}
