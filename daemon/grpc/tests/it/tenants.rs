//! TenantService as a client sees it.

use std::{sync::atomic::Ordering, time::Duration};

use crate::common::{Daemon, PROD, fields, metadata, named, order, reason, tenant, update, violations};
use landlord_core::{
    Catalog, ErrorKind, Failure, OperationOutcome, State,
    environment::Endpoint,
    ports::{Commit, EnvironmentPatch, WorkStore as _},
    stage::RemovedObject,
};
use landlord_proto::{google::longrunning::operation::Result as Outcome, v1};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt as _;

const UUID: &str = "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4";

fn delete(name: &str) -> v1::DeleteTenantRequest {
    v1::DeleteTenantRequest { name: name.into(), ..v1::DeleteTenantRequest::default() }
}

#[tokio::test]
async fn a_tenant_is_created_read_and_listed() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let operation = client.create_tenant(order("acme", "prod")).await.unwrap().into_inner();
    assert!(!operation.done);
    let about = metadata(&operation);
    assert_eq!((about.tenant.as_str(), about.kind.as_str(), about.generation), (PROD, "create", 1));
    assert_eq!(daemon.woken.load(Ordering::SeqCst), 1, "the engine was not notified");
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!(got.state(), v1::tenant::State::Pending);
    assert_eq!((got.uid.clone(), got.latest_operation.clone()), (about.tenant_uid, operation.name));
    assert!(got.reconciling && !got.etag.is_empty() && got.create_time.is_some());
    let placement = got.placement.clone().unwrap();
    assert_eq!((placement.tenant_class.as_str(), placement.rule.as_str()), ("small", "rest"));
    assert_eq!((placement.account.as_str(), placement.region.as_str()), ("4711", "here"));
    let list = v1::ListTenantsRequest { parent: "customers/acme".into(), ..Default::default() };
    assert_eq!(client.list_tenants(list).await.unwrap().into_inner().tenants, [got]);
    let status = client.create_tenant(order("acme", "prod")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "ALREADY_EXISTS"));
    let status = client.get_tenant(named("customers/acme/tenants/other")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn a_domain_of_another_tenant_is_refused_everywhere() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let ask = |customer: &str, id: &str, domain: &str| {
        let mut order = order(customer, id);
        order.tenant.as_mut().unwrap().domain = domain.into();
        order
    };
    let first = v1::CreateTenantRequest { request_id: UUID.into(), ..ask("acme", "prod", "acme.example.com") };
    let accepted = client.create_tenant(first.clone()).await.unwrap().into_inner();
    let cases = [
        ("bolt", "acme.example.com", None),
        ("bolt", "files.acme.example.com", None),
        ("bolt", "example.com", None),
        ("acme", "acme.example.com", Some(PROD)),
    ];
    for (customer, domain, resource) in cases {
        let order = ask(customer, "second", domain);
        let dry = v1::CreateTenantRequest { validate_only: true, ..order.clone() };
        for requested in [dry, order.clone()] {
            let status = client.create_tenant(requested).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "DOMAIN_TAKEN"));
            let about = status.get_details_error_info().unwrap().metadata;
            assert_eq!(about["domain"], domain);
            assert!(about["remedy"].contains("no tenant has"), "{about:?}");
            assert_eq!(about.get("resource").map(String::as_str), resource);
            assert!(status.message().contains(domain), "{}", status.message());
            assert!(customer == "acme" || !format!("{status:?}").contains("customers/acme"), "{status:?}");
        }
        let v1::CreateTenantRequest { parent, tenant_id, tenant, .. } = order;
        let requested = v1::ExplainPlacementRequest { parent, tenant_id, tenant };
        let reported = client.explain_placement(requested).await.unwrap().into_inner();
        assert!(reported.placement.is_none() && reported.problems[0].contains(domain), "{reported:?}");
    }
    // The tenant itself, requested again, is not in its own way.
    assert_eq!(client.create_tenant(first.clone()).await.unwrap().into_inner().name, accepted.name);
    let v1::CreateTenantRequest { parent, tenant_id, tenant, .. } = first;
    let requested = v1::ExplainPlacementRequest { parent, tenant_id, tenant };
    assert!(client.explain_placement(requested).await.unwrap().into_inner().placement.is_some());
    client.create_tenant(ask("acme", "nested", "files.acme.example.com")).await.unwrap();
}

