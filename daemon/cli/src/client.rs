//! Reaching the daemon.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use landlord_proto::{
    google::longrunning::operations_client::OperationsClient,
    v1::{
        host_cluster_service_client::HostClusterServiceClient, provider_service_client::ProviderServiceClient,
        tenant_service_client::TenantServiceClient,
    },
};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::error::Error;

/// A daemon that does not accept by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A page of a thousand tenants.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Clients of the daemon's services over one connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Tenants.
    pub tenants: TenantServiceClient<Channel>,
    /// Host clusters.
    pub hosts: HostClusterServiceClient<Channel>,
    /// Operations.
    pub operations: OperationsClient<Channel>,
    /// Providers.
    pub providers: ProviderServiceClient<Channel>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// An address that can't be understood, or nobody there.
    pub async fn connect(server: &str) -> Result<Self, Error> {
        let unreachable = |error: tonic::transport::Error| {
            let mut problem = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                problem = error.to_string();
                source = error.source();
            }
            Error::Unreachable { server: server.to_owned(), problem }
        };
        let channel = if let Some(path) = server.strip_prefix("unix://") {
            let path = path.to_owned();
            // The authority is never resolved: the connector ignores it.
            Endpoint::from_static("http://landlord.invalid")
                .connect_timeout(CONNECT_TIMEOUT)
                .connect_with_connector(tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
                }))
                .await
                .map_err(unreachable)?
        } else {
            let endpoint = Endpoint::from_shared(server.to_owned()).map_err(|error| {
                Error::Usage(format!("--server {server:?}: {error}; write unix:///path or http://host:port"))
            })?;
            endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await.map_err(unreachable)?
        };
        Ok(Self {
            tenants: TenantServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            hosts: HostClusterServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            operations: OperationsClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            providers: ProviderServiceClient::new(channel),
        })
    }
}
