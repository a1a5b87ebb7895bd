//! Who may call what: every rpc of the descriptors, by every kind of caller.

use std::{collections::BTreeSet, sync::Arc};

use landlord_core::{
    EnvironmentName,
    access::{Action, ActionGroup, AuthMethod, Decision, OPERATORS, Principal, Resource, ResourceKind},
    ports::{Authenticator, Authorizer, DaemonInfo, DaemonStore as _, Peer, Unauthenticated},
};
use landlord_proto::{FILE_DESCRIPTOR_SET, google::longrunning as lro, v1};
use prost::Message as _;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

use crate::common::{Daemon, PROD, order, reason, tenant};

/// Callers by a token that is their name.
struct ByName;

#[tonic::async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, _: &Peer, bearer: Option<&str>) -> Result<Principal, Unauthenticated> {
        let name = bearer.ok_or_else(|| Unauthenticated("no token".into()))?;
        let (groups, customer) = match name {
            "operator" => (OPERATORS, None),
            "auditor" => ("landlord:auditors", None),
            "portal" => ("landlord:portals", None),
            "acme-portal" => ("landlord:customer-portals", Some("acme")),
            "globex-portal" => ("landlord:customer-portals", Some("globex")),
            "acme-user" => ("landlord:customer-users", Some("acme")),
            "nobody" => ("", None),
            _ => return Err(Unauthenticated("who?".into())),
        };
        Ok(Principal {
            name: name.into(),
            groups: [groups.to_owned()].into(),
            customer: customer.map(|id| id.parse().unwrap()),
            method: AuthMethod::Token,
        })
    }
}

/// What the shipped policies say, told once more in another way.
struct Expected;

fn customer_of(resource: &Resource) -> Option<String> {
    match resource {
        Resource::Customer(id) => Some(id.to_string()),
        Resource::Environment { name: EnvironmentName::Tenant(name), .. }
        | Resource::Operation { of: EnvironmentName::Tenant(name), .. } => Some(name.customer.to_string()),
        Resource::Installation | Resource::Environment { .. } | Resource::Operation { .. } | Resource::Provider(_) => {
            None
        }
    }
}

impl Authorizer for Expected {
    fn authorize(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        let own =
            customer_of(resource).is_some_and(|id| principal.customer.as_ref().is_some_and(|own| own.as_str() == id));
        let of_customers = customer_of(resource).is_some();
        let classes = matches!(action, Action::ListTenantClasses | Action::GetTenantClass);
        let group = action.group();
        let portal = matches!(group, ActionGroup::Read | ActionGroup::Operate);
        let allowed = match principal.groups.first().map_or("", String::as_str) {
            OPERATORS => true,
            "landlord:auditors" => group == ActionGroup::Read,
            "landlord:portals" => portal && (of_customers || classes),
            "landlord:customer-portals" => portal && (own || classes),
            "landlord:customer-users" => own && (group == ActionGroup::Read || action == Action::GenerateKubeconfig),
            _ => false,
        };
        Decision { allowed, policies: Vec::new() }
    }
}

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; bytes::Buf::remaining(from)];
        bytes::Buf::copy_to_slice(from, &mut bytes);
        Ok(Some(bytes))
    }
}

struct World {
    daemon: Daemon,
    channel: Channel,
    operation: String,
}

impl World {
    async fn start(authorizer: impl Authorizer) -> Self {
        let daemon = Daemon::with_access(Arc::new(ByName), Arc::new(authorizer)).await;
        let address = daemon.tcp.unwrap();
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut world = Self { daemon, channel, operation: String::new() };
        let created = world.call("operator", Action::CreateTenant).await.unwrap();
        world.operation = lro::Operation::decode(created.as_slice()).unwrap().name;
        world.call("operator", Action::CreateHostCluster).await.unwrap();
        let this = DaemonInfo { id: "this".into(), host: "here".into(), pid: 1, version: "1".into() };
        world.daemon.store.announce(&this).await.unwrap();
        world
    }