#[tokio::test]
async fn everything_wrong_with_an_order_is_reported_at_once() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let bad = v1::CreateTenantRequest {
        adopt_uid: String::new(),
        parent: "customers/../etc".into(),
        tenant_id: "Prod".into(),
        tenant: Some(v1::Tenant {
            tenant_class: "gigantic".into(),
            domain: "ACME".into(),
            storage_gib: 0,
            node_count: -1,
            ..v1::Tenant::default()
        }),
        request_id: "again".into(),
        validate_only: false,
    };
    let status = client.create_tenant(bad).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_VIOLATIONS"));
    let expected = [
        "parent",
        "request_id",
        "tenant.domain",
        "tenant.node_count",
        "tenant.storage_gib",
        "tenant.tenant_class",
        "tenant_id",
    ];
    assert_eq!(fields(&status), expected, "{}", status.message());
    // Of those that only placing can find.
    let mut many = order("acme", "prod");
    many.tenant.as_mut().unwrap().region = "nowhere".into();
    many.tenant.as_mut().unwrap().node_count = 50;
    let status = client.create_tenant(many).await.unwrap_err();
    assert_eq!(fields(&status), ["tenant.node_count", "tenant.region"], "{}", status.message());
    let all = v1::ListTenantsRequest { parent: "customers/-".into(), ..Default::default() };
    assert!(client.list_tenants(all).await.unwrap().into_inner().tenants.is_empty());
}

#[tokio::test]
async fn a_request_sent_fifty_times_at_once_makes_one_tenant() {
    let daemon = Daemon::start().await;
    let mut request = order("acme", "prod");
    request.request_id = UUID.into();
    let labels = ["a", "b", "c", "d"].map(|key| (key.to_owned(), "x".to_owned()));
    request.tenant.as_mut().unwrap().labels.extend(labels);
    let client = daemon.tenants().await;
    let calls = (0..50).map(|_| {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.create_tenant(request).await.unwrap().into_inner().name }
    });
    let mut names = futures::future::join_all(calls).await;
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 1);
    let mut other = request.clone();
    other.tenant.as_mut().unwrap().storage_gib = 200;
    let status = daemon.tenants().await.create_tenant(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn replays_are_handled_whatever_has_changed_since() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let mut create = order("acme", "prod");
    create.request_id = UUID.into();
    let created = client.create_tenant(create.clone()).await.unwrap().into_inner();
    let mut grow = update(&["storage_gib"], v1::Tenant { storage_gib: 200, ..tenant() });
    grow.request_id = "0b4dcd38-39c2-43aa-89a5-3b4c4ff4a3ba".into();
    let grown = client.update_tenant(grow.clone()).await.unwrap().into_inner();
    let more = update(&["storage_gib"], v1::Tenant { storage_gib: 300, ..tenant() });
    client.update_tenant(more).await.unwrap();
    // Requested now, this would be refused: storage only grows.
    assert_eq!(client.update_tenant(grow.clone()).await.unwrap().into_inner().name, grown.name);
    // And so would this: the class is no longer on offer.
    let bare = daemon.again(Catalog::default()).await;
    let mut client = bare.tenants().await;
    assert_eq!(client.create_tenant(create).await.unwrap().into_inner().name, created.name);
    let status = client.create_tenant(order("acme", "test")).await.unwrap_err();
    assert_eq!(fields(&status), ["tenant.tenant_class"]);
}

