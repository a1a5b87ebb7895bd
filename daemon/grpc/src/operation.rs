//! google.longrunning.Operations over the store.

use std::time::Duration;

use landlord_core::{
    EnvironmentName, OperationId,
    ports::{EventQuery, EventScope, OperationQuery},
};
use landlord_proto::google::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse,
    Operation, WaitOperationRequest, operations_server::Operations,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{Ports, convert, filter, host, page, request, status};

/// The end of an operation is announced by an event; it is looked for this often in case one is missed.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait of one call; a client that wants more calls again.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// google.longrunning.Operations.
pub(crate) struct LongRunning {
    pub(crate) ports: Ports,
    pub(crate) stop: tokio_util::sync::CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

fn id(name: &str) -> Result<OperationId, Status> {
    let form = || status::invalid_field("name", format!("{name:?} must have the form operations/{{uuid}}"));
    name.strip_prefix("operations/").ok_or_else(form)?.parse().map_err(|_| form())
}

impl LongRunning {
    async fn read(&self, id: OperationId) -> Result<Operation, Status> {
        let store = &self.ports.store;
        let operation = store.operation(id).await.map_err(|error| status::store(&error))?;
        let tenant = match operation.outcome {
            Some(landlord_core::OperationOutcome::Ready) => store.get(&operation.name).await.ok(),
            _ => None,
        };
        let tenant = tenant.filter(|tenant| tenant.uid == operation.uid);
        Ok(convert::operation(&operation, tenant.as_ref()))
    }
}

#[tonic::async_trait]
impl Operations for LongRunning {
    async fn get_operation(&self, asked: Request<GetOperationRequest>) -> Answer<Operation> {
        self.read(id(&asked.into_inner().name)?).await.map(Response::new)
    }

    async fn list_operations(&self, asked: Request<ListOperationsRequest>) -> Answer<ListOperationsResponse> {
        let asked = asked.into_inner();
        let mut filter = filter::parse(&asked.filter, &["tenant", "host_cluster", "done"])?;
        if !["", "operations"].contains(&asked.name.as_str()) {
            return Err(status::invalid_field("name", format!("{:?} must be \"operations\"", asked.name)));
        }
        let done = match filter::one(&mut filter, "done")?.as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                return Err(status::invalid_field("filter", format!("done = {other:?}: must be true or false")));
            }
        };
        let tenant =
            filter::one(&mut filter, "tenant")?.map(|name| request::tenant_name("filter", &name)).transpose()?;
        let host = filter::one(&mut filter, "host_cluster")?.map(|name| host::id("filter", &name)).transpose()?;
        if tenant.is_some() && host.is_some() {
            return Err(status::invalid_field("filter", "an operation is about a tenant or about a host cluster"));
        }
        let name = tenant.map(EnvironmentName::from).or_else(|| host.map(EnvironmentName::from));
        let scope = format!("operations {}", asked.filter);
        let query = OperationQuery {
            name,
            done,
            after: page::position(&scope, &asked.page_token)?,
            limit: page::size(asked.page_size)?,
        };
        let found = self.ports.store.operations(&query).await.map_err(|error| status::store(&error))?;
        Ok(Response::new(ListOperationsResponse {
            operations: found.items.iter().map(|o| convert::operation(o, None)).collect(),
            next_page_token: page::token(&scope, found.next.as_deref()),
            ..Default::default()
        }))
    }

    async fn delete_operation(&self, _: Request<DeleteOperationRequest>) -> Answer<()> {
        Err(status::unimplemented("operations are records of what was done; they can't be deleted"))
    }

    async fn cancel_operation(&self, asked: Request<CancelOperationRequest>) -> Answer<()> {
        let id = id(&asked.into_inner().name)?;
        self.ports
            .store
            .cancel(id, landlord_core::ports::RequestContext::of_daemon())
            .await
            .map_err(|error| status::store(&error))?;
        self.ports.wake.wake();
        Ok(Response::new(()))
    }

    async fn wait_operation(&self, asked: Request<WaitOperationRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let id = id(&asked.name)?;
        let timeout = match asked.timeout.map(Duration::try_from) {
            None => WAIT_MAX,
            Some(Ok(timeout)) => timeout.min(WAIT_MAX),
            Some(Err(_)) => return Err(status::invalid_field("timeout", "must not be negative")),
        };
        let deadline = Instant::now() + timeout;
        let store = &self.ports.store;
        let name = store.operation(id).await.map_err(|error| status::store(&error))?.name;
        // Known before the operation is read, so that no event falls between.
        let mut after_seq = store.newest_event().await.map_err(|error| status::store(&error))?;
        loop {
            let operation = self.read(id).await?;
            if operation.done || Instant::now() >= deadline {
                return Ok(Response::new(operation));
            }
            let query = EventQuery { after_seq, scope: EventScope::Environment(name.clone()), ..EventQuery::default() };
            let poll = deadline.min(Instant::now() + POLL_INTERVAL);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(Response::new(operation)),
                position = store.wait_for_event(&query) => after_seq = position,
                () = tokio::time::sleep_until(poll) => {}
            }
        }
    }
}
