//! A sound request for each rpc, by callers with real tokens of an issuer on this machine.

use std::{sync::Arc, time::Duration};

use landlord_auth::{
    authenticator::Callers,
    token::{Algorithm, IssuerOptions, Tokens},
};
use landlord_core::{
    access::Action,
    ports::{Authenticator, Authorizer, DaemonInfo, DaemonStore as _},
};
use landlord_grpc::Limits;
use landlord_proto::{google::longrunning as lro, v1};
use landlord_test_tokens::{Issuer, Key, claims, header, with};
use prost::Message as _;
use serde_json::json;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::common::{Daemon, PROD, order, tenant};

/// Callers by name: their group at the issuer, and the customer that they act for.
const CALLERS: [(&str, &str, &str); 7] = [
    ("operator", "admins", ""),
    ("auditor", "auditors", ""),
    ("portal", "portals", ""),
    ("acme-portal", "customer-portals", "acme"),
    ("globex-portal", "customer-portals", "globex"),
    ("acme-user", "customer-users", "acme"),
    ("nobody", "staff", ""),
];

/// An event that is there already comes by then.
const FIRST_EVENT: Duration = Duration::from_secs(1);

/// The rpc by which an action is requested.
pub(crate) fn rpc(action: Action) -> Action {
    match action {
        Action::GenerateOperatorKubeconfig => Action::GenerateKubeconfig,
        Action::CheckAccessOfOthers => Action::CheckAccess,
        action => action,
    }
}

/// The issuer of a daemon's tokens.
pub(crate) struct Login {
    issuer: Issuer,
    key: Key,
}

impl Login {
    pub(crate) async fn start() -> Self {
        let (issuer, key) = (Issuer::start().await.unwrap(), Key::new("one"));
        issuer.publish(&[key.jwk()]);
        Self { issuer, key }
    }

    /// Who believes it.
    pub(crate) fn callers(&self) -> Callers {
        let groups = [
            ("admins", "landlord:operators"),
            ("auditors", "landlord:auditors"),
            ("portals", "landlord:portals"),
            ("customer-portals", "landlord:customer-portals"),
            ("customer-users", "landlord:customer-users"),
        ];
        let options = IssuerOptions {
            name: "corp".into(),
            issuer: self.issuer.url().into(),
            audiences: vec!["landlord".into()],
            algorithms: vec![Algorithm::ES256, Algorithm::RS256],
            ca_file: None,
            bearer_file: None,
            principal_claim: "sub".into(),
            groups_claim: "groups".into(),
            customer_claim: "customer".into(),
            groups: groups.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into(),
        };
        Callers { tokens: Tokens::new(vec![options]).unwrap(), ..Callers::default() }
    }

    fn claims(&self, name: &str) -> serde_json::Value {
        let (name, group, customer) = CALLERS.iter().find(|(known, ..)| *known == name).unwrap();
        let claims = with(&claims(self.issuer.url(), name), "groups", json!([group]));
        if customer.is_empty() { claims } else { with(&claims, "customer", json!(customer)) }
    }

    /// A right token.
    pub(crate) fn token(&self, name: &str) -> String {
        self.key.sign(&header(), &self.claims(name))
    }

    /// The same until a time (seconds since 1970).
    pub(crate) fn token_until(&self, name: &str, expires: i64) -> String {
        self.key.sign(&header(), &with(&self.claims(name), "exp", json!(expires)))
    }

