//! Who did what, as auditors see it.

use std::collections::BTreeSet;

use landlord_auth::policy::Policies;
use landlord_core::{
    OperationOutcome, State,
    access::{Action, ActionGroup},
    audit::Outcome,
    ports::{AuditQuery, AuditStore as _, KeptEntry},
};
use landlord_proto::v1;
use tonic::{Code, Request};

use crate::{
    common::{PLANTED, PROD, order, reason},
    requests::World,
};

type Client = v1::audit_service_client::AuditServiceClient<tonic::transport::Channel>;

async fn world() -> World {
    World::start(Policies::open(None).unwrap()).await
}

async fn log(world: &World) -> Vec<KeptEntry> {
    world.daemon.store.entries(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).await.unwrap()
}

async fn listed(world: &World, name: &str, filter: &str) -> Vec<v1::AuditEvent> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let list = v1::ListAuditEventsRequest { filter: filter.into(), page_size: 2, page_token };
        let mut request = Request::new(list);
        request.metadata_mut().insert("authorization", world.bearer(name));
        let page = Client::new(world.channel.clone()).list_audit_events(request).await.unwrap().into_inner();
        found.extend(page.audit_events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

/// Rpcs that change nothing in the store, though their group may: each with what it does instead.
const NO_CHANGE: [(Action, &str); 15] = [
    (Action::MoveTenant, "only plans"),
    (Action::VerifyTenant, "uses the environment"),
    (Action::GenerateKubeconfig, "recorded where one is given away"),
    (Action::GenerateOperatorKubeconfig, "recorded where one is given away"),
    (Action::ListOrphans, "reads"),
    (Action::DeleteOrphan, "there is none"),
    (Action::DeleteOperation, "is not built"),
    (Action::CheckAccessOfOthers, "reads"),
    (Action::RetryTenant, "nothing has failed"),
    (Action::GetTenantAccess, "recorded where credentials are read"),
    (Action::RotateTenantCredentials, "recorded where there are any"),
    (Action::UpdateTenantRevision, "nothing is outdated"),
    (Action::UpdateHostClusterRevision, "nothing is outdated"),
    (Action::GetTenantLogs, "recorded where they are read"),
    (Action::DiffTenant, "compares"),
];

#[tokio::test]
async fn every_rpc_that_changes_something_is_in_the_log() {
    let world = world().await;
    let mut changing: Vec<Action> = Action::ALL
        .iter()
        .copied()
        .filter(|action| matches!(action.group(), ActionGroup::Operate | ActionGroup::Administer))
        .filter(|action| !NO_CHANGE.iter().any(|(none, _)| none == action) && *action != Action::RetryHostCluster)
        .collect();
    // What ends resources comes last.
    changing.sort_by_key(|action| match action {
        Action::DeleteCustomer => 3,
        Action::DeleteTenant => 2,
        Action::DeleteHostCluster => 1,
        _ => 0,
    });
    for action in &changing {
        if let Err(status) = world.call("operator", *action).await
            && status.code() != Code::AlreadyExists
        {
            panic!("{action:?}: {status:?}");
        }
    }
    let log = log(&world).await;
    let of_operator = log.iter().filter(|kept| kept.entry.record.author.principal == "corp:operator");
    let recorded: BTreeSet<&str> = of_operator.map(|kept| kept.entry.record.author.action.as_str()).collect();
    let missing: Vec<_> = changing.iter().filter(|action| !recorded.contains(action.as_str())).collect();
    assert!(missing.is_empty(), "an rpc of these groups changes something, or is named in NO_CHANGE: {missing:?}");
    let first = &log[0].entry.record.author;
    assert_eq!((first.method.as_str(), first.address.starts_with("127.0.0.1:")), ("TOKEN", true), "{first:?}");
    assert!(first.user_agent.starts_with("tonic/"), "{first:?}");
}

#[tokio::test]
async fn denials_are_summed_up_by_principal() {
    let world = world().await;
    for _ in 0..50 {
        world.call("globex-portal", Action::GetTenant).await.unwrap_err();
    }
    world.call("acme-user", Action::DeleteTenant).await.unwrap_err();
    world.call_with("", Action::GetTenant).await.unwrap_err();
    let World { daemon, channel, .. } = world;
    drop(channel);
    daemon.stop.cancel();
    daemon.served.await.unwrap().unwrap();
    let log = daemon.store.entries(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).await.unwrap();
    let denied: Vec<_> = log
        .iter()
        .map(|kept| &kept.entry.record)
        .filter(|record| record.outcome != Outcome::Done)
        .map(|record| (record.author.principal.as_str(), record.outcome, record.count))
        .collect();
    let expected = [
        ("anonymous", Outcome::Unauthenticated, 1),
        ("corp:acme-user", Outcome::Denied, 1),
        ("corp:globex-portal", Outcome::Denied, 50),
    ];
    assert_eq!(denied, expected);
    let globex = log.iter().find(|kept| kept.entry.record.author.principal == "corp:globex-portal").unwrap();
    assert!(globex.entry.record.detail.contains(&format!("GetTenant {PROD}")), "{globex:?}");
}

#[tokio::test]
async fn a_kubeconfig_is_given_to_nobody_unrecorded() {
    let world = world().await;
    // The tenant and the host cluster are due; both are brought to rest.
    world.daemon.settle_all(State::Ready, &OperationOutcome::Ready).await;
    world.call("acme-user", Action::GenerateKubeconfig).await.unwrap();
    world.call("operator", Action::GenerateOperatorKubeconfig).await.unwrap();
    let log = log(&world).await;
    let given: Vec<_> = log
        .iter()
        .map(|kept| &kept.entry.record)
        .filter(|record| record.author.action.ends_with("Kubeconfig"))
        .map(|record| (record.author.principal.as_str(), record.author.action.as_str(), record.resource.as_str()))
        .collect();
    let expected =
        [("corp:acme-user", "GenerateKubeconfig", PROD), ("corp:operator", "GenerateOperatorKubeconfig", PROD)];
    assert_eq!(given, expected);
    assert!(!log.iter().any(|kept| kept.text.contains("token-of-")), "a secret is in the log");
    // What can't be recorded is not given away.
    world.daemon.store.close().await;
    let refused = world.call("acme-user", Action::GenerateKubeconfig).await.unwrap_err();
    assert_eq!(reason(&refused), "STORE_UNAVAILABLE", "{refused:?}");
}

/// Rpcs that hand out what is the customer's own (passwords, access, what its apps write), each with what the log keeps of it.
const HANDS_OUT: [(Action, &str); 5] = [
    (Action::GenerateKubeconfig, "a kubeconfig with the customer's rights"),
    (Action::GenerateOperatorKubeconfig, "a kubeconfig with landlord's own rights"),
    (Action::GetTenantAccess, "the credentials switch"),
    (Action::RotateTenantCredentials, "rotates the credentials switch"),
    (Action::GetTenantLogs, "the logs of all apps"),
];

/// Rpcs that change nothing and hand out nothing of the kind: records, counts, verdicts, plans.
const HARMLESS: [Action; 31] = [
    Action::GetTenant,
    Action::ListTenants,
    Action::WatchTenants,
    Action::ListTenantEvents,
    Action::ExplainPlacement,
    Action::MoveTenant,
    Action::VerifyTenant,
    Action::DiffTenant,
    Action::ListTenantClasses,
    Action::GetTenantClass,
    Action::GetHostCluster,
    Action::ListHostClusters,
    Action::WatchHostClusters,
    Action::ListHostClusterEvents,
    Action::ListProviders,
    Action::GetProvider,
    Action::ListOrphans,
    Action::ListDaemons,
    Action::GetDaemon,
    Action::ListWebhooks,
    Action::GetWebhook,
    Action::ListAuditEvents,
    Action::GetCustomer,
    Action::ListCustomers,
    Action::WhoAmI,
    Action::CheckAccess,
    Action::CheckAccessOfOthers,
    Action::ListOperations,
    Action::GetOperation,
    Action::WaitOperation,
    Action::Reflect,
];

/// Rpcs that change something: `every_rpc_that_changes_something_is_in_the_log`, or nothing is there to be changed.
fn changes(action: Action) -> bool {
    let not_here = [
        Action::DeleteOrphan,
        Action::DeleteOperation,
        Action::RetryTenant,
        Action::UpdateTenantRevision,
        Action::UpdateHostClusterRevision,
    ];
    not_here.contains(&action)
        || matches!(action.group(), ActionGroup::Operate | ActionGroup::Administer)
            && !NO_CHANGE.iter().any(|(none, _)| *none == action)
}

#[tokio::test]
async fn every_rpc_that_hands_something_out_is_in_the_log() {
    for action in crate::access::called() {
        let ways =
            [changes(action), HANDS_OUT.iter().any(|(hands_out, _)| *hands_out == action), HARMLESS.contains(&action)];
        let count = ways.iter().filter(|way| **way).count();
        assert_eq!(
            count, 1,
            "{action:?}: does it change something, hand something out, or neither? (this file's tables)"
        );
    }
    let world = world().await;
    world.daemon.settle_all(State::Ready, &OperationOutcome::Ready).await;
    for (action, detail) in HANDS_OUT {
        let before = log(&world).await.len();
        world.call("operator", action).await.unwrap_or_else(|status| panic!("{action:?}: {status:?}"));
        let log = log(&world).await;
        let found = log[before..].iter().map(|kept| &kept.entry.record).find(|record| {
            (record.author.principal.as_str(), record.author.action.as_str()) == ("corp:operator", action.as_str())
        });
        let record = found.unwrap_or_else(|| panic!("{action:?} is not in the log"));
        assert_eq!((record.resource.as_str(), record.outcome), (PROD, Outcome::Done), "{record:?}");
        assert!(record.detail.starts_with(detail), "{record:?}");
        assert!(!log.iter().any(|kept| kept.text.contains(PLANTED) || kept.text.contains("token-of-")));
    }
    // What can't be recorded is not given away.
    world.daemon.store.close().await;
    for (action, _) in HANDS_OUT {
        let refused = world.call("operator", action).await.unwrap_err();
        assert_eq!(reason(&refused), "STORE_UNAVAILABLE", "{action:?}: {refused:?}");
    }
}

#[tokio::test]
async fn auditors_read_the_log_and_others_what_is_theirs() {
    let world = world().await;
    for id in ["one", "two"] {
        let mut request = Request::new(order("globex", id));
        request.metadata_mut().insert("authorization", world.bearer("portal"));
        let mut tenants = v1::tenant_service_client::TenantServiceClient::new(world.channel.clone());
        tenants.create_tenant(request).await.unwrap();
    }
    let all = listed(&world, "auditor", "").await;
    assert!(all.len() >= 4, "{all:?}");
    assert!(all.iter().zip(1..).all(|(event, seq)| event.sequence == seq), "{all:?}");
    let of_portal = listed(&world, "auditor", "principal = \"corp:portal\" AND action = \"CreateTenant\"").await;
    let resources: Vec<_> = of_portal.iter().map(|event| event.resource.as_str()).collect();
    let expected = ["customers/globex", "customers/globex/tenants/one", "customers/globex/tenants/two"];
    assert_eq!(resources, expected);
    assert_eq!(listed(&world, "auditor", "customer = \"acme\" AND sequence < 3").await.len(), 2);
    assert!(listed(&world, "auditor", "event_time > \"2999-01-01T00:00:00Z\"").await.is_empty());
    for name in ["portal", "acme-portal", "acme-user", "globex-portal"] {
        let refused = world.call(name, Action::ListAuditEvents).await.unwrap_err();
        assert!(matches!(refused.code(), Code::NotFound | Code::PermissionDenied), "{name}: {refused:?}");
    }
}
