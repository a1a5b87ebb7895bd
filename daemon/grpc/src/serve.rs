//! Listening, limits and the orderly end.

use std::{sync::Arc, time::Duration};

use landlord_proto::{
    FILE_DESCRIPTOR_SET,
    google::longrunning::operations_server::OperationsServer,
    v1::{
        audit_service_server::AuditServiceServer, auth_service_server::AuthServiceServer,
        customer_service_server::CustomerServiceServer, daemon_service_server::DaemonServiceServer,
        host_cluster_service_server::HostClusterServiceServer, orphan_service_server::OrphanServiceServer,
        provider_service_server::ProviderServiceServer, tenant_class_service_server::TenantClassServiceServer,
        tenant_service_server::TenantServiceServer, webhook_service_server::WebhookServiceServer,
    },
};
use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    codegen::http::{Request, Response},
    transport::{Server, server::Router},
};
use tonic_web::GrpcWebLayer;
use tower::{
    layer::util::{Identity, Stack},
    util::MapResponseLayer,
};

use crate::{
    audit::Audit,
    auth::Auth,
    authenticate::AuthenticateLayer,
    customer::Customers,
    daemon::Daemons,
    denials::Denials,
    figures::MeasureLayer,
    host_cluster::HostClusters,
    listen::{self, CALL_TIMEOUT, Listen, ListenBounds},
    operation::LongRunning,
    orphan::Orphans,
    ports::Ports,
    provider::ProviderList,
    serve_error::ServeError,
    status::explain,
    tenant::{Tenants, logs::Readers},
    tenant_class::TenantClasses,
    watch::Watches,
    web::WebLayer,
    webhook::WebhookList,
};

/// What every call passes, the outermost last.
type Layers = Stack<AuthenticateLayer, Stack<MapResponseLayer<Explain>, Stack<MeasureLayer, Pages>>>;
/// What pages need, in front of what knows gRPC only.
type Pages = Stack<GrpcWebLayer, Stack<WebLayer, Identity>>;

/// Gives the transport's own errors their details.
type Explain = fn(Response<Body>) -> Response<Body>;

/// Largest request of a health check, which nobody needs to be known for: it holds the name of a service.
const HEALTH_BYTES_MAX: usize = 1 << 10;
/// Largest request, also after it was inflated: a spec has at most some 50 KiB.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Largest response: a page of a thousand tenants.
const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Requests of one connection at the same moment; tonic's default would be no limit.
const STREAMS_MAX: u32 = 256;
/// Requests of one connection that are worked on; further ones wait.
const CONCURRENCY_PER_CONNECTION: usize = 256;
/// Dead peers are noticed within this and the timeout below.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams end when the daemon stops; calls under way may end for this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until cancelled. `ready` is called once clients can connect.
///
/// # Errors
/// An address that can't be used; a failure of the transport.
pub async fn serve(
    ports: Ports,
    listen: &Listen,
    stop: CancellationToken,
    ready: impl FnOnce() + Send,
) -> Result<(), ServeError> {
    let incoming = listen::bind(listen).await?;
    let denials = Arc::new(Denials::default());
    let router = router(&ports, &denials, listen.bounds, &stop).await?;
    ready();
    let drained = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        }
    };
    let served = async {
        tokio::select! {
            result = router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()) => {
                result.map_err(ServeError::Transport)
            }
            () = drained => Ok(()),
        }
    };
    // Ends with what was denied until the last call.
    let ended = CancellationToken::new();
    let serving = async {
        let result = served.await;
        ended.cancel();
        result
    };
    let (result, ()) = tokio::join!(serving, denials.follow(&*ports.audit, &ended));
    if listen.passed.is_none() {
        let _ = std::fs::remove_file(&listen.socket);
    }
    result
}

/// A service that takes what may come and sends what may be sent.
macro_rules! bounded {
    ($server:expr) => {
        $server
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(RESPONSE_BYTES_MAX)
    };
}