#[tokio::test]
async fn updates_change_what_their_mask_names_and_nothing_else() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let wanted = v1::Tenant { display_name: "Acme".into(), storage_gib: 200, ..v1::Tenant::default() };
    client.update_tenant(update(&["display_name"], wanted.clone())).await.unwrap();
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!((got.display_name.as_str(), got.storage_gib, got.generation), ("Acme", 100, 1));
    client.update_tenant(update(&["storage_gib"], wanted)).await.unwrap();
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!((got.display_name.as_str(), got.storage_gib, got.generation), ("Acme", 200, 2));
    // Without a mask: everything that may change, and the rest must be as it is.
    let whole = v1::Tenant { paused: true, ..got.clone() };
    client.update_tenant(v1::UpdateTenantRequest { tenant: Some(whole), ..Default::default() }).await.unwrap();
    assert!(client.get_tenant(named(PROD)).await.unwrap().into_inner().paused);
    let bad = v1::Tenant { storage_gib: 50, domain: "other.example.com".into(), ..tenant() };
    let status = client.update_tenant(update(&["storage_gib", "domain", "uid"], bad)).await.unwrap_err();
    assert_eq!(fields(&status), ["tenant.domain", "tenant.storage_gib", "update_mask"]);
}

#[tokio::test]
async fn etags_guard_against_lost_updates() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let seen = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    let with_etag =
        |etag: &str| update(&["display_name"], v1::Tenant { display_name: "x".into(), etag: etag.into(), ..tenant() });
    client.update_tenant(with_etag(&seen.etag)).await.unwrap();
    let mut stale = with_etag(&seen.etag);
    for validate_only in [true, false] {
        stale.validate_only = validate_only;
        let status = client.update_tenant(stale.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        let deletion = v1::DeleteTenantRequest { etag: seen.etag.clone(), validate_only, ..delete(PROD) };
        assert_eq!(client.delete_tenant(deletion).await.unwrap_err().code(), Code::Aborted);
    }
    // Without one, updates of different fields at the same moment all hold.
    let changes = [
        update(&["display_name"], v1::Tenant { display_name: "both".into(), ..tenant() }),
        update(&["deletion_protection"], v1::Tenant { deletion_protection: true, ..tenant() }),
        update(&["storage_gib"], v1::Tenant { storage_gib: 500, ..tenant() }),
        update(&["node_count"], v1::Tenant { node_count: 3, ..tenant() }),
    ];
    let calls = changes.into_iter().map(|change| {
        let mut client = client.clone();
        async move { client.update_tenant(change).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!((got.display_name.as_str(), got.storage_gib, got.node_count), ("both", 500, 3));
    assert!(got.deletion_protection);
}

/// Writes to a tenant's record as the engine does, without a pause, until dropped.
fn recording(daemon: &Daemon) -> JoinSet<()> {
    let store = daemon.store.clone();
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        let claim = store.claim("test", 10, Duration::from_secs(60)).await.unwrap().pop().expect("a tenant is due");
        for turn in 0_u64.. {
            let mut status = store.load(&claim).await.unwrap().environment.status;
            let url = format!("https://{turn}.example.com");
            status.endpoints = vec![Endpoint { name: "chat".into(), url, ..Endpoint::default() }];
            let patch = EnvironmentPatch { status: Some(status), ..EnvironmentPatch::default() };
            store.commit(&claim, Commit { environment: patch, ..Commit::default() }).await.unwrap();
        }
    });
    writer
}

#[tokio::test]
async fn a_crowd_of_changes_gets_through_while_the_engine_writes() {
    // No more than a tenant may have labels.
    const CROWD: usize = 30;
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let _recording = recording(&daemon);
    let calls = (0..CROWD).map(|index| {
        let (mut client, path) = (client.clone(), format!("labels.turn-{index}"));
        let labels = [(format!("turn-{index}"), "seen".to_owned())].into();
        async move { client.update_tenant(update(&[&path], v1::Tenant { labels, ..v1::Tenant::default() })).await }
    });
    for called in futures::future::join_all(calls).await {
        called.unwrap();
    }
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!(got.labels.values().filter(|value| *value == "seen").count(), CROWD);
}

#[tokio::test]
async fn a_tenant_stays_where_it_was_placed() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let mut gold = v1::Tenant { storage_gib: 300, ..tenant() };
    gold.labels.insert("tier".into(), "gold".into());
    // A new tenant with this label would be placed in class large, elsewhere.
    client.update_tenant(update(&["labels", "storage_gib"], gold.clone())).await.unwrap();
    let placement = client.get_tenant(named(PROD)).await.unwrap().into_inner().placement.unwrap();
    assert_eq!((placement.tenant_class.as_str(), placement.region.as_str()), ("small", "here"));
    // Also when its class is gone.
    let mut client = daemon.again(Catalog::default()).await.tenants().await;
    gold.storage_gib = 400;
    client.update_tenant(update(&["storage_gib"], gold)).await.unwrap();
    let status = client.update_tenant(update(&["node_count"], v1::Tenant { node_count: 9, ..tenant() })).await;
    assert_eq!(fields(&status.unwrap_err()), ["tenant.node_count"]);
}

