//! HostClusterService over the store and the catalog.

mod check;
pub(crate) mod convert;

use std::pin::Pin;

use futures::{Stream, TryStreamExt as _};
use landlord_core::{
    Environment, EnvironmentName, HostCluster, HostClusterId, Violations,
    ports::{
        Accepted, Change, DeleteRequest, EnvironmentQuery, EventQuery, EventScope, NewHostCluster, Owners, RequestKey,
        RequestScope, StoreError,
    },
};
use landlord_proto::{google::longrunning::Operation, v1};
use tonic::{Request, Response, Status};

use crate::{Ports, convert as tenants, events, page, place, request, status, watch::Watches};

/// HostClusterService.
pub(crate) struct Hosts {
    pub(crate) ports: Ports,
    pub(crate) watches: Watches,
}

type Answer<T> = Result<Response<T>, Status>;

/// `hostClusters/{host_cluster}`.
pub(crate) fn id(field: &str, name: &str) -> Result<HostClusterId, Status> {
    let malformed =
        || status::invalid_field(field, format!("{name:?} must have the form hostClusters/{{host_cluster}}"));
    let id = name.strip_prefix("hostClusters/").ok_or_else(malformed)?;
    id.parse().map_err(|error| status::invalid_name(field, &error))
}

fn refuse_unless_empty(violations: Vec<landlord_core::Violation>) -> Result<(), Status> {
    if violations.is_empty() { Ok(()) } else { Err(status::invalid(&Violations(violations))) }
}

fn failed(error: StoreError) -> Status {
    status::store(&error)
}

/// The host cluster of a record, which its name has chosen.
fn host_of(record: &Environment) -> Result<&HostCluster, Status> {
    record.host_cluster().ok_or_else(|| failed(StoreError::NotFound(record.name().to_string())))
}

impl Hosts {
    fn accepted(&self, accepted: &Accepted) -> Response<Operation> {
        if !accepted.replayed {
            self.ports.wake.wake();
        }
        Response::new(tenants::operation(&accepted.operation, accepted.environment.as_ref()))
    }

    async fn find(&self, id: &HostClusterId) -> Result<Environment, Status> {
        self.ports.store.get(&id.clone().into()).await.map_err(failed)
    }

    /// A record as clients see it, with who lives there now.
    async fn shown(&self, record: &Environment) -> Result<v1::HostCluster, Status> {
        let candidates = self.ports.store.candidates(None).await.map_err(failed)?;
        let candidate = candidates.iter().find(|candidate| candidate.host.uid == record.uid);
        Ok(convert::host_cluster(record, host_of(record)?, candidate))
    }

    /// Accepts what was checked, or says that it could be accepted.
    async fn create(
        &self,
        key: RequestKey,
        checked: Result<NewHostCluster, Violations>,
        validate_only: bool,
    ) -> Answer<Operation> {
        let new = match checked {
            Ok(new) => new,
            Err(violations) => {
                // What was accepted once is answered as it was, though the offer has changed.
                if let Some(earlier) = self.replayed(&key).await? {
                    return Ok(self.accepted(&earlier));
                }
                return Err(status::invalid(&violations));
            }
        };
        if let Some(down) = place::down(&*self.ports.providers, &new.placement)
            && self.replayed(&key).await?.is_none()
        {
            return Err(status::provider_down(&down));
        }
        if validate_only {
            let name = EnvironmentName::from(new.id.clone());
            return match self.ports.store.get(&name).await {
                Ok(_) => Err(failed(StoreError::AlreadyExists(name.to_string()))),
                Err(StoreError::NotFound(_)) => Ok(crate::tenant::validated()),
                Err(error) => Err(failed(error)),
            };
        }
        Ok(self.accepted(&self.ports.store.create_host_cluster(new).await.map_err(failed)?))
    }

    async fn replayed(&self, key: &RequestKey) -> Result<Option<Accepted>, Status> {
        if key.request_id.is_none() {
            return Ok(None);
        }
        self.ports.store.replayed(&RequestScope::HostClusters, key).await.map_err(failed)
    }
}

#[tonic::async_trait]
impl v1::host_cluster_service_server::HostClusterService for Hosts {
    async fn create_host_cluster(&self, asked: Request<v1::CreateHostClusterRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let (key, checked) = check::create(&self.ports.catalog, &asked);
        self.create(key, checked, asked.validate_only).await
    }

    async fn adopt_host_cluster(&self, asked: Request<v1::AdoptHostClusterRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let (key, checked) = check::adopt(&self.ports.catalog, &asked);
        self.create(key, checked, asked.validate_only).await
    }

    async fn get_host_cluster(&self, asked: Request<v1::GetHostClusterRequest>) -> Answer<v1::HostCluster> {
        let record = self.find(&id("name", &asked.into_inner().name)?).await?;
        Ok(Response::new(self.shown(&record).await?))
    }

