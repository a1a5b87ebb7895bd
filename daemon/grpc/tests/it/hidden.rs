//! What a caller may not read shows nowhere: not in errors, tokens, times, nor in what a dry run says.

use std::time::Duration;

use landlord_auth::policy::Policies;
use landlord_core::{
    OperationOutcome, State,
    access::{Action, Decision, Principal, Resource, ResourceKind},
    ports::Authorizer,
};
use landlord_proto::{google::longrunning as lro, v1};
use prost::Message as _;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    common::{PROD, order, reason, tenant, update},
    requests::World,
};

type TenantClient = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

impl World {
    fn tenants(&self) -> TenantClient {
        v1::tenant_service_client::TenantServiceClient::new(self.channel.clone())
    }

    fn by<M>(&self, name: &str, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer(name));
        request
    }

    async fn create(&self, name: &str, order: v1::CreateTenantRequest) -> Result<lro::Operation, Status> {
        self.tenants().create_tenant(self.by(name, order)).await.map(tonic::Response::into_inner)
    }
}

/// The shipped policies, and one more.
fn with_policy(text: &str) -> (Policies, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.cedar"), text).unwrap();
    (Policies::open(Some(folder.path().into())).unwrap(), folder)
}

fn labelled(id: &str, tier: &str) -> v1::CreateTenantRequest {
    let mut order = order("acme", id);
    order.tenant.as_mut().unwrap().labels.insert("team".into(), tier.into());
    order
}

#[tokio::test]
async fn pages_are_full_when_most_is_hidden_and_their_tokens_reveal_nothing() {
    let (policies, _folder) = with_policy(
        "@id(\"blue\") permit (principal in Group::\"corp:staff\", action in Action::\"read\", resource is Tenant)
           when { resource.hasTag(\"team\") && resource.getTag(\"team\") == \"blue\" };",
    );
    let world = World::start(policies).await;
    for index in 0..40 {
        let team = if index % 10 == 9 { "blue" } else { "red" };
        world.create("operator", labelled(&format!("t{index:02}"), team)).await.unwrap();
    }
    let (mut names, mut page_token, mut tokens) = (Vec::new(), String::new(), Vec::new());
    loop {
        let list = v1::ListTenantsRequest {
            parent: "customers/-".into(),
            page_size: 1,
            page_token: page_token.clone(),
            ..Default::default()
        };
        let page = world.tenants().list_tenants(world.by("nobody", list)).await.unwrap().into_inner();
        names.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, &page_token).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("acme"));
        tokens.push(page_token.clone());
    }
    let expected: Vec<String> = [9, 19, 29, 39].map(|index| format!("customers/acme/tenants/t{index:02}")).into();
    assert_eq!(names, expected);
    assert_eq!(tokens.len(), 3, "a page was empty");
    // A token of another list is none.
    let list = v1::ListTenantsRequest {
        parent: "customers/acme".into(),
        page_size: 1,
        page_token: tokens.remove(0),
        ..Default::default()
    };
    let refused = world.tenants().list_tenants(world.by("nobody", list)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
}

#[tokio::test]
async fn a_watch_is_silent_about_what_others_do() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let watch = v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: String::new() };
    let mut stream = world.tenants().watch_tenants(world.by("globex-portal", watch)).await.unwrap().into_inner();
    let begins = stream.message().await.unwrap().unwrap().resume_token;
    for index in 0..20 {
        world.create("operator", order("acme", &format!("t{index}"))).await.unwrap();
    }
    let received = tokio::time::timeout(Duration::from_millis(500), stream.message()).await;
    assert!(received.is_err(), "{received:?}");
    world.create("globex-portal", order("globex", "own")).await.unwrap();
    let own = stream.message().await.unwrap().unwrap();
    assert_eq!(own.event.unwrap().tenant, "customers/globex/tenants/own");
    // The places of the two are as alike as any.
    assert_eq!(own.resume_token.len(), begins.len());
    assert!(own.resume_token.parse::<i64>().is_err());
    let again = v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: begins };
    let mut stream = world.tenants().watch_tenants(world.by("globex-portal", again)).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().unwrap().event.is_none());
    assert_eq!(stream.message().await.unwrap().unwrap().event.unwrap().tenant, "customers/globex/tenants/own");
}

