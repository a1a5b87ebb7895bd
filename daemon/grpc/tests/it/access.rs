//! Who may call what: every rpc of the descriptors, by every kind of caller.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use landlord_auth::policy::Policies;
use landlord_core::{
    EnvironmentName,
    access::{Action, ActionGroup, AuthMethod, Decision, OPERATORS, Principal, Resource, ResourceKind},
    ports::{Authenticator, Authorizer, Peer, Unauthenticated},
};
use landlord_grpc::Limits;
use landlord_proto::{FILE_DESCRIPTOR_SET, google::longrunning as lro, v1};
use prost::Message as _;
use tonic::{Code, Request, Status};

use crate::{
    common::{PROD, order, reason},
    requests::{Login, World, rpc},
};

/// What the shipped policies say, written once more in another way.
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
            "landlord:customer-users" => {
                let own_actions = [
                    Action::GenerateKubeconfig,
                    Action::GetTenantAccess,
                    Action::RotateTenantCredentials,
                    Action::GetTenantLogs,
                ];
                own && (group == ActionGroup::Read || own_actions.contains(&action))
            }
            _ => false,
        };
        Decision { allowed, policies: Vec::new() }
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

pub(crate) fn called() -> Vec<Action> {
    let mut actions: Vec<Action> = rpcs()
        .iter()
        .map(|(service, method)| {
            let path = format!("/{service}/{method}");
            Action::of_path(&path)
                .unwrap_or_else(|| panic!("{path} has no action: who may call it? (core/src/access.rs)"))
        })
        .chain([Action::GenerateOperatorKubeconfig, Action::CheckAccessOfOthers])
        .collect();
    // What ends resources comes last.
    let last = |action: &Action| match action {
        Action::CancelOperation => 1,
        Action::DeleteTenant => 2,
        Action::DeleteHostCluster => 3,
        Action::DeleteCustomer => 4,
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

/// Calls each of `actions` as every kind of caller, and shows what was not as it must be.
async fn mismatches(world: &World, actions: &[Action]) -> Vec<String> {
    let mut found = Vec::new();
    let wrong = world.login.wrong();
    for action in actions.iter().copied() {
        for (what, token) in &wrong {
            let result = world.call_with(token, action).await;
            let refused = result.as_ref().err().map(|status| (status.code(), reason(status)));
            if refused != Some((Code::Unauthenticated, "UNAUTHENTICATED".to_owned())) {
                found.push(format!("{what}: {action:?}: {}", got(&result)));
            }
        }
        for name in ["globex-portal", "nobody"] {
            let result = world.call(name, action).await;
            let expected = of_foreign_caller(name, action);
            if code(&result) != expected {
                found.push(format!("{name}: {action:?}: not {expected:?} but {}", got(&result)));
            }
            // A list is empty, a watch begins and shows nothing.
            let text = String::from_utf8_lossy(&result.unwrap_or_default()).into_owned();
            if let Some(hidden) = ["acme", "hostClusters/", "providers/"].iter().find(|hidden| text.contains(**hidden))
            {
                found.push(format!("{name}: {action:?} shows {hidden}"));
            }
        }
        found.extend(of_auditor(action, &world.call("auditor", action).await));
        let upon_customers = action
            .kinds()
            .iter()
            .any(|kind| matches!(kind, ResourceKind::Customer | ResourceKind::Tenant | ResourceKind::Operation));
        if action.group() == ActionGroup::Administer {
            for name in ["acme-user", "acme-portal", "portal"] {
                let result = world.call(name, action).await;
                if !is_refused(&result) {
                    found.push(format!("{name}: {action:?}: {}", got(&result)));
                }
            }
        }
        if action.group() == ActionGroup::Administer || !upon_customers {
            continue;
        }
        // The customer's own user reads, and nothing else.
        let result = world.call("acme-user", action).await;
        let fine = match action.group() {
            ActionGroup::Read | ActionGroup::Own => result.is_ok(),
            ActionGroup::Operate | ActionGroup::Administer
                if matches!(
                    action,
                    Action::GenerateKubeconfig
                        | Action::GetTenantAccess
                        | Action::RotateTenantCredentials
                        | Action::GetTenantLogs
                ) =>
            {
                code(&result) != Code::PermissionDenied
            }
            ActionGroup::Operate | ActionGroup::Administer => code(&result) == Code::PermissionDenied,
        };
        if !fine {
            found.push(format!("acme-user: {action:?}: {}", got(&result)));
        }
        for name in ["acme-portal", "portal", "operator"] {
            let result = world.call(name, action).await;
            if is_refused(&result) {
                found.push(format!("{name}: {action:?}: {}", got(&result)));
            }
        }
    }
    found
}

/// What a caller without rights upon acme meets.
fn of_foreign_caller(name: &str, action: Action) -> Code {
    let portal = name == "globex-portal";
    match action {
        Action::ListTenants
        | Action::ListHostClusters
        | Action::ListProviders
        | Action::ListOperations
        | Action::ListCustomers
        | Action::WatchTenants => Code::Ok,
        // Every portal may know what can be ordered, and so that there is an installation.
        Action::ListTenantClasses | Action::GetTenantClass if portal => Code::Ok,
        Action::CheckAccessOfOthers
        | Action::ListDaemons
        | Action::GetDaemon
        | Action::ListAuditEvents
        | Action::ListOrphans
        | Action::DeleteOrphan
        | Action::ListWebhooks
        | Action::GetWebhook
        | Action::ReplayWebhook
        | Action::TestWebhook
            if portal =>
        {
            Code::PermissionDenied
        }
        action if action.group() == ActionGroup::Own => Code::Ok,
        _ => Code::NotFound,
    }
}

fn of_auditor(action: Action, result: &Result<Vec<u8>, Status>) -> Option<String> {
    let expected = match action.group() {
        ActionGroup::Read | ActionGroup::Own => Code::Ok,
        ActionGroup::Operate | ActionGroup::Administer => Code::PermissionDenied,
    };
    // A denial names the action, or that of the rpc.
    let names = [action.as_str(), rpc(action).as_str()];
    let named = result.as_ref().err().is_none_or(|status| names.iter().any(|name| status.message().contains(name)));
    (code(result) != expected || !named).then(|| format!("auditor: {action:?}: not {expected:?} but {}", got(result)))
}

fn code(result: &Result<Vec<u8>, Status>) -> Code {
    result.as_ref().map_or_else(Status::code, |_| Code::Ok)
}

/// What somebody got, in a line.
fn got(result: &Result<Vec<u8>, Status>) -> String {
    match result {
        Ok(message) => format!("{} bytes", message.len()),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn is_refused(result: &Result<Vec<u8>, Status>) -> bool {
    matches!(code(result), Code::Unauthenticated | Code::PermissionDenied | Code::NotFound)
}

#[tokio::test]
async fn every_rpc_by_every_kind_of_caller() {
    every_rpc(World::start(Expected).await).await;
}

#[tokio::test]
async fn every_rpc_by_the_shipped_policies() {
    every_rpc(World::start(Policies::open(None).unwrap()).await).await;
}

async fn every_rpc(world: World) {
    let found = mismatches(&world, &called()).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
    for action in [Action::GetHostCluster, Action::CordonHostCluster, Action::DeleteHostCluster] {
        let result = world.call("operator", action).await;
        assert!(!is_refused(&result), "{action:?}: {}", got(&result));
    }
    world.daemon.stop.cancel();
}

/// The shipped policies, with a hole that a test chooses.
struct Holed {
    policies: Policies,
    hole: Arc<Mutex<Option<Action>>>,
}

impl Authorizer for Holed {
    fn authorize(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        let open = self.hole.lock().unwrap().is_some_and(|hole| {
            let lists = of_foreign_caller("nobody", hole) == Code::Ok;
            action == hole || (lists && hole.kinds().contains(&resource.kind()) && action == resource.kind().read())
        });
        if open {
            return Decision { allowed: true, policies: vec!["hole".into()] };
        }
        self.policies.authorize(principal, action, resource)
    }
}

#[tokio::test]
async fn the_table_notices_any_check_that_is_not_made() {
    let hole = Arc::new(Mutex::new(None));
    let world = World::start(Holed { policies: Policies::open(None).unwrap(), hole: hole.clone() }).await;
    for action in called().into_iter().filter(|action| action.group() != ActionGroup::Own) {
        *hole.lock().unwrap() = Some(action);
        let found = mismatches(&world, &[action]).await;
        assert!(!found.is_empty(), "nobody notices when {action:?} is not checked");
    }
}

/// The shipped policies without one of them. They only permit, so what one alone permits is what goes with it.
struct Without {
    policies: Policies,
    gone: Arc<Mutex<&'static str>>,
}

impl Authorizer for Without {
    fn authorize(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        let decision = self.policies.authorize(principal, action, resource);
        let is_gone = decision.policies == [format!("shipped/{}", *self.gone.lock().unwrap())];
        if is_gone { Decision::default() } else { decision }
    }
}

#[tokio::test]
async fn the_table_notices_each_shipped_policy_that_is_gone() {
    let shipped = include_str!("../../../auth/policies/landlord.cedar");
    let names: Vec<&str> = shipped.split("@id(\"").skip(1).filter_map(|policy| policy.split('"').next()).collect();
    // By the first action of each that nobody else's policy permits them.
    let noticed = [
        ("operators", Action::CreateTenant),
        ("auditors", Action::GetTenant),
        ("portals", Action::CreateTenant),
        ("customer-portals", Action::CreateTenant),
        ("order-forms", Action::ListTenantClasses),
        ("customer-users-read", Action::GetTenant),
        ("customer-users-kubeconfig", Action::GenerateKubeconfig),
        ("customer-users-access", Action::GetTenantAccess),
    ];
    assert_eq!(names, noticed.map(|(name, _)| name));
    assert!(!shipped.contains("forbid"), "what one alone forbids is another question");
    let gone = Arc::new(Mutex::new(""));
    let world = World::start(Without { policies: Policies::open(None).unwrap(), gone: gone.clone() }).await;
    for (name, action) in noticed {
        assert_eq!(mismatches(&world, &[action]).await, Vec::<String>::new(), "{name}");
        *gone.lock().unwrap() = name;
        assert!(!mismatches(&world, &[action]).await.is_empty(), "nobody notices that {name} is gone");
        *gone.lock().unwrap() = "";
    }
}

/// Believes whatever it is shown.
struct Believes;

#[tonic::async_trait]
impl Authenticator for Believes {
    async fn authenticate(&self, _: &Peer, _: Option<&str>) -> Result<Principal, Unauthenticated> {
        let groups = [OPERATORS.to_owned()].into();
        Ok(Principal { name: "somebody".into(), groups, customer: None, method: AuthMethod::Token, expire_time: None })
    }
}

#[tokio::test]
async fn the_table_notices_a_layer_that_believes_everybody() {
    let access = (Arc::new(Believes) as _, Arc::new(Policies::open(None).unwrap()) as _);
    let world = World::of(Login::start().await, access, Limits::default()).await;
    for action in called() {
        let found = mismatches(&world, &[action]).await;
        let about_tokens = found.iter().filter(|line| line.starts_with("expired") || line.starts_with("tampered"));
        assert_eq!(about_tokens.count(), 2, "{action:?}: {found:?}");
    }
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
        request.metadata_mut().insert("authorization", world.bearer(token));
        let refused = client.generate_kubeconfig(request).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{token}: {refused:?}");
    }
}

#[tokio::test]
async fn pages_are_full_of_what_is_shown_and_watches_show_nothing_else() {
    let world = World::start(Expected).await;
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(world.channel.clone());
    let by = |name: &str| world.bearer(name);
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
