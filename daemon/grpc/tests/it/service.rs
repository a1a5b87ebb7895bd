//! Operations, watches, limits, and the socket.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

use crate::common::{Daemon, OneWebhook, PROD, fields, metadata, named, order, reason, tenant, update};
use landlord_core::{ErrorKind, Failure, OperationOutcome, State};
use landlord_grpc::ServeError;
use landlord_proto::{
    google::longrunning::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, Operation,
        WaitOperationRequest, operation::Result as Outcome,
    },
    v1,
};
use tonic::{Code, Streaming};

fn wait(name: &str, millis: u64) -> WaitOperationRequest {
    let timeout = prost_types::Duration::try_from(Duration::from_millis(millis)).unwrap();
    WaitOperationRequest { name: name.into(), timeout: Some(timeout) }
}

async fn created(daemon: &Daemon, id: &str) -> Operation {
    daemon.tenants().await.create_tenant(order("acme", id)).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_wait_ends_with_the_operation_or_its_own_time() {
    let daemon = Daemon::start().await;
    let mut client = daemon.operations().await;
    let name = created(&daemon, "prod").await.name;
    assert!(!client.wait_operation(wait(&name, 1)).await.unwrap().into_inner().done);
    let long = wait(&name, 60_000);
    let (ended, ()) = tokio::join!(client.wait_operation(long), daemon.settle(State::Ready, OperationOutcome::Ready));
    let ended = ended.unwrap().into_inner();
    let Some(Outcome::Response(response)) = ended.result else { panic!("{ended:?}") };
    let tenant: v1::Tenant = response.to_msg().unwrap();
    assert_eq!((tenant.name.as_str(), tenant.state()), (PROD, v1::tenant::State::Ready));
    assert!(!tenant.reconciling);
    let negative = WaitOperationRequest { name, timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }) };
    assert_eq!(fields(&client.wait_operation(negative).await.unwrap_err()), ["timeout"]);
}

#[tokio::test]
async fn a_failed_operation_gives_the_reason_and_its_remedy() {
    let daemon = Daemon::start().await;
    let name = created(&daemon, "prod").await.name;
    let failure = Failure::new(ErrorKind::Quota, "no network is left").with_remedy("raise the VPC quota");
    daemon.settle(State::Failed, OperationOutcome::Failed { failure }).await;
    let get = GetOperationRequest { name };
    let ended = daemon.operations().await.get_operation(get).await.unwrap().into_inner();
    let Some(Outcome::Error(error)) = ended.result else { panic!("{ended:?}") };
    assert_eq!(error.code, Code::ResourceExhausted as i32);
    assert!(error.message.contains("no network is left; raise the VPC quota"), "{}", error.message);
    assert!(error.details[0].type_url.ends_with("google.rpc.ErrorInfo"));
}

#[tokio::test]
async fn a_later_change_takes_an_operation_over() {
    let daemon = Daemon::start().await;
    let first = created(&daemon, "prod").await.name;
    let grow = update(&["storage_gib"], v1::Tenant { storage_gib: 200, ..tenant() });
    let second = daemon.tenants().await.update_tenant(grow).await.unwrap().into_inner().name;
    let get = GetOperationRequest { name: first };
    let ended = daemon.operations().await.get_operation(get).await.unwrap().into_inner();
    assert_eq!(metadata(&ended).superseded_by, second);
    let Some(Outcome::Error(error)) = ended.result else { panic!("{ended:?}") };
    assert_eq!((error.code, error.details.len()), (Code::Aborted as i32, 1));
    assert!(error.message.contains(&second), "{}", error.message);
}

