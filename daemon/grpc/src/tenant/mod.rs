//! TenantService over the store and the catalog.

mod access;
mod create;
mod diff;
mod explain;
mod kubeconfig;
mod lifecycle;
mod list;
pub(crate) mod logs;
mod mask;
mod move_plan;
mod record;
mod revision;
mod update;
mod values;
mod verify;

use std::pin::Pin;

use futures::{Stream, TryStreamExt as _};
use landlord_core::{
    Precondition,
    lifecycle::check_precondition,
    ports::{EventQuery, EventScope, StoreError},
};
use landlord_proto::{google::longrunning::Operation, v1};
use tonic::{Request, Response, Status};

use self::record::tenant_of;
use crate::{
    accept,
    access::Access,
    context, convert, customer,
    displayed::Displayed,
    error::Error,
    list::{
        environment::{Listed, class_differences},
        events,
    },
    name,
    ports::Ports,
    watch::{self, Watches},
};

/// TenantService.
pub(crate) struct Tenants {
    pub(crate) ports: Ports,
    pub(crate) watches: Watches,
    pub(crate) readers: logs::Readers,
}

type Rpc<T> = Result<Response<T>, Status>;

impl Tenants {
    /// The caller of a request, and this as it may use it.
    fn guarded<M>(&self, request: &Request<M>) -> Result<(Access, Self), Error> {
        let access = Access::of(request.extensions())?;
        let ports = access.guard(&self.ports);
        Ok((access, Self { ports, watches: self.watches.clone(), readers: self.readers.clone() }))
    }

    async fn get(&self, access: &Access, request: &v1::GetTenantRequest) -> Result<v1::Tenant, Error> {
        let environment = self.ports.store.get(&name::tenant("name", &request.name)?.into()).await?;
        let class_differences = class_differences(&self.ports.catalog.now(), &environment);
        let environment = Displayed::to(access).record(environment).await?;
        Ok(v1::Tenant { class_differences, ..convert::tenant(&environment, tenant_of(&environment)?) })
    }

    async fn list(&self, access: &Access, request: &v1::ListTenantsRequest) -> Result<v1::ListTenantsResponse, Error> {
        let (found, next_page_token) = list::page(&self.ports, access, request).await?;
        let shown = |Listed { environment, class_differences }: Listed| {
            let tenant = convert::tenant(&environment, environment.tenant()?);
            Some(v1::Tenant { class_differences, ..tenant })
        };
        Ok(v1::ListTenantsResponse { tenants: found.into_iter().filter_map(shown).collect(), next_page_token })
    }

    async fn plan_move(
        &self,
        access: &Access,
        request: &Request<v1::MoveTenantRequest>,
    ) -> Result<v1::MoveTenantResponse, Error> {
        let mut violations = Vec::new();
        context::of("MoveTenant", request, &request.get_ref().request_id, &mut violations);
        Error::unless_empty(violations)?;
        let request = request.get_ref();
        let environment = self.ports.store.get(&name::tenant("name", &request.name)?.into()).await?;
        check_precondition(&environment, &Precondition::of_etag(&request.etag)).map_err(StoreError::from)?;
        let tenant = tenant_of(&environment)?;
        let labels = customer::labels(&self.ports, &tenant.name.customer).await?;
        let planned = move_plan::plan(&self.ports.catalog.now(), &environment, (tenant, &labels), request)?;
        let mut displayed = Displayed::to(access);
        let destination = displayed.placement(planned.destination.clone());
        Ok(planned.response(&displayed.record(environment).await?, &destination))
    }
}

/// Which events a watch is about.
fn watched(parent: &str) -> Result<EventScope, Error> {
    if parent.contains("/tenants/") {
        return Ok(EventScope::Environment(name::tenant("parent", parent)?.into()));
    }
    Ok(name::customer_or_all(parent)?.map_or(EventScope::Tenants, EventScope::Customer))
}