#[tokio::test]
async fn validation_changes_nothing() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let dry = v1::CreateTenantRequest { validate_only: true, ..order("acme", "prod") };
    assert!(client.create_tenant(dry.clone()).await.unwrap().into_inner().done);
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap_err().code(), Code::NotFound);
    client.create_tenant(order("acme", "prod")).await.unwrap();
    assert_eq!(client.create_tenant(dry).await.unwrap_err().code(), Code::AlreadyExists);
    let before = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    let grow = update(&["storage_gib"], v1::Tenant { storage_gib: 200, ..tenant() });
    client.update_tenant(v1::UpdateTenantRequest { validate_only: true, ..grow.clone() }).await.unwrap();
    client.delete_tenant(v1::DeleteTenantRequest { validate_only: true, ..delete(PROD) }).await.unwrap();
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap().into_inner(), before);
    client.delete_tenant(delete(PROD)).await.unwrap();
    let dry = v1::UpdateTenantRequest { validate_only: true, ..grow };
    assert_eq!(client.update_tenant(dry).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(daemon.woken.load(Ordering::SeqCst), 2, "only the create and the delete are work");
}

#[tokio::test]
async fn deletion_is_guarded_repeatable_and_shows_what_it_removed() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let mut guarded = order("acme", "prod");
    guarded.tenant.as_mut().unwrap().deletion_protection = true;
    client.create_tenant(guarded).await.unwrap();
    let status = client.delete_tenant(delete(PROD)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "DELETION_PROTECTED"));
    client.update_tenant(update(&["deletion_protection"], tenant())).await.unwrap();
    let first = client.delete_tenant(delete(PROD)).await.unwrap().into_inner();
    let second = client.delete_tenant(delete(PROD)).await.unwrap().into_inner();
    assert_eq!(first.name, second.name);
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!(got.state(), v1::tenant::State::Deleting);
    assert!(got.delete_time.is_some());
    let object = RemovedObject { r#type: "AWS::EKS::Cluster".into(), id: "c-1".into(), name: String::new() };
    daemon.settle(State::Deleting, OperationOutcome::Deleted { removed: vec![object] }).await;
    let name = first.name;
    let get = landlord_proto::google::longrunning::GetOperationRequest { name };
    let ended = daemon.operations().await.get_operation(get).await.unwrap().into_inner();
    let Some(Outcome::Response(response)) = ended.result else { panic!("{ended:?}") };
    let response: v1::DeleteTenantResponse = response.to_msg().unwrap();
    assert_eq!((response.removed.len(), response.removed[0].id.as_str()), (1, "c-1"));
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.delete_tenant(delete(PROD)).await.unwrap_err().code(), Code::NotFound);
    // What happened to it can still be read.
    let events = v1::ListTenantEventsRequest { parent: PROD.into(), ..Default::default() };
    let events = client.list_tenant_events(events).await.unwrap().into_inner().events;
    assert_eq!(events.first().unwrap().reason, "CreateAccepted");
}

