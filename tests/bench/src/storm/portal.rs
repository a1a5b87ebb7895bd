//! A portal that survives the daemon: each request is repeated, with its request id, until it gets a response.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use landlord_proto::v1::{GetTenantRequest, ListTenantsRequest, Tenant, tenant_service_client::TenantServiceClient};
use landlord_test_harness::client;
use tonic::{Code, Status, transport::Channel};

/// Client of the tenants' service.
pub(crate) type Client = TenantServiceClient<Channel>;

/// A single try; a daemon that is stopped responds when it goes on.
const TRY_TIMEOUT: Duration = Duration::from_secs(15);
/// Until a daemon that was killed listens again, on a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(180);
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Of one page.
const PAGE_SIZE: i32 = 500;

/// Requests to the daemon on a socket.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    socket: PathBuf,
}

/// Whether nobody knows what became of a request.
fn is_unanswered(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal | Code::Aborted
    )
}

impl Portal {
    /// Of the daemon that listens on `socket`.
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// A new connection.
    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        client::connect(&self.socket).await
    }

    /// Repeats `send` until it gets a response.
    ///
    /// # Errors
    /// The response, if it is a refusal; the last failure, if there was none for long.
    pub(crate) async fn call<T, F>(&self, send: impl Fn(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        loop {
            let tried = tokio::time::timeout(TRY_TIMEOUT, async {
                let channel = self.channel().await.map_err(|error| Status::unavailable(format!("{error:#}")))?;
                send(Client::new(channel)).await
            });
            let result = tried.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no response in time")));
            match result {
                Err(status) if is_unanswered(&status) && Instant::now() < deadline => {}
                other => return other,
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// A tenant, if there is one.
    ///
    /// # Errors
    /// Anything but its absence.
    pub(crate) async fn tenant(&self, name: &str) -> Result<Option<Tenant>, Status> {
        let request = GetTenantRequest { name: name.to_owned() };
        match self
            .call(|mut client| {
                let request = request.clone();
                async move { client.get_tenant(request).await }
            })
            .await
        {
            Ok(response) => Ok(Some(response.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// All tenants, in one try.
    ///
    /// # Errors
    /// No response.
    pub(crate) async fn tenants(&self) -> anyhow::Result<Vec<Tenant>> {
        let mut client = Client::new(self.channel().await?);
        let request =
            ListTenantsRequest { parent: "customers/-".into(), page_size: PAGE_SIZE, ..ListTenantsRequest::default() };
        Ok(tokio::time::timeout(TRY_TIMEOUT, client.list_tenants(request)).await??.into_inner().tenants)
    }
}
