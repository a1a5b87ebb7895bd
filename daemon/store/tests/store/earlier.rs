//! A store that an earlier version wrote is read, and worked on, as if this one had written it.

use std::path::Path;

use landlord_core::{
    DesiredState, EnvironmentKind, HostClusterSpec, Level, OperationKind, OperationOutcome, Placement, Precondition,
    Stage, StageState, State, TenantSpec,
    environment::Adoption,
    ports::{
        Change, CustomerStore as _, EnvironmentQuery, EventQuery, EventScope, OperationQuery, Owners, RequestContext,
        StoreError, TenantStore as _, WorkStore as _,
    },
};
use landlord_store::Store;
use sqlx::Connection as _;

use crate::{
    assert_refused,
    fixtures::*,
    sqlite::{open, raw},
};

/// The schema of the version that wrote it.
const SCHEMA: i64 = 5;
/// Two host clusters; tenants in every state; one that is gone.
const ROWS: &str = include_str!("earlier/0005.sql");

async fn earlier(path: &Path) -> Store {
    drop(std::fs::File::create(path).unwrap());
    let mut connection = raw(path).await;
    let mut schema = sqlx::migrate!("./migrations");
    schema.migrations = schema.iter().filter(|migration| migration.version <= SCHEMA).cloned().collect();
    schema.run(&mut connection).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    open(path).await.unwrap()
}

#[tokio::test]
async fn host_clusters_of_an_earlier_version_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = earlier(&folder.path().join("landlord.db")).await;
    let all = EnvironmentQuery { owners: Owners::HostClusters, limit: 10, ..EnvironmentQuery::default() };
    let [adopted, made] = store.list(&all).await.unwrap().items.try_into().unwrap();
    let wanted = HostClusterSpec {
        labels: spec().labels,
        class: "standard".parse().ok(),
        region: Some("eu-central-1".into()),
        node_count: 3.try_into().ok(),
        deletion_protection: true,
        tenants_max: 7,
        cordoned: true,
        adoption: None,
    };
    let host_cluster = made.host_cluster().unwrap();
    assert_eq!((host_cluster.id.as_str(), &host_cluster.spec), ("made", &wanted));
    assert_eq!(host_cluster.last_ready, Some(placement()), "no placement of one changed until then");
    assert_eq!((made.kind(), made.status.state), (EnvironmentKind::HostCluster, State::Ready));
    assert_eq!(made.placement, placement());
    assert_eq!(store.get(&made.name()).await.unwrap(), made);

    let host_cluster = adopted.host_cluster().unwrap();
    let theirs = Adoption {
        cluster_name: "theirs".into(),
        network_id: "vpc-1".into(),
        private_subnet_ids: vec!["a".into(), "b".into()],
        cluster_attributes: [("ca".to_owned(), "PEM".to_owned())].into(),
        ..Adoption::default()
    };
    assert_eq!((host_cluster.spec.adoption.as_ref(), &host_cluster.last_ready), (Some(&theirs), &None));
    assert_eq!((host_cluster.spec.class.as_ref(), host_cluster.spec.node_count), (None, None));
    assert_eq!((adopted.kind(), adopted.placement.class.as_str()), (EnvironmentKind::AdoptedHostCluster, "adopted"));

    // Their requests, operations and events are found under their names.
    let order = OperationQuery { name: Some(made.name()), limit: 10, ..OperationQuery::default() };
    let [create] = store.operations(&order).await.unwrap().items.try_into().unwrap();
    assert_eq!(
        (create.kind, create.outcome, create.uid),
        (OperationKind::Create, Some(OperationOutcome::Ready), made.uid)
    );
    let events = EventQuery { scope: EventScope::HostClusters, limit: 100, ..EventQuery::default() };
    let events = store.events(&events).await.unwrap();
    assert!(
        events.iter().any(|event| event.uid == made.uid) && events.iter().all(|event| event.name.tenant().is_none())
    );
    let candidates = store.candidates("acme".parse().ok().as_ref()).await.unwrap();
    let seen: Vec<_> = candidates.iter().map(|c| (c.host.id.as_str(), c.tenants, c.of_customer, c.cordoned)).collect();
    assert_eq!(seen, [("adopted", 0, 0, false), ("made", 1, 1, true)]);

    // And they are worked on.
    assert_refused!(store.delete(&made.name(), delete()).await, StoreError::DeletionProtected(_));
    let open_again =
        store.cordon(&host_cluster_id("made"), Precondition::of_etag(&made.etag), false, once()).await.unwrap();
    assert_eq!(open_again.host_cluster().unwrap().spec, HostClusterSpec { cordoned: false, ..wanted });
    // What it goes back to is what it was then, and not what it gets.
    let renewed = Placement { skip_checks: vec!["names".into()], ..placement() };
    let change = Change::Renew { placement: renewed };
    store.change(&made.name(), Precondition::None, change, once()).await.unwrap();
    let on_trial = store.get(&made.name()).await.unwrap();
    assert_eq!(on_trial.placement.revisions.trial_generation, Some(on_trial.generation));
    assert_eq!(on_trial.host_cluster().unwrap().last_ready, Some(placement()));
    store.delete(&adopted.name(), delete()).await.unwrap();
    let claim = store.claim("a", 10, LEASE).await.unwrap().into_iter().find(|claim| claim.uid == adopted.uid).unwrap();
    let work = store.load(&claim).await.unwrap();
    assert_eq!((work.environment.desired_state, work.operation_kind), (DesiredState::Absent, OperationKind::Delete));
    assert_eq!(work.stages.len(), 1);
}