#[tokio::test]
async fn operations_are_listed_and_cancelled_but_never_deleted() {
    let daemon = Daemon::start().await;
    let mut client = daemon.operations().await;
    let name = created(&daemon, "prod").await.name;
    created(&daemon, "test").await;
    let list = |filter: &str| ListOperationsRequest { filter: filter.into(), ..Default::default() };
    let filter = format!("tenant = \"{PROD}\" AND done = false");
    let found = client.list_operations(list(&filter)).await.unwrap().into_inner().operations;
    assert_eq!(found.iter().map(|o| &o.name).collect::<Vec<_>>(), [&name]);
    assert!(client.list_operations(list("done = true")).await.unwrap().into_inner().operations.is_empty());
    for bad in ["done = maybe", "tenant = prod", "kind = make", "customer = ACME", "create_time > soon"] {
        assert_eq!(fields(&client.list_operations(list(bad)).await.unwrap_err()), ["filter"], "{bad}");
    }
    client.cancel_operation(CancelOperationRequest { name: name.clone() }).await.unwrap();
    let get = GetOperationRequest { name: name.clone() };
    assert!(metadata(&client.get_operation(get).await.unwrap().into_inner()).cancel_requested);
    let status = client.delete_operation(DeleteOperationRequest { name }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNIMPLEMENTED"));
    let delete = v1::DeleteTenantRequest { name: PROD.into(), ..Default::default() };
    let delete = daemon.tenants().await.delete_tenant(delete).await.unwrap().into_inner();
    let status = client.cancel_operation(CancelOperationRequest { name: delete.name }).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    for bad in ["", "operations/", "operations/1", "tenants/x"] {
        let get = GetOperationRequest { name: bad.into() };
        assert_eq!(fields(&client.get_operation(get).await.unwrap_err()), ["name"], "{bad}");
    }
}

async fn watch(
    daemon: &Daemon,
    parent: &str,
    token: &str,
) -> Result<Streaming<v1::WatchTenantsResponse>, tonic::Status> {
    let request = v1::WatchTenantsRequest { parent: parent.into(), resume_token: token.into() };
    daemon.tenants().await.watch_tenants(request).await.map(tonic::Response::into_inner)
}

/// Tenant and token of the next event.
async fn next(stream: &mut Streaming<v1::WatchTenantsResponse>) -> (String, String) {
    loop {
        let message = stream.message().await.unwrap().expect("the stream goes on");
        if let Some(event) = message.event {
            return (event.tenant, message.resume_token);
        }
    }
}

#[tokio::test]
async fn a_watch_that_is_resumed_misses_nothing() {
    let daemon = Daemon::start().await;
    created(&daemon, "before").await;
    let mut stream = watch(&daemon, "customers/-", "").await.unwrap();
    // The first message shows where the stream begins, before anything happens.
    assert!(stream.message().await.unwrap().unwrap().event.is_none());
    created(&daemon, "a").await;
    let (name, token) = next(&mut stream).await;
    assert_eq!(name, "customers/acme/tenants/a");
    drop(stream);
    created(&daemon, "b").await;
    created(&daemon, "c").await;
    let mut stream = watch(&daemon, "customers/acme", &token).await.unwrap();
    assert_eq!(next(&mut stream).await.0, "customers/acme/tenants/b");
    assert_eq!(next(&mut stream).await.0, "customers/acme/tenants/c");
    let mut one = watch(&daemon, "customers/acme/tenants/c", &token).await.unwrap();
    assert_eq!(next(&mut one).await.0, "customers/acme/tenants/c");
    for bad in ["soon", "-1", "999999"] {
        assert_eq!(fields(&watch(&daemon, "customers/-", bad).await.unwrap_err()), ["resume_token"], "{bad}");
    }
    daemon.stop.cancel();
    let status = stream.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DAEMON_STOPPING"));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_changes_nothing() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let mut request = order("acme", "prod");
    request.tenant.as_mut().unwrap().display_name = "x".repeat(10 << 20);
    let status = client.create_tenant(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    assert!(status.message().contains("4194304"), "{}", status.message());
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_unknown_method_is_refused_with_details() {
    let daemon = Daemon::start().await;
    let mut client = tonic::client::Grpc::new(daemon.channel().await);
    let codec = tonic_prost::ProstCodec::<v1::GetTenantRequest, v1::Tenant>::default();
    for path in ["/landlord.v1.TenantService/Burn", "/landlord.v2.TenantService/GetTenant"] {
        client.ready().await.unwrap();
        let path = path.parse().unwrap();
        let request = tonic::Request::new(named(PROD));
        let status = client.unary(request, path, codec.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"));
    }
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let daemon = Daemon::start().await;
    let mut health = HealthClient::new(daemon.channel().await);
    for service in ["", "landlord.v1.TenantService", "landlord.v1.ProviderService", "google.longrunning.Operations"] {
        let response = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(response.into_inner().status, 1, "{service:?} does not serve");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(daemon.channel().await);
    let requested = futures::stream::once(async { request });
    let mut responses = reflection.server_reflection_info(requested).await.unwrap().into_inner();
    let response = responses.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = response else { panic!("{response:?}") };
    assert!(services.service.iter().any(|service| service.name == "landlord.v1.TenantService"));
    for service in services.service.into_iter().filter(|service| service.name.starts_with("landlord.v1.")) {
        let response = health.check(HealthCheckRequest { service: service.name.clone() }).await;
        assert_eq!(
            response.map(|response| response.into_inner().status).ok(),
            Some(1),
            "{} does not serve",
            service.name
        );
    }
}

#[tokio::test]
async fn providers_are_shown() {
    let daemon = Daemon::start().await;
    let mut client = daemon.providers().await;
    let list = client.list_providers(v1::ListProvidersRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.providers.len(), 1);
    let get = |name: &str| v1::GetProviderRequest { name: name.into() };
    let one = client.get_provider(get("providers/sky.main")).await.unwrap().into_inner();
    assert_eq!(one, list.providers[0]);
    assert_eq!((one.healthy, one.pid, one.restart_count), (true, 7, 2));
    assert_eq!(client.get_provider(get("providers/sea.main")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn the_socket_is_ours_alone() {
    let daemon = Daemon::start().await;
    let mode = std::fs::metadata(&daemon.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second daemon leaves the socket of the first alone.
    let listen = |socket: &std::path::Path| crate::common::listening(socket.to_owned(), Vec::new());
    let ports = || landlord_grpc::Ports {
        store: Arc::new(daemon.store.clone()),
        catalog: Arc::default(),
        stacks: Arc::new(crate::common::OneStack),
        providers: Arc::new(NoPlugins),
        kube_access: Arc::new(NoClusters),
        verifier: Arc::new(NoClusters),
        handover: Arc::new(crate::common::Clusters),
        logs: Arc::new(crate::common::Clusters),
        diff: Arc::new(crate::common::Clusters),
        credentials: Arc::new(daemon.store.clone()),
        authenticator: Arc::new(crate::common::callers()),
        authorizer: Arc::new(landlord_auth::policy::Policies::open(None).unwrap()),
        customers: Arc::new(daemon.store.clone()),
        audit: Arc::new(daemon.store.clone()),
        daemons: Arc::new(daemon.store.clone()),
        daemon: "second".into(),
        webhooks: Arc::new(OneWebhook),
        web_origins: Arc::default(),
        figures: landlord_grpc::RpcFigures::default(),
        limits: landlord_grpc::Limits::default(),
        turns: landlord_grpc::Turns::default(),
        tokens: Arc::new(landlord_grpc::OpaqueTokens::new(&[7; 32]).unwrap()),
        wake: Arc::new(NoEngine),
    };
    let second = landlord_grpc::serve(ports(), &listen(&daemon.socket), daemon.stop.clone(), || {}).await;
    assert!(matches!(second, Err(ServeError::InUse { .. })), "{second:?}");
    daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
    // A file that is no socket is never removed.
    let file = daemon.socket.with_file_name("precious");
    std::fs::write(&file, "data").unwrap();
    let refused = landlord_grpc::serve(ports(), &listen(&file), daemon.stop.clone(), || {}).await;
    assert!(matches!(refused, Err(ServeError::NotASocket { .. })), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
    // The socket of a daemon that was killed is replaced.
    let left = daemon.socket.with_file_name("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let left_listen = listen(&left);
    let serving = landlord_grpc::serve(ports(), &left_listen, daemon.stop.clone(), || {
        let _ = ready.send(());
    });
    let stop = async {
        is_ready.await.unwrap();
        daemon.stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, stop);
    served.unwrap();
    assert!(!left.exists(), "the socket was left behind");
}

struct NoPlugins;
impl landlord_core::ports::Providers for NoPlugins {
    fn provider(
        &self,
        _: &landlord_core::ports::ProviderKey,
    ) -> Result<Arc<dyn landlord_provider_api::Provider>, Failure> {
        Err(Failure::new(ErrorKind::Invalid, "none"))
    }
    fn description(
        &self,
        _: &landlord_core::ports::ProviderKey,
    ) -> Option<landlord_provider_api::v1::DescribeResponse> {
        None
    }
    fn start_failure(&self, _: &landlord_core::ports::ProviderKey) -> Option<String> {
        None
    }
    fn health(&self) -> Vec<landlord_core::ports::ProviderHealth> {
        Vec::new()
    }
}

struct NoClusters;
#[async_trait::async_trait]
impl landlord_core::ports::KubeAccess for NoClusters {
    async fn access(&self, _: &landlord_core::Environment) -> Result<landlord_core::ports::KubeCredentials, Failure> {
        Err(Failure::new(ErrorKind::Conflict, "none"))
    }

    async fn customer_access(
        &self,
        _: &landlord_core::Environment,
        _: std::time::Duration,
    ) -> Result<landlord_core::ports::CustomerAccess, Failure> {
        Err(Failure::new(ErrorKind::Conflict, "none"))
    }
}

#[async_trait::async_trait]
impl landlord_core::ports::Verifier for NoClusters {
    async fn verify(&self, _: &landlord_core::Environment) -> Result<Vec<landlord_core::ports::CheckResult>, Failure> {
        Err(Failure::new(ErrorKind::Conflict, "none"))
    }
}

struct NoEngine;
impl landlord_core::ports::Wake for NoEngine {
    fn wake(&self) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_is_served_over_the_unix_socket() {
    let daemon = Daemon::start().await;
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpcio");
    let python = landlord_test_kube::python_env(&tests.join("requirements.txt")).unwrap();
    let descriptors = daemon.folder.path().join("descriptors.binpb");
    std::fs::write(&descriptors, landlord_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut client = tokio::process::Command::new(python);
    client.arg(tests.join("client.py")).arg(&daemon.socket).arg(&descriptors);
    let output = client.kill_on_drop(true).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "served\n", "{errors}");
}

/// Sends bytes as a request of GetTenant.
async fn send_raw(daemon: &Daemon, bytes: Vec<u8>) -> tonic::Status {
    use tonic::codec::{Codec, EncodeBuf, Encoder};
    struct Raw;
    impl Encoder for Raw {
        type Item = Vec<u8>;
        type Error = tonic::Status;
        fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
            bytes::BufMut::put_slice(buffer, &item);
            Ok(())
        }
    }
    #[derive(Default)]
    struct RawCodec;
    impl Codec for RawCodec {
        type Encode = Vec<u8>;
        type Decode = v1::Tenant;
        type Encoder = Raw;
        type Decoder = <tonic_prost::ProstCodec<v1::Tenant, v1::Tenant> as Codec>::Decoder;
        fn encoder(&mut self) -> Raw {
            Raw
        }
        fn decoder(&mut self) -> Self::Decoder {
            tonic_prost::ProstCodec::<v1::Tenant, v1::Tenant>::default().decoder()
        }
    }
    let mut client = tonic::client::Grpc::new(daemon.channel().await);
    client.ready().await.unwrap();
    let path = "/landlord.v1.TenantService/CreateTenant".parse().unwrap();
    client.unary(tonic::Request::new(bytes), path, RawCodec).await.unwrap_err()
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_clients_fault() {
    let daemon = Daemon::start().await;
    // `parent` that is no UTF-8; a field that ends too early; groups within groups.
    let mut nested = Vec::new();
    for _ in 0..200 {
        // stack_values.fields["a"].struct_value and so on: field 10 of tenant (3), then 1, 2, 5.
        let inner = nested.clone();
        let wrap = |tag: u8, inner: &[u8]| {
            let mut outer = vec![tag << 3 | 2];
            prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
            outer.extend(inner);
            outer
        };
        nested = wrap(1, &[wrap(1, b"a"), wrap(2, &wrap(5, &inner))].concat());
    }
    let tenant = {
        let mut values = vec![10 << 3 | 2];
        prost::encode_length_delimiter(nested.len(), &mut values).unwrap();
        values.extend(&nested);
        let mut outer = vec![3 << 3 | 2];
        prost::encode_length_delimiter(values.len(), &mut outer).unwrap();
        outer.extend(values);
        outer
    };
    for (what, bytes, word) in [
        ("UTF-8", vec![0x0a, 2, 0xff, 0xfe], "UTF-8"),
        ("truncated", vec![0x0a, 9, b'a'], "another version"),
        ("nesting", tenant, "nested too deeply"),
    ] {
        let status = send_raw(&daemon, bytes).await;
        let got = (status.code(), reason(&status));
        assert_eq!(got, (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned()), "{what}: {status:?}");
        assert!(status.message().contains(word), "{what}: {}", status.message());
    }
}

#[tokio::test]
async fn providers_are_listed_in_pages() {
    let daemon = Daemon::start().await;
    let mut client = daemon.providers().await;
    let page = v1::ListProvidersRequest { page_size: 1, ..Default::default() };
    let first = client.list_providers(page).await.unwrap().into_inner();
    assert_eq!((first.providers.len(), first.next_page_token.as_str()), (1, ""));
    for (page_size, page_token, field) in [(-1, "", "page_size"), (1, "bad", "page_token")] {
        let page = v1::ListProvidersRequest { page_size, page_token: page_token.into(), ..Default::default() };
        assert_eq!(fields(&client.list_providers(page).await.unwrap_err()), [field]);
    }
}

#[tokio::test]
async fn operations_are_chosen_by_customer_kind_and_time() {
    let daemon = Daemon::start().await;
    let create = created(&daemon, "prod").await.name;
    let grow = update(&["storage_gib"], v1::Tenant { storage_gib: 200, ..tenant() });
    let grow = daemon.tenants().await.update_tenant(grow).await.unwrap().into_inner().name;
    let other = daemon.tenants().await.create_tenant(order("bolt", "prod")).await.unwrap().into_inner().name;
    let mut client = daemon.operations().await;
    for (filter, expected) in [
        ("customer = acme", vec![&grow, &create]),
        ("customer = acme AND kind = create", vec![&create]),
        ("kind = create", vec![&other, &create]),
        ("NOT customer = acme", vec![&other]),
        ("done = true OR done = false", vec![&other, &grow, &create]),
        ("create_time > \"2000-01-01T00:00:00Z\" AND NOT end_time:*", vec![&other, &grow]),
        ("create_time < 2000-01-01T00:00:00Z", vec![]),
        ("tenant = \"customers/bolt/*\"", vec![&other]),
        ("host_cluster:*", vec![]),
    ] {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let list = ListOperationsRequest { filter: filter.into(), page_size: 1, page_token, ..Default::default() };
            let page = client.list_operations(list).await.unwrap().into_inner();
            found.extend(page.operations.into_iter().map(|operation| operation.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test]
async fn events_and_providers_are_filtered() {
    let daemon = Daemon::start().await;
    created(&daemon, "prod").await;
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let mut client = daemon.tenants().await;
    let list =
        |filter: &str| v1::ListTenantEventsRequest { parent: PROD.into(), filter: filter.into(), ..Default::default() };
    let events = client.list_tenant_events(list("reason = Settled OR stage:*")).await.unwrap().into_inner().events;
    assert_eq!(events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["Settled"]);
    assert_eq!(fields(&client.list_tenant_events(list("reason > Settled")).await.unwrap_err()), ["filter"]);
    let mut client = daemon.providers().await;
    for (filter, expected) in [("healthy = true", 1), ("NOT healthy = true", 0), ("name = providers/sky.*", 1)] {
        let list =
            v1::ListProvidersRequest { filter: filter.into(), order_by: "name desc".into(), ..Default::default() };
        let page = client.list_providers(list).await.unwrap().into_inner();
        assert_eq!(page.providers.len(), expected, "{filter}");
    }
}