#[tokio::test]
async fn only_what_failed_is_retried() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let retry = v1::RetryTenantRequest { name: PROD.into(), ..Default::default() };
    let status = client.retry_tenant(retry.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "FAILED_PRECONDITION"));
    let failure = Failure::new(ErrorKind::Quota, "no network is left").with_remedy("raise the quota");
    daemon.settle(State::Failed, OperationOutcome::Failed { failure }).await;
    let operation = client.retry_tenant(retry).await.unwrap().into_inner();
    assert_eq!(metadata(&operation).kind, "retry");
}

#[tokio::test]
async fn lists_are_paged_filtered_and_bound_to_their_tokens() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    for (customer, id) in [("acme", "a"), ("acme", "b"), ("acme", "c"), ("globex", "a")] {
        client.create_tenant(order(customer, id)).await.unwrap();
    }
    let mut list = v1::ListTenantsRequest { parent: "customers/-".into(), page_size: 3, ..Default::default() };
    let mut names = Vec::new();
    loop {
        let page = client.list_tenants(list.clone()).await.unwrap().into_inner();
        assert!(page.tenants.len() <= 3);
        names.extend(page.tenants.into_iter().map(|tenant| tenant.name));
        list.page_token = page.next_page_token;
        if list.page_token.is_empty() {
            break;
        }
        // A token fits only the list that it came from.
        let other = v1::ListTenantsRequest { parent: "customers/acme".into(), ..list.clone() };
        assert_eq!(fields(&client.list_tenants(other).await.unwrap_err()), ["page_token"]);
    }
    let expected = ["acme/tenants/a", "acme/tenants/b", "acme/tenants/c", "globex/tenants/a"];
    assert_eq!(names, expected.map(|name| format!("customers/{name}")));
    let cases = [
        (r#"customer = "globex""#, 1),
        (r"provider = sky AND tenant_class = small", 4),
        ("state = READY", 0),
        ("(state = READY OR state = PENDING) AND customer = acme", 3),
        ("tenant_class = large", 0),
    ];
    for (filter, count) in cases {
        let list = v1::ListTenantsRequest { parent: "customers/-".into(), filter: filter.into(), ..Default::default() };
        assert_eq!(client.list_tenants(list).await.unwrap().into_inner().tenants.len(), count, "{filter}");
    }
    let negative = v1::ListTenantsRequest { parent: "customers/-".into(), page_size: -1, ..Default::default() };
    assert_eq!(fields(&client.list_tenants(negative).await.unwrap_err()), ["page_size"]);
}

#[tokio::test]
async fn events_are_paged_oldest_first() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    client.update_tenant(update(&["storage_gib"], v1::Tenant { storage_gib: 200, ..tenant() })).await.unwrap();
    client.delete_tenant(delete(PROD)).await.unwrap();
    let mut list = v1::ListTenantEventsRequest { parent: PROD.into(), page_size: 1, ..Default::default() };
    let mut reasons = Vec::new();
    loop {
        let page = client.list_tenant_events(list.clone()).await.unwrap().into_inner();
        reasons.extend(page.events.into_iter().map(|event| event.reason));
        list.page_token = page.next_page_token;
        if list.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(reasons, ["CreateAccepted", "UpdateAccepted", "DeleteAccepted"]);
}