/// The span of a request.
fn span(request: &Request<()>) -> tracing::Span {
    let path = request.uri().path();
    let span = tracing::info_span!(
        "request",
        "rpc.path" = path,
        otel.name = path,
        otel.kind = "server",
        principal = tracing::field::Empty
    );
    let caller = request.headers().get(landlord_trace::TRACEPARENT).and_then(|header| header.to_str().ok());
    landlord_trace::from_caller(&span, caller);
    span
}

async fn router(
    ports: &Ports,
    denials: &Arc<Denials>,
    bounds: ListenBounds,
    stop: &CancellationToken,
) -> Result<Router<Layers>, ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let watches = Watches::new(Arc::new(ports.store.clone()), ports.tokens.clone(), stop.clone());
    let watching = watches.clone();
    let tenants = bounded!(TenantServiceServer::new(Tenants {
        ports: ports.clone(),
        watches: watching,
        readers: Readers::default()
    }));
    let hosts = bounded!(HostClusterServiceServer::new(HostClusters { ports: ports.clone(), watches }));
    let operations = bounded!(OperationsServer::new(LongRunning { ports: ports.clone(), stop: stop.clone() }));
    let classes = bounded!(TenantClassServiceServer::new(TenantClasses { ports: ports.clone() }));
    let providers = bounded!(ProviderServiceServer::new(ProviderList { ports: ports.clone() }));
    let orphans = bounded!(OrphanServiceServer::new(Orphans { ports: ports.clone() }));
    let daemons = bounded!(DaemonServiceServer::new(Daemons { ports: ports.clone() }));
    let customers = bounded!(CustomerServiceServer::new(Customers { ports: ports.clone() }));
    let audit = bounded!(AuditServiceServer::new(Audit { ports: ports.clone() }));
    let webhooks = bounded!(WebhookServiceServer::new(WebhookList { ports: ports.clone() }));
    let auth = bounded!(AuthServiceServer::new(Auth { ports: ports.clone() }));
    health.set_serving::<OrphanServiceServer<Orphans>>().await;
    health.set_serving::<AuthServiceServer<Auth>>().await;
    health.set_serving::<CustomerServiceServer<Customers>>().await;
    health.set_serving::<AuditServiceServer<Audit>>().await;
    health.set_serving::<WebhookServiceServer<WebhookList>>().await;
    health.set_serving::<TenantServiceServer<Tenants>>().await;
    health.set_serving::<HostClusterServiceServer<HostClusters>>().await;
    health.set_serving::<OperationsServer<LongRunning>>().await;
    health.set_serving::<ProviderServiceServer<ProviderList>>().await;
    health.set_serving::<TenantClassServiceServer<TenantClasses>>().await;
    health.set_serving::<DaemonServiceServer<Daemons>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .concurrency_limit_per_connection(CONCURRENCY_PER_CONNECTION)
        .timeout(CALL_TIMEOUT)
        // Without the transport's grace, with which it sends no GOAWAY: `listen` ends what is open after its own.
        .max_connection_age(bounds.age_max)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .trace_fn(span)
        .layer(WebLayer::new(ports.web_origins.clone()))
        .layer(GrpcWebLayer::new())
        .layer(MeasureLayer::new(&ports.figures))
        .layer(MapResponseLayer::new(explain as Explain))
        .layer(AuthenticateLayer::new(ports, denials))
        .add_service(health_service.max_decoding_message_size(HEALTH_BYTES_MAX))
        .add_service(reflection().build_v1().map_err(ServeError::Reflection)?)
        // Older clients, many a grpcurl among them, ask for this one.
        .add_service(reflection().build_v1alpha().map_err(ServeError::Reflection)?)
        .add_service(tenants)
        .add_service(hosts)
        .add_service(operations)
        .add_service(classes)
        .add_service(providers)
        .add_service(orphans)
        .add_service(daemons)
        .add_service(customers)
        .add_service(audit)
        .add_service(webhooks)
        .add_service(auth))
}