    async fn list_host_clusters(
        &self,
        asked: Request<v1::ListHostClustersRequest>,
    ) -> Answer<v1::ListHostClustersResponse> {
        let asked = asked.into_inner();
        let scope = "host clusters";
        let query = EnvironmentQuery {
            owners: Owners::HostClusters,
            after: page::position(scope, &asked.page_token)?,
            limit: page::size(asked.page_size)?,
            ..EnvironmentQuery::default()
        };
        let found = self.ports.store.list(&query).await.map_err(failed)?;
        let candidates = self.ports.store.candidates(None).await.map_err(failed)?;
        let shown = |record: &Environment| {
            let candidate = candidates.iter().find(|candidate| candidate.host.uid == record.uid);
            record.host_cluster().map(|host| convert::host_cluster(record, host, candidate))
        };
        Ok(Response::new(v1::ListHostClustersResponse {
            host_clusters: found.items.iter().filter_map(shown).collect(),
            next_page_token: page::token(scope, found.next.as_deref()),
        }))
    }

    async fn cordon_host_cluster(&self, asked: Request<v1::CordonHostClusterRequest>) -> Answer<v1::HostCluster> {
        let asked = asked.into_inner();
        self.cordon(&asked.name, &asked.etag, true).await
    }

    async fn uncordon_host_cluster(&self, asked: Request<v1::UncordonHostClusterRequest>) -> Answer<v1::HostCluster> {
        let asked = asked.into_inner();
        self.cordon(&asked.name, &asked.etag, false).await
    }

    type WatchHostClustersStream = Pin<Box<dyn Stream<Item = Result<v1::WatchHostClustersResponse, Status>> + Send>>;

    async fn watch_host_clusters(
        &self,
        asked: Request<v1::WatchHostClustersRequest>,
    ) -> Answer<Self::WatchHostClustersStream> {
        let asked = asked.into_inner();
        let scope = match asked.name.as_str() {
            "" => EventScope::HostClusters,
            name => EventScope::Environment(id("name", name)?.into()),
        };
        let query = EventQuery { scope, ..EventQuery::default() };
        let messages = self.watches.open(query, &asked.resume_token).await?;
        let responses = messages.map_ok(|message| v1::WatchHostClustersResponse {
            event: message.event.as_deref().map(convert::event),
            resume_token: message.resume_token(),
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_host_cluster_events(
        &self,
        asked: Request<v1::ListHostClusterEventsRequest>,
    ) -> Answer<v1::ListHostClusterEventsResponse> {
        let asked = asked.into_inner();
        let name = id("parent", &asked.parent)?.into();
        let page = events::page(&self.ports, name, &asked.parent, asked.page_size, &asked.page_token).await?;
        Ok(Response::new(v1::ListHostClusterEventsResponse {
            events: page.events.iter().map(convert::event).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn retry_host_cluster(&self, asked: Request<v1::RetryHostClusterRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let name = id("name", &asked.name)?.into();
        let etag = (!asked.etag.is_empty()).then_some(asked.etag.as_str());
        let mut violations = Vec::new();
        let key = request::key("RetryHostCluster", &asked.request_id, &asked, &mut violations);
        refuse_unless_empty(violations)?;
        let changed =
            self.ports.store.change(&name, etag, Change::Retry, request::context(key)).await.map_err(failed)?;
        Ok(self.accepted(&changed))
    }

    async fn delete_host_cluster(&self, asked: Request<v1::DeleteHostClusterRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let id = id("name", &asked.name)?;
        let mut violations = Vec::new();
        let key = request::key("DeleteHostCluster", &asked.request_id, &asked, &mut violations);
        refuse_unless_empty(violations)?;
        if asked.validate_only {
            return self.validate_delete(&id, &asked.etag).await;
        }
        let etag = (!asked.etag.is_empty()).then(|| asked.etag.clone());
        let delete = DeleteRequest { force: asked.force, etag, request: request::context(key) };
        let accepted = self.ports.store.delete(&id.into(), delete).await.map_err(failed)?;
        Ok(self.accepted(&accepted))
    }
}

impl Hosts {
    async fn cordon(&self, name: &str, etag: &str, cordoned: bool) -> Answer<v1::HostCluster> {
        let id = id("name", name)?;
        let etag = (!etag.is_empty()).then_some(etag);
        let record = self
            .ports
            .store
            .cordon(&id, etag, cordoned, landlord_core::ports::RequestContext::of_daemon())
            .await
            .map_err(failed)?;
        Ok(Response::new(self.shown(&record).await?))
    }

    async fn validate_delete(&self, id: &HostClusterId, etag: &str) -> Answer<Operation> {
        let record = self.find(id).await?;
        let name = record.name().to_string();
        if !etag.is_empty() && etag != record.etag {
            return Err(failed(StoreError::EtagMismatch { name }));
        }
        if record.is_protected() {
            return Err(failed(StoreError::DeletionProtected(name)));
        }
        let query = EnvironmentQuery {
            owners: Owners::Tenants { customer: None, host_cluster: Some(id.clone()) },
            limit: 1,
            ..EnvironmentQuery::default()
        };
        let inside = self.ports.store.list(&query).await.map_err(failed)?;
        match inside.items.first() {
            Some(tenant) => Err(failed(StoreError::HostInUse { name, tenants: format!("{}, …", tenant.name()) })),
            None => Ok(crate::tenant::validated()),
        }
    }
}
