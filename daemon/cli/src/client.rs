//! Reaching the daemon.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use landlord_proto::{
    google::longrunning::operations_client::OperationsClient,
    v1::{
        audit_service_client::AuditServiceClient, auth_service_client::AuthServiceClient,
        customer_service_client::CustomerServiceClient, daemon_service_client::DaemonServiceClient,
        host_cluster_service_client::HostClusterServiceClient, orphan_service_client::OrphanServiceClient,
        provider_service_client::ProviderServiceClient, tenant_class_service_client::TenantClassServiceClient,
        tenant_service_client::TenantServiceClient, webhook_service_client::WebhookServiceClient,
    },
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri},
};

use crate::{
    connection::Connection,
    error::{Error, chain},
    login,
    user_files::read,
};

/// A daemon that does not accept by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One name may have several daemons, of which one is being replaced: it takes a connection and ends it, and the next attempt finds
/// another.
const CONNECT_ATTEMPTS: u32 = 3;
/// Before the second attempt, and twice that before the third: whoever waits for an error waits a second longer.
const CONNECT_BACKOFF: Duration = Duration::from_millis(300);
/// A page of a thousand tenants.
const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// A connection through which nothing comes is tried this often, so that a watch notices a daemon that vanished.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// What carries the calls.
pub type Transport = InterceptedService<Channel, Bearer>;

/// Clients of the daemon's services over one connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Who did what.
    pub audit: AuditServiceClient<Transport>,
    /// Who may order, and what.
    pub customers: CustomerServiceClient<Transport>,
    /// Who calls, and what they may do.
    pub auth: AuthServiceClient<Transport>,
    /// What can be ordered.
    pub classes: TenantClassServiceClient<Transport>,
    /// Tenants.
    pub tenants: TenantServiceClient<Transport>,
    /// Host clusters.
    pub hosts: HostClusterServiceClient<Transport>,
    /// Operations.
    pub operations: OperationsClient<Transport>,
    /// Objects of tenants without a record.
    pub orphans: OrphanServiceClient<Transport>,
    /// Daemons.
    pub daemons: DaemonServiceClient<Transport>,
    /// Providers.
    pub providers: ProviderServiceClient<Transport>,
    /// Receivers of events.
    pub webhooks: WebhookServiceClient<Transport>,
    connection: Connection,
}

/// Shows the token with every call.
#[derive(Debug, Clone)]
pub struct Bearer {
    file: Option<PathBuf>,
    /// File of a login, if there is no other.
    login: Option<PathBuf>,
}

impl Bearer {
    fn header(&self) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let (path, token) = match (&self.file, &self.login) {
            (Some(path), _) => (path, String::from_utf8(read("--token-file", path)?).unwrap_or_default()),
            (None, Some(path)) => (path, login::token(path)?.unwrap_or_default()),
            (None, None) => return Ok(None),
        };
        let wrong = || Error::Usage(format!("{}: holds no token", path.display()));
        let token = token.trim();
        if token.is_empty() {
            return Err(wrong());
        }
        let mut header: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| wrong())?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = self.header().map_err(|error| Status::unauthenticated(error.to_string()))? {
            request.metadata_mut().insert("authorization", header);
        }
        Ok(request)
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// An address or a file that can't be used, or nobody there.
    pub async fn connect(connection: &Connection) -> Result<Self, Error> {
        login::renew(connection).await?;
        let bearer = Bearer { file: connection.token_file.clone(), login: connection.login_file.clone() };
        // A token that can't be read is a mistake on this side.
        bearer.header()?;
        let channel = InterceptedService::new(channel(connection).await?, bearer);
        Ok(Self {
            audit: AuditServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            customers: CustomerServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            auth: AuthServiceClient::new(channel.clone()),
            tenants: TenantServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            orphans: OrphanServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            classes: TenantClassServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            hosts: HostClusterServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            operations: OperationsClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            daemons: DaemonServiceClient::new(channel.clone()),
            webhooks: WebhookServiceClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX),
            providers: ProviderServiceClient::new(channel),
            connection: connection.clone(),
        })
    }

    /// Renews the token of a login that is about to end: for calls that follow each other for longer than it lives.
    ///
    /// # Errors
    /// Somebody must log in again.
    pub async fn renew(&self) -> Result<(), Error> {
        login::renew(&self.connection).await
    }
}