#[tokio::test]
async fn kubeconfigs_are_made_once_there_is_a_cluster() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let request = v1::GenerateKubeconfigRequest { name: PROD.into(), ..Default::default() };
    let status = client.generate_kubeconfig(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("wait until it is READY"), "{}", status.message());
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let response = client.generate_kubeconfig(request.clone()).await.unwrap().into_inner();
    let config: serde_json::Value = serde_json::from_str(&response.kubeconfig).unwrap();
    assert_eq!(config["current-context"], "acme-prod");
    assert_eq!(config["clusters"][0]["cluster"]["server"], "https://kube.example.com");
    assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], "UEVN");
    assert_eq!(config["users"][0]["user"]["token"], "token-of-an-operator");
    assert_eq!(response.expire_time.unwrap().seconds, 60);

    // The customer's: another identity, its own namespace, and the time that was requested.
    let minutes = |minutes: i64| Some(prost_types::Duration { seconds: minutes * 60, nanos: 0 });
    let subject = v1::generate_kubeconfig_request::Subject::Customer.into();
    let request = v1::GenerateKubeconfigRequest { subject, valid_duration: minutes(20), ..request };
    let response = client.generate_kubeconfig(request.clone()).await.unwrap().into_inner();
    let config: serde_json::Value = serde_json::from_str(&response.kubeconfig).unwrap();
    assert_eq!(config["current-context"], "acme-prod-customer");
    assert_eq!(config["contexts"][0]["context"]["namespace"], "tenant-prod");
    assert_eq!(config["users"][0]["user"]["token"], "token-of-a-customer");
    assert_eq!(response.expire_time.unwrap().seconds, 20 * 60);
    let request = v1::GenerateKubeconfigRequest { valid_duration: minutes(61), ..request };
    assert_eq!(fields(&client.generate_kubeconfig(request).await.unwrap_err()), ["valid_duration"]);
}

#[tokio::test]
async fn a_tenant_is_verified_on_request_once_there_is_a_cluster() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let request = v1::VerifyTenantRequest { name: PROD.into() };
    assert_eq!(client.verify_tenant(request.clone()).await.unwrap_err().code(), Code::FailedPrecondition);
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let checks = client.verify_tenant(request).await.unwrap().into_inner().checks;
    let outcomes: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.outcome())).collect();
    use v1::check_result::Outcome::{Failed, NotRun, Passed};
    assert_eq!(outcomes, [("sftp", Passed), ("chat-knows-the-file", Failed), ("chat-answers", NotRun)]);
    assert_eq!(
        (checks[1].detail.as_str(), checks[1].remedy.as_str()),
        ("probe-1.txt is not known", "see container documents")
    );
    assert_eq!(checks[0].run_duration, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
    let nobody = v1::VerifyTenantRequest { name: "customers/acme/tenants/none".into() };
    assert_eq!(client.verify_tenant(nobody).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_update_without_a_mask_changes_what_is_populated() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let mut order = order("acme", "prod");
    let tenant = order.tenant.as_mut().unwrap();
    tenant.deletion_protection = true;
    tenant.node_count = 3;
    tenant.labels = [("tier".to_owned(), "gold".to_owned())].into();
    client.create_tenant(order).await.unwrap();
    let name = PROD.to_owned();
    let change = v1::Tenant { name: name.clone(), display_name: "Acme".into(), storage_gib: 200, ..Default::default() };
    let without = v1::UpdateTenantRequest { tenant: Some(change), ..Default::default() };
    client.update_tenant(without).await.unwrap();
    let seen = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!((seen.display_name.as_str(), seen.storage_gib, seen.node_count), ("Acme", 200, 3));
    assert!(seen.deletion_protection && seen.labels["tier"] == "gold");
    let moved = v1::Tenant { name, domain: "elsewhere.example.com".into(), ..Default::default() };
    let status = client.update_tenant(v1::UpdateTenantRequest { tenant: Some(moved), ..Default::default() }).await;
    assert_eq!(fields(&status.unwrap_err()), ["tenant.domain"]);
    // A star replaces the whole.
    let whole = update(&["*"], v1::Tenant { name: PROD.into(), storage_gib: 200, ..Default::default() });
    client.update_tenant(whole).await.unwrap();
    let seen = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert!(seen.display_name.is_empty() && seen.labels.is_empty() && !seen.deletion_protection);
}

#[tokio::test]
async fn names_hold_nothing_that_a_terminal_hides_and_request_ids_are_real() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    for hidden in ['\u{1b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\n', '\u{9b}'] {
        let mut request = order("acme", "prod");
        request.tenant.as_mut().unwrap().display_name = format!("Acme{hidden}GmbH");
        let refused = violations(&client.create_tenant(request).await.unwrap_err());
        let code = format!("U+{:04X}", u32::from(hidden));
        assert!(refused.len() == 1 && refused[0].1.contains(&code), "{code}: {refused:?}");
    }
    let mut request = order("acme", "prod");
    request.tenant.as_mut().unwrap().display_name = "Müller & Söhne — 東京 👩\u{200d}💻".into();
    let nil = "00000000-0000-0000-0000-000000000000";
    let refused = v1::CreateTenantRequest { request_id: nil.into(), ..request.clone() };
    assert_eq!(fields(&client.create_tenant(refused).await.unwrap_err()), ["request_id"]);
    client.create_tenant(request).await.unwrap();
    let retry = v1::RetryTenantRequest { name: PROD.into(), request_id: nil.into(), ..Default::default() };
    assert_eq!(fields(&client.retry_tenant(retry).await.unwrap_err()), ["request_id"]);
    let plan = v1::MoveTenantRequest { name: PROD.into(), request_id: "x".into(), ..Default::default() };
    assert_eq!(fields(&client.move_tenant(plan).await.unwrap_err()), ["request_id"]);
}