    /// Wrong tokens of an operator, each with what is wrong with it.
    pub(crate) fn wrong(&self) -> Vec<(&'static str, String)> {
        let mut wrong = landlord_test_tokens::forgeries(self.issuer.url(), &self.key, &self.claims("operator"));
        wrong.push(("no token", String::new()));
        wrong
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

/// A daemon with acme's tenant and a host cluster.
pub(crate) struct World {
    pub(crate) daemon: Daemon,
    pub(crate) channel: Channel,
    pub(crate) login: Login,
    /// Of the tenant's create.
    operation: String,
}

impl World {
    pub(crate) async fn start(authorizer: impl Authorizer) -> Self {
        Self::with_limits(authorizer, Limits::default()).await
    }

    pub(crate) async fn with_limits(authorizer: impl Authorizer, limits: Limits) -> Self {
        let login = Login::start().await;
        let callers = Arc::new(login.callers());
        Self::of(login, (callers, Arc::new(authorizer)), limits).await
    }

    pub(crate) async fn of(
        login: Login,
        access: (Arc<dyn Authenticator>, Arc<dyn Authorizer>),
        limits: Limits,
    ) -> Self {
        let daemon = Daemon::with_access(access, limits).await;
        let address = daemon.tcp.unwrap();
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut world = Self { daemon, channel, login, operation: String::new() };
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
            Action::VerifyTenant => v1::VerifyTenantRequest { name }.encode_to_vec(),
            Action::GetTenantAccess => {
                let read_credentials = vec!["switch".into()];
                v1::GetTenantAccessRequest { name, read_credentials, ..Default::default() }.encode_to_vec()
            }
            Action::DiffTenant => v1::DiffTenantRequest { name }.encode_to_vec(),
            Action::GetTenantLogs => v1::GetTenantLogsRequest { name, ..Default::default() }.encode_to_vec(),
            Action::UpdateTenantRevision => {
                v1::UpdateTenantRevisionRequest { name, ..Default::default() }.encode_to_vec()
            }
            Action::RotateTenantCredentials => {
                v1::RotateTenantCredentialsRequest { name, app: "lamp".into(), ..Default::default() }.encode_to_vec()
            }
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
            Action::UpdateHostClusterRevision => {
                v1::UpdateHostClusterRevisionRequest { name: host, ..Default::default() }.encode_to_vec()
            }
            Action::DeleteHostCluster => {
                v1::DeleteHostClusterRequest { name: host, ..Default::default() }.encode_to_vec()
            }
            Action::ListProviders => v1::ListProvidersRequest::default().encode_to_vec(),
            Action::ListDaemons => v1::ListDaemonsRequest::default().encode_to_vec(),
            Action::CreateCustomer => {
                let customer = Some(v1::Customer::default());
                v1::CreateCustomerRequest { customer_id: "fresh".into(), customer, ..Default::default() }
                    .encode_to_vec()
            }
            Action::GetCustomer => v1::GetCustomerRequest { name: parent }.encode_to_vec(),
            Action::ListCustomers => v1::ListCustomersRequest::default().encode_to_vec(),
            Action::UpdateCustomer => {
                let customer = Some(v1::Customer { name: parent, display_name: "Acme".into(), ..Default::default() });
                v1::UpdateCustomerRequest { customer, ..Default::default() }.encode_to_vec()
            }
            Action::DeleteCustomer => {
                v1::DeleteCustomerRequest { name: "customers/fresh".into(), ..Default::default() }.encode_to_vec()
            }
            Action::ListAuditEvents => v1::ListAuditEventsRequest::default().encode_to_vec(),
            Action::GetDaemon => v1::GetDaemonRequest { name: "daemons/this".into() }.encode_to_vec(),
            Action::GetProvider => v1::GetProviderRequest { name: "providers/sky.main".into() }.encode_to_vec(),
            Action::ListOrphans => v1::ListOrphansRequest::default().encode_to_vec(),
            Action::DeleteOrphan => {
                let name = "orphans/00000000-0000-4000-8000-000000000000".into();
                v1::DeleteOrphanRequest { name, ..Default::default() }.encode_to_vec()
            }
            Action::ListWebhooks => v1::ListWebhooksRequest::default().encode_to_vec(),
            Action::GetWebhook => v1::GetWebhookRequest { name: "webhooks/portal".into() }.encode_to_vec(),
            Action::ReplayWebhook => {
                v1::ReplayWebhookRequest { name: "webhooks/portal".into(), event_id: "evt_1".into() }.encode_to_vec()
            }
            Action::TestWebhook => v1::TestWebhookRequest { name: "webhooks/portal".into() }.encode_to_vec(),
            Action::WhoAmI => v1::WhoAmIRequest {}.encode_to_vec(),
            Action::CheckAccess => {
                v1::CheckAccessRequest { action: "GetTenant".into(), resource: name, subject: None }.encode_to_vec()
            }
            Action::CheckAccessOfOthers => {
                let subject = Some(v1::Principal { name: "corp:somebody".into(), ..Default::default() });
                v1::CheckAccessRequest { action: "GetTenant".into(), resource: name, subject }.encode_to_vec()
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

    /// A right token as metadata.
    pub(crate) fn bearer(&self, name: &str) -> MetadataValue<Ascii> {
        format!("Bearer {}", self.login.token(name)).parse().unwrap()
    }

    /// The first message of the response to somebody.
    pub(crate) async fn call(&self, name: &str, action: Action) -> Result<Vec<u8>, Status> {
        self.call_with(&self.login.token(name), action).await
    }

    /// The first message of the response; of a watch also the first event.
    pub(crate) async fn call_with(&self, token: &str, action: Action) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(futures::stream::once(std::future::ready(self.request(action))));
        if !token.is_empty() {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let rpc = rpc(action);
        let path = format!("/{}/{}", rpc.service(), rpc.as_str());
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let response = grpc.streaming(request, PathAndQuery::try_from(path).unwrap(), Raw).await?;
        let mut stream = response.into_inner();
        let mut messages = stream.message().await?.unwrap_or_default();
        // A watch first shows where it begins.
        if matches!(rpc, Action::WatchTenants | Action::WatchHostClusters)
            && let Ok(message) = tokio::time::timeout(FIRST_EVENT, stream.message()).await
        {
            messages.extend(message?.unwrap_or_default());
        }
        Ok(messages)
    }
}