async fn channel(connection: &Connection) -> Result<Channel, Error> {
    let server = &connection.server;
    let unreachable = |error: tonic::transport::Error| {
        let mut problem = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            problem = error.to_string();
            source = error.source();
        }
        not_connected(server.clone(), problem)
    };
    if let Some(path) = server.strip_prefix("unix://") {
        return unix(path).await.map_err(unreachable);
    }
    let endpoint = Endpoint::from_shared(server.clone()).map_err(|error| {
        Error::Usage(format!("--server {server:?}: {error}; write unix:///path, https://host:port, or on this machine http://127.0.0.1:port"))
    })?;
    let mut endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_while_idle(false);
    if server.starts_with("https://") {
        let tls = tls(connection)?;
        endpoint = endpoint.tls_config(tls).map_err(|error| Error::Usage(format!("TLS files: {}", chain(&error))))?;
    }
    let mut attempt = 1;
    loop {
        match endpoint.connect().await {
            // Nothing was sent yet.
            Err(_) if attempt < CONNECT_ATTEMPTS => tokio::time::sleep(CONNECT_BACKOFF * attempt).await,
            connected => return connected.map_err(unreachable),
        }
        attempt += 1;
    }
}

/// A daemon that is there and not trusted is not one that is away.
fn not_connected(server: String, problem: String) -> Error {
    // As rustls writes it, whatever is wrong with the certificate.
    match problem.strip_prefix("invalid peer certificate: ") {
        Some(problem) => Error::Untrusted { problem: problem.to_owned(), server },
        None => Error::Unreachable { server, problem },
    }
}

#[cfg(unix)]
async fn unix(path: &str) -> Result<Channel, tonic::transport::Error> {
    let path = path.to_owned();
    // The authority is never resolved: the connector ignores it.
    Endpoint::from_static("http://landlord.invalid")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
}

/// A daemon runs on Linux alone, so there is none behind such a socket.
#[cfg(not(unix))]
async fn unix(_: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_static("http://landlord.invalid")
        .connect_with_connector(tower::service_fn(|_: Uri| async {
            let problem = "this system has no Unix sockets; name the daemon by --server https://HOST:PORT";
            Err::<TokioIo<tokio::net::TcpStream>, _>(std::io::Error::new(std::io::ErrorKind::Unsupported, problem))
        }))
        .await
}

fn tls(connection: &Connection) -> Result<ClientTlsConfig, Error> {
    let mut tls = ClientTlsConfig::new();
    tls = match &connection.ca_file {
        Some(path) => tls.ca_certificate(Certificate::from_pem(certificates("--ca-file", path)?)),
        None => tls.with_native_roots(),
    };
    if let (Some(certificate), Some(key)) = (&connection.client_cert, &connection.client_key) {
        let (certificate, key) = (certificates("--client-cert", certificate)?, read("--client-key", key)?);
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    Ok(tls)
}

/// A file of certificates. One without any would be taken as an empty list, and blamed on the daemon.
fn certificates(option: &str, path: &Path) -> Result<Vec<u8>, Error> {
    let pem = read(option, path)?;
    if String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Ok(pem);
    }
    Err(Error::Usage(format!("{option} {}: holds no certificate in PEM (BEGIN CERTIFICATE)", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_daemon_that_is_away() {
        let refused = not_connected("https://a:1".into(), "invalid peer certificate: UnknownIssuer".into());
        assert!(matches!(&refused, Error::Untrusted { problem, .. } if problem == "UnknownIssuer"), "{refused}");
        let away = not_connected("https://a:1".into(), "Connection refused (os error 111)".into());
        assert!(matches!(away, Error::Unreachable { .. }), "{away}");
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n").unwrap();
        let connection = Connection { ca_file: Some(path.clone()), ..Connection::default() };
        let refused = tls(&connection).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("--ca-file {}: holds no certificate", path.display())), "{refused}");
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_at_first_is_tried_again() {
        // Held all the while, so that nobody else gets the port; who connects before it listens is refused.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let connection = Connection { server: format!("http://{address}"), ..Connection::default() };
        let comes_up = async {
            tokio::time::sleep(CONNECT_BACKOFF / 3).await;
            let listener = socket.listen(1).unwrap();
            listener.accept().await.unwrap()
        };
        let (connected, _peer) = tokio::join!(channel(&connection), comes_up);
        connected.unwrap();
        // Somebody who never comes is an error, and soon.
        let nobody = Connection { server: "http://127.0.0.1:1".to_owned(), ..Connection::default() };
        let began = std::time::Instant::now();
        assert!(matches!(channel(&nobody).await, Err(Error::Unreachable { .. })));
        assert!(began.elapsed() >= CONNECT_BACKOFF * 3);
    }
}