    /// A sound request for each rpc, about acme's tenant, its operation, or the host cluster.
    fn request(&self, action: Action) -> Vec<u8> {
        let (name, host, operation) = (PROD.to_owned(), "hostClusters/one".to_owned(), self.operation.clone());
        let parent = "customers/acme".to_owned();
        let host_cluster = Some(v1::HostCluster { tenant_class: "small".into(), tenants_max: 2, ..Default::default() });
        match action {
            Action::CreateTenant => order("acme", "prod").encode_to_vec(),
            Action::GetTenant => v1::GetTenantRequest { name }.encode_to_vec(),
            Action::ListTenants => v1::ListTenantsRequest { parent, ..Default::default() }.encode_to_vec(),
            Action::UpdateTenant => {
                let tenant = Some(v1::Tenant { name, display_name: "Prod".into(), ..tenant() });
                v1::UpdateTenantRequest { tenant, ..Default::default() }.encode_to_vec()
            }
            Action::DeleteTenant => v1::DeleteTenantRequest { name, ..Default::default() }.encode_to_vec(),
            Action::RetryTenant => v1::RetryTenantRequest { name, ..Default::default() }.encode_to_vec(),
            Action::WatchTenants => v1::WatchTenantsRequest { parent, resume_token: "0".into() }.encode_to_vec(),
            Action::ListTenantEvents => {
                v1::ListTenantEventsRequest { parent: name, ..Default::default() }.encode_to_vec()
            }
            Action::ExplainPlacement => v1::ExplainPlacementRequest {
                parent,
                tenant_id: "more".into(),
                tenant: Some(v1::Tenant { domain: "more.acme.example.net".into(), ..tenant() }),
            }
            .encode_to_vec(),
            Action::MoveTenant => {
                v1::MoveTenantRequest { name, tenant_class: "large".into(), ..Default::default() }.encode_to_vec()
            }
            Action::GenerateKubeconfig => v1::GenerateKubeconfigRequest {
                name,
                subject: v1::generate_kubeconfig_request::Subject::Customer.into(),
                ..Default::default()
            }
            .encode_to_vec(),
            Action::GenerateOperatorKubeconfig => v1::GenerateKubeconfigRequest {
                name,
                subject: v1::generate_kubeconfig_request::Subject::Operator.into(),
                ..Default::default()
            }
            .encode_to_vec(),
            Action::CreateHostCluster => {
                v1::CreateHostClusterRequest { host_cluster_id: "one".into(), host_cluster, ..Default::default() }
                    .encode_to_vec()
            }
            Action::AdoptHostCluster => v1::AdoptHostClusterRequest {
                host_cluster_id: "two".into(),
                host_cluster: Some(v1::HostCluster {
                    region: "here".into(),
                    tenants_max: 2,
                    adoption: Some(v1::Adoption {
                        provider: "sky".into(),
                        credentials: "main".into(),
                        cluster_name: "theirs".into(),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            }
            .encode_to_vec(),
            Action::GetHostCluster => v1::GetHostClusterRequest { name: host }.encode_to_vec(),
            Action::ListHostClusters => v1::ListHostClustersRequest::default().encode_to_vec(),
            Action::CordonHostCluster => {
                v1::CordonHostClusterRequest { name: host, ..Default::default() }.encode_to_vec()
            }
            Action::UncordonHostCluster => {
                v1::UncordonHostClusterRequest { name: host, ..Default::default() }.encode_to_vec()
            }
            Action::WatchHostClusters => {
                v1::WatchHostClustersRequest { name: host, resume_token: "0".into() }.encode_to_vec()
            }
            Action::ListHostClusterEvents => {
                v1::ListHostClusterEventsRequest { parent: host, ..Default::default() }.encode_to_vec()
            }
            Action::RetryHostCluster => {
                v1::RetryHostClusterRequest { name: host, ..Default::default() }.encode_to_vec()
            }
            Action::DeleteHostCluster => {
                v1::DeleteHostClusterRequest { name: host, ..Default::default() }.encode_to_vec()
            }
            Action::ListProviders => v1::ListProvidersRequest::default().encode_to_vec(),
            Action::GetProvider => v1::GetProviderRequest { name: "providers/sky.main".into() }.encode_to_vec(),
            Action::ListDaemons => v1::ListDaemonsRequest::default().encode_to_vec(),
            Action::GetDaemon => v1::GetDaemonRequest { name: "daemons/this".into() }.encode_to_vec(),
            Action::WhoAmI => v1::WhoAmIRequest {}.encode_to_vec(),
            Action::CheckAccess | Action::CheckAccessOfOthers => {
                v1::CheckAccessRequest { action: "GetTenant".into(), resource: name, subject: None }.encode_to_vec()
            }
            Action::ListOperations => lro::ListOperationsRequest::default().encode_to_vec(),
            Action::GetOperation => lro::GetOperationRequest { name: operation }.encode_to_vec(),
            Action::WaitOperation => {
                let timeout = Some(prost_types::Duration { seconds: 0, nanos: 0 });
                lro::WaitOperationRequest { name: operation, timeout }.encode_to_vec()
            }
            Action::CancelOperation => lro::CancelOperationRequest { name: operation }.encode_to_vec(),
            Action::DeleteOperation => lro::DeleteOperationRequest { name: operation }.encode_to_vec(),
            Action::GetTenantClass => v1::GetTenantClassRequest { name: "tenantClasses/small".into() }.encode_to_vec(),
            Action::ListTenantClasses | Action::Reflect => Vec::new(),
        }
    }

    /// The first message of the response.
    async fn call(&self, token: &str, action: Action) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(futures::stream::once(std::future::ready(self.request(action))));
        if !token.is_empty() {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let path = format!("/{}/{}", action.service(), action.as_str());
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let response = grpc.streaming(request, PathAndQuery::try_from(path).unwrap(), Raw).await?;
        let message = response.into_inner().message().await?;
        Ok(message.unwrap_or_default())
    }
}

/// Every method of our services in the descriptors.
fn rpcs() -> Vec<(String, String)> {
    let files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut found = Vec::new();
    for file in &files.file {
        for service in &file.service {
            let full = format!("{}.{}", file.package(), service.name());
            found.extend(service.method.iter().map(|method| (full.clone(), method.name().to_owned())));
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

fn called() -> Vec<Action> {
    let mut actions: Vec<Action> = rpcs()
        .iter()
        .map(|(service, method)| {
            let path = format!("/{service}/{method}");
            Action::of_path(&path)
                .unwrap_or_else(|| panic!("{path} has no action: who may call it? (core/src/access.rs)"))
        })
        .collect();
    // What ends resources comes last.
    let last = |action: &Action| match action {
        Action::CancelOperation => 1,
        Action::DeleteTenant => 2,
        Action::DeleteHostCluster => 3,
        _ => 0,
    };
    actions.sort_by_key(last);
    actions
}

#[test]
fn every_rpc_has_an_action_and_every_action_an_rpc() {
    let rpcs: BTreeSet<(String, String)> = rpcs().into_iter().collect();
    for action in Action::ALL {
        let ours = action.service().starts_with("landlord.v1") || action.service().starts_with("google.");
        if ours {
            let rpc = (action.service().to_owned(), action.as_str().to_owned());
            assert!(rpcs.contains(&rpc), "{rpc:?} is no rpc");
        }
    }
    called();
}

/// What a caller without rights of any kind meets.
fn hidden(action: Action) -> Code {
    let lists = matches!(
        action,
        Action::ListTenants
            | Action::ListHostClusters
            | Action::ListProviders
            | Action::ListOperations
            | Action::WatchTenants
    );
    if lists || action.group() == ActionGroup::Own { Code::Ok } else { Code::NotFound }
}

fn code(result: &Result<Vec<u8>, Status>) -> Code {
    result.as_ref().map_or_else(Status::code, |_| Code::Ok)
}

#[tokio::test]
async fn every_rpc_by_every_kind_of_caller() {
    every_rpc(World::start(Expected).await).await;
}

#[tokio::test]
async fn every_rpc_by_the_shipped_policies() {
    every_rpc(World::start(landlord_auth::policy::Policies::open(None).unwrap()).await).await;
}

async fn every_rpc(world: World) {
    for action in called() {
        for token in ["", "expired"] {
            let refused = world.call(token, action).await.unwrap_err();
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::Unauthenticated, "UNAUTHENTICATED"),
                "{action:?}"
            );
        }
        for token in ["globex-portal", "nobody"] {
            let result = world.call(token, action).await;
            // Every portal may know what can be ordered.
            let classes = matches!(action, Action::ListTenantClasses | Action::GetTenantClass);
            // It may read the installation, so it may know what it may not know.
            let daemons = matches!(action, Action::ListDaemons | Action::GetDaemon);
            let expected = match token {
                "globex-portal" if classes => Code::Ok,
                "globex-portal" if daemons => Code::PermissionDenied,
                _ => hidden(action),
            };
            assert_eq!(code(&result), expected, "{token} {action:?}: {result:?}");
            // A list is empty, a watch begins and shows nothing.
            if let (Ok(message), Code::Ok) = (&result, hidden(action)) {
                let shown = String::from_utf8_lossy(message).contains("acme");
                assert!(!shown || action == Action::WhoAmI, "{token} {action:?} shows {message:?}");
            }
        }
        let by_auditor = world.call("auditor", action).await;
        let expected = match action.group() {
            ActionGroup::Read | ActionGroup::Own => Code::Ok,
            ActionGroup::Operate | ActionGroup::Administer => Code::PermissionDenied,
        };
        assert_eq!(code(&by_auditor), expected, "auditor {action:?}: {by_auditor:?}");
        assert!(code(&by_auditor) != Code::Ok || action.group() != ActionGroup::Administer, "{action:?}");
        if let Err(denied) = &by_auditor
            && denied.code() == Code::PermissionDenied
        {
            assert!(denied.message().contains(action.as_str()), "{action:?}: {denied:?}");
        }
        let upon_customers = action
            .kinds()
            .iter()
            .any(|kind| matches!(kind, ResourceKind::Customer | ResourceKind::Tenant | ResourceKind::Operation));
        if action.group() == ActionGroup::Administer || !upon_customers {
            continue;
        }
        // The customer's own user reads, and nothing else.
        let by_user = code(&world.call("acme-user", action).await);
        match action.group() {
            ActionGroup::Read | ActionGroup::Own => assert_eq!(by_user, Code::Ok, "{action:?}"),
            _ if action == Action::GenerateKubeconfig => assert_ne!(by_user, Code::PermissionDenied),
            _ => assert_eq!(by_user, Code::PermissionDenied, "{action:?}"),
        }
        for token in ["acme-portal", "portal", "operator"] {
            let result = world.call(token, action).await;
            let refused = matches!(code(&result), Code::Unauthenticated | Code::PermissionDenied | Code::NotFound);
            assert!(!refused, "{token} {action:?}: {result:?}");
        }
    }
    for action in [Action::GetHostCluster, Action::CordonHostCluster, Action::DeleteHostCluster] {
        let result = world.call("operator", action).await;
        let refused = matches!(code(&result), Code::Unauthenticated | Code::PermissionDenied | Code::NotFound);
        assert!(!refused, "{action:?}: {result:?}");
    }
    world.daemon.stop.cancel();
}

#[tokio::test]
async fn an_operators_kubeconfig_is_not_a_customers() {
    let world = World::start(Expected).await;
    for (token, expected) in [
        ("acme-user", Code::PermissionDenied),
        ("acme-portal", Code::PermissionDenied),
        ("globex-portal", Code::NotFound),
        // Nothing is READY yet.
        ("operator", Code::FailedPrecondition),
    ] {
        let mut client = v1::tenant_service_client::TenantServiceClient::new(world.channel.clone());
        let subject = v1::generate_kubeconfig_request::Subject::Operator.into();
        let mut request =
            Request::new(v1::GenerateKubeconfigRequest { name: PROD.into(), subject, ..Default::default() });
        request.metadata_mut().insert("authorization", format!("bearer {token}").parse().unwrap());
        let refused = client.generate_kubeconfig(request).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{token}: {refused:?}");
    }
}

#[tokio::test]
async fn pages_are_full_of_what_is_shown_and_watches_show_nothing_else() {
    let world = World::start(Expected).await;
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(world.channel.clone());
    let by = |token: &str| -> tonic::metadata::MetadataValue<_> { format!("Bearer {token}").parse().unwrap() };
    for index in 0..7 {
        for customer in ["acme", "globex"] {
            let mut request = Request::new(order(customer, &format!("t{index}")));
            request.metadata_mut().insert("authorization", by("operator"));
            tenants.create_tenant(request).await.unwrap();
        }
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let list =
            v1::ListTenantsRequest { parent: "customers/-".into(), page_size: 3, page_token, ..Default::default() };
        let mut request = Request::new(list);
        request.metadata_mut().insert("authorization", by("globex-portal"));
        let page = tenants.list_tenants(request).await.unwrap().into_inner();
        assert!(page.next_page_token.is_empty() || page.tenants.len() == 3, "a short page in the middle");
        names.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 7, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("customers/globex/")), "{names:?}");
    let mut watch = Request::new(v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: "0".into() });
    watch.metadata_mut().insert("authorization", by("globex-portal"));
    let mut stream = tenants.watch_tenants(watch).await.unwrap().into_inner();
    let mut seen = BTreeSet::new();
    while seen.len() < 7 {
        if let Some(event) = stream.message().await.unwrap().unwrap().event {
            assert!(event.tenant.starts_with("customers/globex/"), "{event:?}");
            seen.insert(event.tenant);
        }
    }
    let mut operations = lro::operations_client::OperationsClient::new(world.channel.clone());
    let mut request = Request::new(lro::ListOperationsRequest { page_size: 100, ..Default::default() });
    request.metadata_mut().insert("authorization", by("globex-portal"));
    assert_eq!(operations.list_operations(request).await.unwrap().into_inner().operations.len(), 7);
}