#[tokio::test]
async fn tenants_are_chosen_and_ordered_across_pages() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    for (customer, id, storage_gib, tier) in
        [("acme", "a", 30, "gold"), ("acme", "b", 10, "tin"), ("bolt", "a", 20, "gold"), ("bolt", "c", 10, "")]
    {
        let mut request = order(customer, id);
        let tenant = request.tenant.as_mut().unwrap();
        tenant.storage_gib = storage_gib;
        if !tier.is_empty() {
            tenant.labels.insert("tier".into(), tier.into());
        }
        client.create_tenant(request).await.unwrap();
    }
    let all = ["acme/a", "acme/b", "bolt/a", "bolt/c"];
    for (filter, order_by, expected) in [
        ("", "", &all[..]),
        ("labels.tier = gold", "", &["acme/a", "bolt/a"]),
        ("labels.tier != gold", "", &["acme/b", "bolt/c"]),
        ("NOT labels:tier OR storage_gib > 25", "", &["acme/a", "bolt/c"]),
        ("name = \"customers/acme/*\"", "", &["acme/a", "acme/b"]),
        ("domain = a.of-bolt.example.com", "", &["bolt/a"]),
        ("level = CLUSTER AND provider = sky AND create_time > 2000-01-01T00:00:00Z", "", &all),
        ("level != CLUSTER", "", &[]),
        ("state = PENDING AND NOT tenant_class = small", "", &["acme/a", "bolt/a"]),
        ("", "storage_gib desc", &["acme/a", "bolt/a", "acme/b", "bolt/c"]),
        ("customer = bolt", "storage_gib, name desc", &["bolt/c", "bolt/a"]),
        ("", "name desc", &["bolt/c", "bolt/a", "acme/b", "acme/a"]),
    ] {
        for page_size in [1, 3, 100] {
            let (mut found, mut page_token) = (Vec::new(), String::new());
            loop {
                let list = v1::ListTenantsRequest {
                    parent: "customers/-".into(),
                    filter: filter.into(),
                    order_by: order_by.into(),
                    page_size,
                    page_token,
                };
                let page = client.list_tenants(list).await.unwrap().into_inner();
                found.extend(
                    page.tenants
                        .into_iter()
                        .map(|tenant| tenant.name.replace("customers/", "").replace("/tenants/", "/")),
                );
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(found, expected, "{filter:?} by {order_by:?}, pages of {page_size}");
        }
    }
    for (filter, order_by, field) in [("size = 1", "", "filter"), ("", "labels", "order_by"), ("", "size", "order_by")]
    {
        let list = v1::ListTenantsRequest {
            parent: "customers/-".into(),
            filter: filter.into(),
            order_by: order_by.into(),
            ..Default::default()
        };
        assert_eq!(fields(&client.list_tenants(list).await.unwrap_err()), [field]);
    }
}