fn host_cluster_id(text: &str) -> landlord_core::HostClusterId {
    text.parse().unwrap()
}

#[tokio::test]
async fn tenants_of_an_earlier_version_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = earlier(&folder.path().join("landlord.db")).await;
    let all = EnvironmentQuery { limit: 10, ..EnvironmentQuery::default() };
    let tenants = store.list(&all).await.unwrap().items;
    let seen: Vec<_> = tenants.iter().map(|t| (t.name().to_string(), t.status.state, t.was_ready())).collect();
    let expected = [
        ("acme/tenants/prod", State::Updating, true),
        ("acme/tenants/space", State::Ready, true),
        ("bolt/tenants/failed", State::Failed, false),
        ("bolt/tenants/leaving", State::Failed, true),
        ("core/tenants/waits", State::Pending, false),
    ];
    assert_eq!(seen, expected.map(|(name, state, ready)| (format!("customers/{name}"), state, ready)));
    for (tenant, stored) in tenants.iter().zip(&seen) {
        assert_eq!(store.get(&tenant.name()).await.unwrap(), *tenant, "{stored:?}");
    }

    // Whoever has tenants is a customer, without limits.
    let customers = store.customers(None, 10).await.unwrap().items;
    let ids: Vec<&str> = customers.iter().map(|customer| customer.id.as_str()).collect();
    assert_eq!(ids, ["acme", "bolt", "core"]);
    assert!(customers.iter().all(|customer| customer.spec == Default::default()), "{customers:?}");

    // A cancelled update knows what to go back to.
    let prod = &tenants[0];
    let wanted = TenantSpec { node_count: 4.try_into().ok(), deletion_protection: true, ..larger() };
    assert_eq!(tenant_of(prod).spec, wanted);
    assert_eq!(tenant_of(prod).last_ready, Some((spec(), placement())));
    assert!(prod.cancel_requested && prod.generation == 2);
    let request = RequestContext::of_daemon();
    let again = store.change(&prod.name(), Precondition::of_etag(&prod.etag), update(spec()), request).await.unwrap();
    assert_eq!(again.environment.unwrap().generation, 3);

    // Its host cluster, and what isolates it there.
    let space = &tenants[1];
    let host = store.host_of(space).await.unwrap().unwrap();
    assert_eq!((host.host.id.as_str(), host.usable, host.adoption), ("made", true, None));
    assert_eq!((&host.network, &host.cluster), (&vec![8, 1], &vec![8, 1]));
    assert_eq!((space.placement.level, space.kind()), (Level::Namespace, EnvironmentKind::Tenant(Level::Namespace)));
    assert!(space.placement.guardrails.is_some() && space.placement.stack.is_some());
    let stage = store.stage(space.uid, DesiredState::Present, &Stage::Isolation).await.unwrap().unwrap();
    assert_eq!(stage.state, StageState::Done);

    // What failed is retried, what was leaving goes on leaving, what waited is due, and a name that is gone is free.
    store.change(&tenants[2].name(), Precondition::None, Change::Retry, once()).await.unwrap();
    let leaving = store.change(&tenants[3].name(), Precondition::None, Change::Retry, once()).await.unwrap();
    assert_eq!(leaving.environment.unwrap().status.state, State::Deleting);
    let due: Vec<_> = store.claim("a", 10, LEASE).await.unwrap().iter().map(|claim| claim.uid).collect();
    assert!([0, 2, 3, 4].iter().all(|index| due.contains(&tenants[*index].uid)), "{due:?}");
    let gone = OperationQuery { name: Some(name("core", "gone")), limit: 10, ..OperationQuery::default() };
    let [delete, create] = store.operations(&gone).await.unwrap().items.try_into().unwrap();
    assert!(matches!(delete.outcome, Some(OperationOutcome::Deleted { .. })), "{delete:?}");
    assert_eq!((create.kind, create.uid), (OperationKind::Create, delete.uid));
    created(&store, "core", "gone").await;
}