/// Enough for a busy machine to open a watch with it.
const TOKEN_SECS: i64 = 6;

#[tokio::test]
async fn a_watch_ends_with_the_token_that_opened_it() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let watch = v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: String::new() };
    let mut request = Request::new(watch);
    let token = world.login.token_until("portal", landlord_test_tokens::now() + TOKEN_SECS);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut stream = world.tenants().watch_tenants(request).await.unwrap().into_inner();
    let resume_token = stream.message().await.unwrap().unwrap().resume_token;
    let ended = async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "REAUTHENTICATE"));
    let again = v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token };
    world.tenants().watch_tenants(world.by("portal", again)).await.unwrap();
}

#[tokio::test]
async fn a_full_fleet_names_its_host_clusters_only_to_those_who_may_know_them() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let mut hosts = v1::host_cluster_service_client::HostClusterServiceClient::new(world.channel.clone());
    let cordon = v1::CordonHostClusterRequest { name: "hostClusters/one".into(), ..Default::default() };
    hosts.cordon_host_cluster(world.by("operator", cordon)).await.unwrap();
    for validate_only in [true, false] {
        let mut full = order("acme", "shared");
        full.validate_only = validate_only;
        full.tenant.as_mut().unwrap().tenant_class = "pool".into();
        for (name, names_it) in [("operator", true), ("acme-portal", false), ("portal", false)] {
            let refused = world.create(name, full.clone()).await.unwrap_err();
            assert_eq!(reason(&refused), "NO_HOST_CLUSTER_CAPACITY", "{refused:?}");
            let why = refused.get_details_error_info().unwrap().metadata["why"].clone();
            let named = refused.message().contains("one: it is cordoned") || why.contains("one:");
            assert_eq!(named, names_it, "{name} {validate_only}: {refused:?}");
        }
    }
}

/// Somebody keeps host clusters and has nothing to do with tenants.
struct HostKeeper;

impl Authorizer for HostKeeper {
    fn authorize(&self, principal: &Principal, _: Action, resource: &Resource) -> Decision {
        let keeps = matches!(resource.kind(), ResourceKind::HostCluster | ResourceKind::Installation);
        Decision { allowed: keeps || principal.name == "corp:operator", policies: Vec::new() }
    }
}

