//! google.longrunning.Operations over the store.

mod list;

use std::time::Duration;

use landlord_core::{
    OperationId, OperationOutcome,
    ports::{EventQuery, EventScope},
};
use landlord_proto::google::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse,
    Operation, WaitOperationRequest, operations_server::Operations,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{
    access::Access,
    context, convert,
    displayed::Displayed,
    error::{Error, violation},
    listen::CALL_TIMEOUT,
    name,
    ports::Ports,
};

/// The end of an operation is announced by an event; it is searched for this often in case one is missed.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait of one call, which is answered before it is ended; a client that wants more calls again.
const WAIT_MAX: Duration = CALL_TIMEOUT.saturating_sub(Duration::from_secs(10));

/// google.longrunning.Operations.
pub(crate) struct LongRunning {
    pub(crate) ports: Ports,
    pub(crate) stop: tokio_util::sync::CancellationToken,
}

/// The same as one caller may use it.
struct Guarded {
    ports: Ports,
    stop: tokio_util::sync::CancellationToken,
    access: Access,
}

type Rpc<T> = Result<Response<T>, Status>;

impl LongRunning {
    /// As the caller of a request may use it.
    fn guarded<M>(&self, request: &Request<M>) -> Result<Guarded, Error> {
        let access = Access::of(request.extensions())?;
        Ok(Guarded { ports: access.guard(&self.ports), stop: self.stop.clone(), access })
    }
}

impl Guarded {
    async fn read(&self, id: OperationId) -> Result<Operation, Error> {
        let store = &self.ports.store;
        let operation = store.operation(id).await?;
        let current = match operation.outcome {
            // Whoever may read the operation may read what it made.
            None | Some(OperationOutcome::Ready) => store.get(&operation.name).await.ok(),
            _ => None,
        };
        let current = match current.filter(|environment| environment.uid == operation.uid) {
            Some(environment) => Some(Displayed::to(&self.access).record(environment).await?),
            None => None,
        };
        Ok(convert::operation(&operation, current.as_ref()))
    }

    async fn list(&self, request: &ListOperationsRequest) -> Result<ListOperationsResponse, Error> {
        let (operations, next_page_token) = list::page(&self.ports, request).await?;
        let operations = operations.iter().map(|operation| convert::operation(operation, None)).collect();
        Ok(ListOperationsResponse { operations, next_page_token, ..Default::default() })
    }

    async fn cancel(&self, request: &Request<CancelOperationRequest>) -> Result<(), Error> {
        let id = name::operation(&request.get_ref().name)?;
        let context = context::of("CancelOperation", request, "", &mut Vec::new());
        self.ports.store.cancel(id, context).await?;
        self.ports.wake.wake();
        Ok(())
    }

    async fn wait(&self, request: &WaitOperationRequest) -> Result<Operation, Error> {
        let id = name::operation(&request.name)?;
        let timeout = match request.timeout.map(Duration::try_from) {
            None => WAIT_MAX,
            Some(Ok(timeout)) => timeout.min(WAIT_MAX),
            Some(Err(_)) => return Err(violation("timeout", "must not be negative").into()),
        };
        let deadline = Instant::now() + timeout;
        let store = &self.ports.store;
        let name = store.operation(id).await?.name;
        // Known before the operation is read, so that no event falls between.
        let mut after_seq = store.newest_event().await?;
        loop {
            let operation = self.read(id).await?;
            if operation.done || Instant::now() >= deadline {
                return Ok(operation);
            }
            let query = EventQuery { after_seq, scope: EventScope::Environment(name.clone()), ..EventQuery::default() };
            let poll = deadline.min(Instant::now() + POLL_INTERVAL);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(operation),
                position = store.wait_for_event(&query) => after_seq = position,
                () = tokio::time::sleep_until(poll) => {}
            }
        }
    }
}

#[tonic::async_trait]
impl Operations for LongRunning {
    async fn get_operation(&self, request: Request<GetOperationRequest>) -> Rpc<Operation> {
        let id = name::operation(&request.get_ref().name).map_err(Error::from)?;
        Ok(Response::new(self.guarded(&request)?.read(id).await?))
    }

    async fn list_operations(&self, request: Request<ListOperationsRequest>) -> Rpc<ListOperationsResponse> {
        Ok(Response::new(self.guarded(&request)?.list(request.get_ref()).await?))
    }

    async fn delete_operation(&self, request: Request<DeleteOperationRequest>) -> Rpc<()> {
        // Whether it exists is reported only to whoever may know it.
        let id = name::operation(&request.get_ref().name).map_err(Error::from)?;
        self.guarded(&request)?.ports.store.operation(id).await.map_err(Error::from)?;
        Err(Error::Unimplemented("operations are records of what was done; they can't be deleted").into())
    }

    async fn cancel_operation(&self, request: Request<CancelOperationRequest>) -> Rpc<()> {
        self.guarded(&request)?.cancel(&request).await?;
        Ok(Response::new(()))
    }

    async fn wait_operation(&self, request: Request<WaitOperationRequest>) -> Rpc<Operation> {
        Ok(Response::new(self.guarded(&request)?.wait(request.get_ref()).await?))
    }
}
