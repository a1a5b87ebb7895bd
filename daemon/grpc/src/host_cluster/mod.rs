//! HostClusterService over the store and the catalog.

mod lifecycle;
mod list;
mod order;
mod revision;

use std::pin::Pin;

use futures::{Stream, TryStreamExt as _};
use landlord_core::{
    Environment, HostCluster, Precondition, Violation,
    ports::{EventQuery, EventScope, RequestContext, StoreError},
};
use landlord_proto::{google::longrunning::Operation, v1};
use tonic::{Request, Response, Status};

use crate::{
    accept,
    access::Access,
    context, convert,
    error::Error,
    list::{
        environment::{Listed, class_differences},
        events,
    },
    name,
    ports::Ports,
    watch::{self, Watches},
};

/// HostClusterService.
pub(crate) struct HostClusters {
    pub(crate) ports: Ports,
    pub(crate) watches: Watches,
}

type Rpc<T> = Result<Response<T>, Status>;

/// The host cluster of a record, which its name has chosen.
fn host_cluster_of(record: &Environment) -> Result<&HostCluster, StoreError> {
    record.host_cluster().ok_or_else(|| StoreError::NotFound(record.name().to_string()))
}

/// Which events a watch is about.
fn watched(name: &str) -> Result<EventScope, Error> {
    match name {
        "" => Ok(EventScope::HostClusters),
        name => Ok(EventScope::Environment(name::host_cluster("name", name)?.into())),
    }
}

impl HostClusters {
    /// As the caller of a request may use it.
    fn guarded<M>(&self, request: &Request<M>) -> Result<Self, Error> {
        let ports = Access::of(request.extensions())?.guard(&self.ports);
        Ok(Self { ports, watches: self.watches.clone() })
    }

    /// A record as clients see it, with who lives there now.
    async fn shown(&self, record: &Environment) -> Result<v1::HostCluster, Error> {
        let candidates = self.ports.store.candidates(None).await?;
        let candidate = candidates.iter().find(|candidate| candidate.host.uid == record.uid);
        let class_differences = class_differences(&self.ports.catalog.now(), record);
        let shown = convert::host_cluster(record, host_cluster_of(record)?, candidate);
        Ok(v1::HostCluster { class_differences, ..shown })
    }

    async fn get(&self, name: &str) -> Result<v1::HostCluster, Error> {
        let record = self.ports.store.get(&name::host_cluster("name", name)?.into()).await?;
        self.shown(&record).await
    }

    async fn list(&self, request: &v1::ListHostClustersRequest) -> Result<v1::ListHostClustersResponse, Error> {
        let (found, next_page_token) = list::page(&self.ports, request).await?;
        let candidates = self.ports.store.candidates(None).await?;
        let shown = |Listed { environment: record, class_differences }: Listed| {
            let candidate = candidates.iter().find(|candidate| candidate.host.uid == record.uid);
            let shown = convert::host_cluster(&record, record.host_cluster()?, candidate);
            Some(v1::HostCluster { class_differences, ..shown })
        };
        let host_clusters = found.into_iter().filter_map(shown).collect();
        Ok(v1::ListHostClustersResponse { host_clusters, next_page_token })
    }

    async fn cordon(
        &self,
        name: &str,
        etag: &str,
        cordoned: bool,
        (context, violations): (RequestContext, Vec<Violation>),
    ) -> Result<v1::HostCluster, Error> {
        Error::unless_empty(violations)?;
        let id = name::host_cluster("name", name)?;
        let record = self.ports.store.cordon(&id, Precondition::of_etag(etag), cordoned, context).await?;
        self.shown(&record).await
    }
}

#[tonic::async_trait]
impl v1::host_cluster_service_server::HostClusterService for HostClusters {
    async fn create_host_cluster(&self, request: Request<v1::CreateHostClusterRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn adopt_host_cluster(&self, request: Request<v1::AdoptHostClusterRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn get_host_cluster(&self, request: Request<v1::GetHostClusterRequest>) -> Rpc<v1::HostCluster> {
        Ok(Response::new(self.guarded(&request)?.get(&request.get_ref().name).await?))
    }

    async fn list_host_clusters(
        &self,
        request: Request<v1::ListHostClustersRequest>,
    ) -> Rpc<v1::ListHostClustersResponse> {
        Ok(Response::new(self.guarded(&request)?.list(request.get_ref()).await?))
    }

    async fn cordon_host_cluster(&self, request: Request<v1::CordonHostClusterRequest>) -> Rpc<v1::HostCluster> {
        let guarded = self.guarded(&request)?;
        let mut violations = Vec::new();
        let context = context::of("CordonHostCluster", &request, &request.get_ref().request_id, &mut violations);
        let request = request.into_inner();
        Ok(Response::new(guarded.cordon(&request.name, &request.etag, true, (context, violations)).await?))
    }

    async fn uncordon_host_cluster(&self, request: Request<v1::UncordonHostClusterRequest>) -> Rpc<v1::HostCluster> {
        let guarded = self.guarded(&request)?;
        let mut violations = Vec::new();
        let context = context::of("UncordonHostCluster", &request, &request.get_ref().request_id, &mut violations);
        let request = request.into_inner();
        Ok(Response::new(guarded.cordon(&request.name, &request.etag, false, (context, violations)).await?))
    }

    type WatchHostClustersStream = Pin<Box<dyn Stream<Item = Result<v1::WatchHostClustersResponse, Status>> + Send>>;

    async fn watch_host_clusters(
        &self,
        request: Request<v1::WatchHostClustersRequest>,
    ) -> Rpc<Self::WatchHostClustersStream> {
        let access = Access::of(request.extensions())?;
        let request = request.into_inner();
        let query = EventQuery { scope: watched(&request.name)?, ..EventQuery::default() };
        let messages = watch::open(&self.watches, query, &request.resume_token, access, &self.ports).await?;
        let tokens = self.ports.tokens.clone();
        let responses = messages.map_err(Status::from).map_ok(move |message| v1::WatchHostClustersResponse {
            event: message.event.as_deref().map(convert::host_cluster_event),
            resume_token: message.resume_token(&tokens),
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_host_cluster_events(
        &self,
        request: Request<v1::ListHostClusterEventsRequest>,
    ) -> Rpc<v1::ListHostClusterEventsResponse> {
        let ports = self.guarded(&request)?.ports;
        let request = request.into_inner();
        let name = name::host_cluster("parent", &request.parent).map_err(Error::from)?;
        let chosen = (request.parent.as_str(), request.filter.as_str());
        let page = (request.page_size, request.page_token.as_str());
        let page = events::page(&ports, name.into(), chosen, page).await?;
        Ok(Response::new(v1::ListHostClusterEventsResponse {
            events: page.events.iter().map(convert::host_cluster_event).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn retry_host_cluster(&self, request: Request<v1::RetryHostClusterRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn update_host_cluster_revision(
        &self,
        request: Request<v1::UpdateHostClusterRevisionRequest>,
    ) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }

    async fn delete_host_cluster(&self, request: Request<v1::DeleteHostClusterRequest>) -> Rpc<Operation> {
        accept::run(&self.ports, request).await
    }
}