#[tonic::async_trait]
impl v1::tenant_service_server::TenantService for Tenants {
    async fn create_tenant(&self, request: Request<v1::CreateTenantRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn explain_placement(
        &self,
        request: Request<v1::ExplainPlacementRequest>,
    ) -> Rpc<v1::ExplainPlacementResponse> {
        let access = Access::of(request.extensions())?;
        Ok(Response::new(explain::explain(&self.ports, &access, request.into_inner()).await?))
    }

    async fn get_tenant(&self, request: Request<v1::GetTenantRequest>) -> Rpc<v1::Tenant> {
        let (access, tenants) = self.guarded(&request)?;
        Ok(Response::new(tenants.get(&access, request.get_ref()).await?))
    }

    async fn list_tenants(&self, request: Request<v1::ListTenantsRequest>) -> Rpc<v1::ListTenantsResponse> {
        let (access, tenants) = self.guarded(&request)?;
        Ok(Response::new(tenants.list(&access, request.get_ref()).await?))
    }

    async fn update_tenant(&self, request: Request<v1::UpdateTenantRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn update_tenant_revision(&self, request: Request<v1::UpdateTenantRevisionRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn delete_tenant(&self, request: Request<v1::DeleteTenantRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn retry_tenant(&self, request: Request<v1::RetryTenantRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    type WatchTenantsStream = Pin<Box<dyn Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send>>;

    async fn watch_tenants(&self, request: Request<v1::WatchTenantsRequest>) -> Rpc<Self::WatchTenantsStream> {
        let access = Access::of(request.extensions())?;
        let request = request.into_inner();
        let query = EventQuery { scope: watched(&request.parent)?, ..EventQuery::default() };
        let messages = watch::open(&self.watches, query, &request.resume_token, access, &self.ports).await?;
        let tokens = self.ports.tokens.clone();
        let responses = messages.map_err(Status::from).map_ok(move |message| v1::WatchTenantsResponse {
            event: message.event.as_deref().map(convert::tenant_event),
            resume_token: message.resume_token(&tokens),
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_tenant_events(
        &self,
        request: Request<v1::ListTenantEventsRequest>,
    ) -> Rpc<v1::ListTenantEventsResponse> {
        let (_, Self { ports, .. }) = self.guarded(&request)?;
        let request = request.into_inner();
        let name = name::tenant("parent", &request.parent).map_err(Error::from)?;
        let chosen = (request.parent.as_str(), request.filter.as_str());
        let page = (request.page_size, request.page_token.as_str());
        let page = events::page(&ports, name.into(), chosen, page).await?;
        Ok(Response::new(v1::ListTenantEventsResponse {
            events: page.events.iter().map(convert::tenant_event).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn move_tenant(&self, request: Request<v1::MoveTenantRequest>) -> Rpc<v1::MoveTenantResponse> {
        let (access, tenants) = self.guarded(&request)?;
        Ok(Response::new(tenants.plan_move(&access, &request).await?))
    }

    async fn generate_kubeconfig(
        &self,
        request: Request<v1::GenerateKubeconfigRequest>,
    ) -> Rpc<v1::GenerateKubeconfigResponse> {
        let (access, Self { ports, .. }) = self.guarded(&request)?;
        Ok(Response::new(kubeconfig::generate(&ports, &access, request.get_ref()).await?))
    }

    async fn verify_tenant(&self, request: Request<v1::VerifyTenantRequest>) -> Rpc<v1::VerifyTenantResponse> {
        let (_, Self { ports, .. }) = self.guarded(&request)?;
        Ok(Response::new(verify::verify(&ports, request.get_ref()).await?))
    }

    async fn diff_tenant(&self, request: Request<v1::DiffTenantRequest>) -> Rpc<v1::DiffTenantResponse> {
        let (_, Self { ports, .. }) = self.guarded(&request)?;
        Ok(Response::new(diff::diff(&ports, request.get_ref()).await?))
    }

    type GetTenantLogsStream = Pin<Box<dyn Stream<Item = Result<v1::GetTenantLogsResponse, Status>> + Send>>;

    async fn get_tenant_logs(&self, request: Request<v1::GetTenantLogsRequest>) -> Rpc<Self::GetTenantLogsStream> {
        let (access, Self { ports, watches, readers }) = self.guarded(&request)?;
        let lines = logs::open(ports, &access, &watches, &readers, request.get_ref()).await?;
        Ok(Response::new(Box::pin(lines.map_err(Status::from))))
    }

    async fn get_tenant_access(
        &self,
        request: Request<v1::GetTenantAccessRequest>,
    ) -> Rpc<v1::GetTenantAccessResponse> {
        let (access, Self { ports, .. }) = self.guarded(&request)?;
        Ok(Response::new(access::get(&ports, &access, request.get_ref()).await?))
    }

    async fn rotate_tenant_credentials(
        &self,
        request: Request<v1::RotateTenantCredentialsRequest>,
    ) -> Rpc<v1::RotateTenantCredentialsResponse> {
        let (access, Self { ports, .. }) = self.guarded(&request)?;
        Ok(Response::new(access::rotate(&ports, &access, &request).await?))
    }
}