#[tokio::test]
async fn nobody_orders_for_the_customer_of_orphans_nor_adopts_what_is_none() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let status = client.create_tenant(order("orphans", "prod")).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["parent".to_owned()]));
    let adopting = |uid: &str| v1::CreateTenantRequest { adopt_uid: uid.into(), ..order("acme", "prod") };
    let status = client.create_tenant(adopting("none")).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["adopt_uid".to_owned()]));
    let dry = v1::CreateTenantRequest { validate_only: true, ..adopting(UUID) };
    for requested in [dry, adopting(UUID)] {
        let status = client.create_tenant(requested).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
    }
}

#[tokio::test]
async fn a_changed_class_names_who_differs_from_it() {
    let daemon = Daemon::start().await;
    let created = daemon.tenants().await.create_tenant(order("acme", "prod")).await;
    created.unwrap();
    let got = daemon.tenants().await.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!(got.class_differences, Vec::<String>::new());
    let mut catalog = crate::common::catalog();
    let small = catalog.classes.get_mut(&"small".parse().unwrap()).unwrap();
    small.parameters.insert("nat".into(), "per_zone".into());
    small.machine_type = "larger".into();
    // What the order says, or only offers, is no difference.
    small.node_count_max += 1;
    small.description = "other words".into();
    let daemon = daemon.again(catalog).await;
    let mut client = daemon.tenants().await;
    let got = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!(got.class_differences, ["machine_type", "parameters.nat"]);
    for (filter, names) in [("class_differs = true", vec![PROD]), ("class_differs = false", vec![])] {
        let list = v1::ListTenantsRequest { parent: "customers/-".into(), filter: filter.into(), ..Default::default() };
        let found = client.list_tenants(list).await.unwrap().into_inner().tenants;
        assert_eq!(found.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), names, "{filter}");
        assert!(found.iter().all(|tenant| tenant.class_differences.len() == 2));
    }
}

#[tokio::test]
async fn what_a_class_says_now_reaches_who_asks_for_it() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let request = |parts: &[&str]| v1::UpdateTenantRevisionRequest {
        name: PROD.into(),
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        ..Default::default()
    };
    let current = client.update_tenant_revision(request(&[])).await.unwrap_err();
    assert!(current.code() == Code::FailedPrecondition && current.message().contains("already"), "{current:?}");
    let mut catalog = crate::common::catalog();
    catalog.classes.get_mut(&"small".parse().unwrap()).unwrap().skip_checks = vec!["certificates".into()];
    let daemon = daemon.again(catalog).await;
    let mut client = daemon.tenants().await;
    assert_eq!(fields(&client.update_tenant_revision(request(&["roof"])).await.unwrap_err()), ["parts"]);
    let stack = client.update_tenant_revision(request(&["stack"])).await.unwrap_err();
    assert_eq!(stack.code(), Code::FailedPrecondition, "its stack is as on disk: {stack:?}");
    let seen = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!((seen.class_differences, seen.generation), (vec!["skip_checks".to_owned()], 1));
    let dry = client
        .update_tenant_revision(v1::UpdateTenantRevisionRequest { validate_only: true, ..request(&[]) })
        .await
        .unwrap()
        .into_inner();
    assert!(dry.done && dry.name.is_empty());
    let operation = client.update_tenant_revision(request(&["class"])).await.unwrap().into_inner();
    assert!(!operation.done);
    let seen = client.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!((seen.class_differences.len(), seen.generation), (0, 2));
    assert_eq!(seen.latest_operation, operation.name);
}