#[tokio::test]
async fn a_host_cluster_in_use_names_its_tenants_only_to_those_who_may_know_them() {
    let world = World::start(HostKeeper).await;
    let mut shared = order("acme", "shared");
    shared.tenant.as_mut().unwrap().tenant_class = "pool".into();
    world.create("operator", shared).await.unwrap();
    let mut hosts = v1::host_cluster_service_client::HostClusterServiceClient::new(world.channel.clone());
    for validate_only in [true, false] {
        for (name, names_it) in [("operator", true), ("nobody", false)] {
            let delete =
                v1::DeleteHostClusterRequest { name: "hostClusters/one".into(), validate_only, ..Default::default() };
            let refused = hosts.delete_host_cluster(world.by(name, delete)).await.unwrap_err();
            assert_eq!(reason(&refused), "HOST_CLUSTER_IN_USE", "{refused:?}");
            assert_eq!(format!("{refused:?}").contains("acme"), names_it, "{name} {validate_only}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_policy_by_attributes_holds_for_dry_runs_and_for_what_something_would_become() {
    let (policies, _folder) = with_policy(
        "@id(\"no-large\") forbid (principal, action, resource is Tenant)
           when { resource has class && resource.class == \"large\" };
         @id(\"no-red\") forbid (principal, action == Action::\"UpdateTenant\", resource is Tenant)
           when { resource.hasTag(\"team\") && resource.getTag(\"team\") == \"red\" };",
    );
    let world = World::start(policies).await;
    for validate_only in [true, false] {
        let mut large = order("acme", "large");
        large.validate_only = validate_only;
        large.tenant.as_mut().unwrap().tenant_class = "large".into();
        // Nobody reads what it would become either.
        let refused = world.create("portal", large).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{validate_only}: {refused:?}");
        let mut red = update(&["labels"], tenant());
        red.validate_only = validate_only;
        red.tenant.as_mut().unwrap().labels.insert("team".into(), "red".into());
        let refused = world.tenants().update_tenant(world.by("portal", red)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    }
    let mut blue = update(&["labels"], tenant());
    blue.tenant.as_mut().unwrap().labels.insert("team".into(), "blue".into());
    world.tenants().update_tenant(world.by("portal", blue)).await.unwrap();
}

#[tokio::test]
async fn a_rule_for_others_names_them_only_to_those_who_may_know_them() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let mut wanted = order("acme", "more");
    wanted.tenant.as_mut().unwrap().tenant_class.clear();
    let explain =
        v1::ExplainPlacementRequest { parent: wanted.parent, tenant_id: wanted.tenant_id, tenant: wanted.tenant };
    let full = "it is for the customers globex, initech, not for acme; it is for customers with the label tier=gold";
    for (name, expected) in [
        ("operator", full),
        ("auditor", full),
        ("portal", full),
        ("acme-portal", "it is for other customers"),
        ("acme-user", "it is for other customers"),
    ] {
        let explained = world.tenants().explain_placement(world.by(name, explain.clone())).await.unwrap().into_inner();
        let verdict = &explained.verdicts[0];
        assert_eq!((verdict.rule.as_str(), verdict.reason.as_str()), ("negotiated", expected), "{name}");
        let names_account = matches!(name, "operator" | "auditor");
        assert_eq!(explained.placement.unwrap().account, if names_account { "4711" } else { "" }, "{name}");
    }
    // A caller for all customers, of which it may not read all.
    let (policies, _folder) = with_policy(
        "@id(\"not-initech\") forbid (principal in Group::\"landlord:portals\", action, resource)
           when { resource in Customer::\"initech\" };",
    );
    let world = World::start(policies).await;
    let explained = world.tenants().explain_placement(world.by("portal", explain)).await.unwrap().into_inner();
    let reason = "it is for other customers; it is for customers with the label tier=gold";
    assert_eq!(explained.verdicts[0].reason, reason);
}

#[tokio::test]
async fn a_tenants_host_cluster_and_account_are_for_those_who_may_read_them() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let mut shared = order("acme", "shared");
    shared.tenant.as_mut().unwrap().tenant_class = "pool".into();
    let operation = world.create("operator", shared.clone()).await.unwrap().name;
    world.daemon.settle_all(State::Ready, &OperationOutcome::Ready).await;
    for (name, host, account) in
        [("operator", "hostClusters/one", "4711"), ("auditor", "hostClusters/one", "4711"), ("acme-user", "", "")]
    {
        let check = |tenant: &v1::Tenant| {
            let placement = tenant.placement.clone().unwrap();
            assert_eq!((placement.host_cluster.as_str(), placement.account.as_str()), (host, account), "{name}");
            assert_ne!(placement.isolation.unwrap().namespace, "", "{name}");
        };
        let get = v1::GetTenantRequest { name: "customers/acme/tenants/shared".into() };
        check(&world.tenants().get_tenant(world.by(name, get)).await.unwrap().into_inner());
        let mut operations = lro::operations_client::OperationsClient::new(world.channel.clone());
        let get = lro::GetOperationRequest { name: operation.clone() };
        let ended = operations.get_operation(world.by(name, get)).await.unwrap().into_inner();
        let Some(lro::operation::Result::Response(made)) = ended.result else { panic!("{name}: it has not ended") };
        check(&v1::Tenant::decode(made.value.as_slice()).unwrap());
        for filter in [r#"host_cluster = "hostClusters/one""#, r#"account = "4711""#] {
            let list =
                v1::ListTenantsRequest { parent: "customers/acme".into(), filter: filter.into(), ..Default::default() };
            let found = world.tenants().list_tenants(world.by(name, list)).await.unwrap().into_inner().tenants;
            assert_eq!(found.is_empty(), host.is_empty(), "{name} {filter}: {found:?}");
            found.iter().filter(|tenant| tenant.name.ends_with("/shared")).for_each(check);
        }
    }
    // What an update would make of it, as well; the record keeps what is not shown.
    for validate_only in [true, false] {
        let mut renamed = update(&["display_name"], v1::Tenant { display_name: "Shared".into(), ..tenant() });
        renamed.tenant.as_mut().unwrap().name = "customers/acme/tenants/shared".into();
        renamed.validate_only = validate_only;
        let done = world.tenants().update_tenant(world.by("acme-portal", renamed)).await.unwrap().into_inner();
        if let Some(lro::operation::Result::Response(would_be)) = done.result {
            let placement = v1::Tenant::decode(would_be.value.as_slice()).unwrap().placement.unwrap();
            assert_eq!((placement.host_cluster.as_str(), placement.account.as_str()), ("", ""));
        }
    }
    let get = v1::GetTenantRequest { name: "customers/acme/tenants/shared".into() };
    let placement = world.tenants().get_tenant(world.by("operator", get)).await.unwrap().into_inner().placement;
    assert_eq!(placement.unwrap().account, "4711");
}

#[tokio::test]
async fn whoever_may_not_read_logs_does_not_learn_that_others_do() {
    let world = World::start(Policies::open(None).unwrap()).await;
    world.daemon.settle_all(State::Ready, &OperationOutcome::Ready).await;
    let endless = v1::GetTenantLogsRequest { name: PROD.into(), follow: true, ..Default::default() };
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(world.tenants().get_tenant_logs(world.by("acme-portal", endless.clone())).await.unwrap());
    }
    for (name, code) in [("globex-portal", Code::NotFound), ("acme-portal", Code::ResourceExhausted)] {
        let refused = world.tenants().get_tenant_logs(world.by(name, endless.clone())).await.unwrap_err();
        assert_eq!(refused.code(), code, "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_order_host_clusters_learns_no_class() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let mut hosts = v1::host_cluster_service_client::HostClusterServiceClient::new(world.channel.clone());
    for (id, class) in [("three", "huge"), ("Not An Id", "huge"), ("three", "small"), ("", "")] {
        let cluster = v1::HostCluster { tenant_class: class.into(), tenants_max: 2, ..Default::default() };
        let wanted = v1::CreateHostClusterRequest {
            host_cluster_id: id.into(),
            host_cluster: Some(cluster.clone()),
            ..Default::default()
        };
        let refused = hosts.create_host_cluster(world.by("portal", wanted)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{id} {class}: {refused:?}");
        let wanted = v1::AdoptHostClusterRequest {
            host_cluster_id: id.into(),
            host_cluster: Some(cluster),
            ..Default::default()
        };
        let refused = hosts.adopt_host_cluster(world.by("portal", wanted)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{id} {class}: {refused:?}");
    }
}

#[tokio::test]
async fn a_request_id_is_each_callers_own() {
    let world = World::start(Policies::open(None).unwrap()).await;
    let request_id = "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4".to_owned();
    let once = v1::CreateTenantRequest { request_id: request_id.clone(), ..order("acme", "once") };
    let first = world.create("acme-portal", once.clone()).await.unwrap();
    assert_eq!(world.create("acme-portal", once.clone()).await.unwrap().name, first.name);
    // Another portal's request with the same id is another request.
    let refused = world.create("portal", once).await.unwrap_err();
    assert_eq!(reason(&refused), "ALREADY_EXISTS", "{refused:?}");
    let other = v1::CreateTenantRequest { request_id: request_id.clone(), ..order("acme", "other") };
    assert_ne!(world.create("portal", other.clone()).await.unwrap().name, first.name);
    // A mistake of one's own is refused with one's own id.
    let reused = world.create("acme-portal", other).await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
    assert!(reused.message().contains(&request_id), "{reused:?}");
}

#[tokio::test]
async fn what_acts_for_a_customer_reaches_no_other_whatever_policies_say() {
    struct Everything;
    impl Authorizer for Everything {
        fn authorize(&self, principal: &Principal, _: Action, resource: &Resource) -> Decision {
            Decision { allowed: principal.reaches(resource), policies: Vec::new() }
        }
    }
    let world = World::start(Everything).await;
    let get = v1::GetTenantRequest { name: PROD.into() };
    let hidden = world.tenants().get_tenant(world.by("globex-portal", get.clone())).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    world.tenants().get_tenant(world.by("acme-portal", get)).await.unwrap();
    let mut operations = lro::operations_client::OperationsClient::new(world.channel.clone());
    let list = lro::ListOperationsRequest { page_size: 100, ..Default::default() };
    let found = operations.list_operations(world.by("globex-portal", list.clone())).await.unwrap().into_inner();
    assert_eq!(found.operations, []);
    let found = operations.list_operations(world.by("acme-portal", list)).await.unwrap().into_inner();
    assert_eq!(found.operations.len(), 1);
}
