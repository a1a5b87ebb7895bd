//! A store moved to the other database and back: equal table by table, refused when anything is not whole or somebody works on it.

use std::path::{Path, PathBuf};

use landlord_core::{
    CertificateOrder, CredentialReading, FoundObjects, OperationOutcome, Stage, State, TenantUid, Timestamp,
    certificate::OrderLimits,
    environment::{CustomerLimits, CustomerSpec},
    ports::{
        Caller, CredentialStore as _, CustomerStore as _, DaemonInfo, DaemonStore as _, EnvironmentQuery, EventQuery,
        EventScope, InventoryStore as _, Owners, ParkedEvent, RevisionStore as _, TenantStore as _, WebhookProgress,
        WebhookStore as _, WorkStore as _,
    },
    revision::{RevisionId, RevisionKey, RevisionKind},
    stage::RemovedObject,
};
use landlord_store::{
    Error, PostgresOptions, SqliteOptions, Store, postgres, sqlite,
    transfer::{self, Place, TableSum},
};
use landlord_store_contract::postgres::Server;
use sqlx::Connection as _;

use crate::fixtures::*;

async fn database() -> Place {
    let url = tokio::task::spawn_blocking(|| Server::shared().database()).await.unwrap();
    Place::Postgres(PostgresOptions { url, password: None, events_max: 100_000, create: true, installation: None })
}

async fn open(place: &Place) -> Store {
    match place {
        Place::Sqlite(path) => {
            sqlite::open(path, SqliteOptions { create: true, ..SqliteOptions::default() }).await.unwrap()
        }
        Place::Postgres(options) => postgres::open(options.clone()).await.unwrap(),
    }
}

/// Some of all that a store holds.
async fn filled(path: &Path) -> Place {
    let place = Place::Sqlite(path.to_owned());
    let store = open(&place).await;
    for tenant in ["gone", "ready", "building"] {
        created(&store, "acme", tenant).await;
        match tenant {
            "gone" => {
                store.delete(&name("acme", "gone"), delete()).await.unwrap();
                make_gone(&store).await;
            }
            "ready" => make_ready_with_a_certificate(&store).await,
            _ => make_failed(&store, Stage::Network).await,
        }
    }
    fill_more(&store).await;
    store.close().await;
    place
}

async fn make_ready_with_a_certificate(store: &Store) {
    let claim = claim_one(store).await;
    let order = CertificateOrder::of("https://acme.example.com/directory", ["*.acme.example.com".to_owned()].into());
    store.order_certificate(&claim, &order, &OrderLimits::NONE, false).await.unwrap();
    let work = store.load(&claim).await.unwrap();
    store.commit(&claim, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
}

/// What hangs on tenants, and what stands beside them.
async fn fill_more(store: &Store) {
    let limits = CustomerLimits { tenants: Some(3), ..CustomerLimits::default() };
    let spec = CustomerSpec { display_name: "Bolt".into(), limits, ..CustomerSpec::default() };
    store.create_customer(&"bolt".parse().unwrap(), spec, keyed("bolt")).await.unwrap();
    landlord_store_contract::hosting::host(store, "shared", 7).await;
    store.keep_revisions(vec![(revision(), vec![0, 159, 146, 150])]).await.unwrap();
    let ready = name("acme", "ready");
    let uid = store.get(&ready).await.unwrap().uid;
    let credentials = store.credentials(uid, &["files".to_owned()], CredentialReading::Once).await.unwrap();
    let by = Caller::Daemon;
    store.read_credentials((uid, &ready), &credentials, CredentialReading::Once, &by).await.unwrap();
    let webhook = store.claim_webhook("portal", "a", LEASE).await.unwrap().unwrap();
    let parked = ParkedEvent {
        position: 3,
        tenant: ready.tenant().unwrap().clone(),
        event_type: "dev.landlord.tenant.ready".into(),
        event_time: Timestamp(1),
        park_time: Timestamp(2),
        attempts: 3,
        error: "503".into(),
    };
    let progress = WebhookProgress { position: 5, delivered: 3, parked: vec![parked], ..WebhookProgress::default() };
    store.record_webhook(&webhook.claim, progress).await.unwrap();
    store.release_webhook(&webhook.claim).await.unwrap();
    store.begin_epoch("put back").await.unwrap();
    let objects = vec![RemovedObject { r#type: "vpc".into(), id: "vpc-1".into(), name: String::new() }];
    let orphan = FoundObjects { uid: TenantUid(uuid::Uuid::new_v4()), region: "eu-central-1".into(), objects };
    store.compare_inventory(&placement().provider_key(), Some(vec![orphan])).await.unwrap();
}

fn revision() -> RevisionKey {
    let id = RevisionId::of_digest(&"a".repeat(64)).unwrap();
    RevisionKey { kind: RevisionKind::Stack, name: "desk".into(), id }
}

/// What the API would show.
async fn shown(place: &Place) -> String {
    let store = open(place).await;
    let environments = store.list(&EnvironmentQuery { limit: 100, ..EnvironmentQuery::default() }).await.unwrap();
    let hosts = EnvironmentQuery { owners: Owners::HostClusters, limit: 100, ..EnvironmentQuery::default() };
    let hosts = store.list(&hosts).await.unwrap();
    let customers = store.customers(None, 100).await.unwrap();
    let uid = store.get(&name("acme", "ready")).await.unwrap().uid;
    let credentials = store.credentials(uid, &["files".to_owned()], CredentialReading::Once).await.unwrap();
    let webhooks = (store.webhooks().await.unwrap(), store.parked_events("portal", 10).await.unwrap());
    let others = (store.orphans().await.unwrap(), store.revision(&revision()).await.unwrap());
    let events = store.events(&EventQuery { scope: EventScope::All, after_seq: 0, limit: 100 }).await.unwrap();
    store.close().await;
    format!("{environments:?}{events:?}{hosts:?}{customers:?}{credentials:?}{webhooks:?}{others:?}")
}

fn but_identity(sums: &[TableSum]) -> Vec<&TableSum> {
    sums.iter().filter(|sum| sum.table != "identity").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_store_is_equal_table_by_table() {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| -> PathBuf { folder.path().join(file) };
    let first = filled(&at("first.db")).await;
    let before = shown(&first).await;
    let exported = transfer::export(&first, &at("first.jsonl")).await.unwrap();
    let rows = |table: &str| exported.iter().find(|sum| sum.table == table).unwrap().rows;
    assert_eq!((rows("tenants"), rows("identity")), (3, 1));
    // Of every table something is moved; heads of the audit log are signed where a key is.
    let empty: Vec<&str> = exported.iter().filter(|sum| sum.rows == 0).map(|sum| sum.table.as_str()).collect();
    assert_eq!(empty, ["audit_heads"]);
    assert!(rows("events") > 3 && rows("operations") >= 3, "{exported:?}");
    // To PostgreSQL, and from there to another file.
    let second = database().await;
    assert_eq!(transfer::import(&at("first.jsonl"), &second).await.unwrap(), exported);
    let again = transfer::export(&second, &at("second.jsonl")).await.unwrap();
    assert_eq!(but_identity(&again), but_identity(&exported));
    let third = Place::Sqlite(at("third.db"));
    assert_eq!(transfer::import(&at("second.jsonl"), &third).await.unwrap(), again);
    for moved in [&second, &third] {
        assert_eq!(shown(moved).await, before);
        // It goes on: positions of events are not given twice.
        let store = open(moved).await;
        let newest = store.newest_event().await.unwrap();
        created(&store, "acme", "later").await;
        assert!(store.newest_event().await.unwrap() > newest);
        // The audit log is one chain, over the move.
        assert!(audit_log(&store).await.len() > 5);
        store.close().await;
        drop(store);
        let refused = transfer::import(&at("first.jsonl"), moved).await.unwrap_err();
        assert!(matches!(refused, Error::Exists { .. }), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_whole_or_in_use_is_not_moved() {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| -> PathBuf { folder.path().join(file) };
    let first = filled(&at("first.db")).await;
    transfer::export(&first, &at("whole")).await.unwrap();
    let text = std::fs::read_to_string(at("whole")).unwrap();
    let short = text.trim_end().rsplit_once('\n').unwrap().0;
    let altered = text.replacen("\"building\"", "\"building2\"", 1);
    for (wrong, why) in
        [(short, "ends too early"), (altered.as_str(), "not those that were written"), ("x", "was not written by")]
    {
        std::fs::write(at("wrong"), wrong).unwrap();
        let refused = transfer::import(&at("wrong"), &Place::Sqlite(at("new.db"))).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
        assert!(!at("new.db").exists());
    }
    // Of another version.
    let header = text.lines().nth(1).unwrap();
    std::fs::write(at("wrong"), text.replacen("\"schema\":", "\"schema\":9", 1)).unwrap();
    let refused = transfer::import(&at("wrong"), &Place::Sqlite(at("new.db"))).await.unwrap_err();
    assert!(refused.to_string().contains("export and import with one version"), "{header}: {refused}");
    assert!(!at("new.db").exists(), "what was made for it is left");

    let store = open(&first).await;
    let refused = transfer::export(&first, &at("other")).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }) && !at("other").exists(), "{refused:?}");
    store.close().await;
    let second = database().await;
    let store = open(&second).await;
    let daemon = DaemonInfo { id: "d".into(), host: "h".into(), pid: 7, version: "0".into() };
    store.announce(&daemon).await.unwrap();
    let refused = transfer::export(&second, &at("other")).await.unwrap_err();
    assert!(matches!(&refused, Error::DaemonsHeard { .. }), "{refused:?}");
    let refused = transfer::import(&at("whole"), &second).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
    // Nothing was done to it: a daemon of the release before goes on, and can be started again.
    let Place::Postgres(options) = &second else { unreachable!() };
    let before = "DELETE FROM _sqlx_migrations WHERE version >= 61; DROP TABLE certificate_orders; DROP INDEX tenants_leased; DROP INDEX identity_single; ALTER TABLE identity DROP COLUMN single; ALTER TABLE identity DROP COLUMN installation";
    crate::postgres::run(&options.url, before).await;
    transfer::export(&second, &at("other")).await.unwrap_err();
    transfer::begin_epoch(&second, "put back").await.unwrap_err();
    let mut connection = sqlx::AnyConnection::connect(&options.url).await.unwrap();
    let version: i64 =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(version, 60);
    connection.close().await.unwrap();
    transfer::migrate(&second).await.unwrap();
    store.leave("d").await.unwrap();
    store.close().await;
    transfer::import(&at("whole"), &second).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_is_begun_by_hand_while_no_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    let key = placement().provider_key();
    let first = filled(&folder.path().join("first.db")).await;
    let store = open(&first).await;
    let refused = transfer::begin_epoch(&first, "put back").await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
    store.close().await;
    drop(store);
    transfer::begin_epoch(&first, "put back").await.unwrap();
    assert_eq!(open(&first).await.inventories_due(std::slice::from_ref(&key)).await.unwrap().len(), 1);

    let second = database().await;
    let store = open(&second).await;
    for (id, pid) in [("d", 7), ("e", 8)] {
        store.announce(&DaemonInfo { id: id.into(), host: "h".into(), pid, version: "0".into() }).await.unwrap();
    }
    let refused = transfer::begin_epoch(&second, "put back").await.unwrap_err();
    assert!(matches!(&refused, Error::DaemonsHeard { wait, .. } if (50..=61).contains(wait)), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("process 7 on h (heard of ") && text.contains("process 8 on h (heard of "), "{text}");
    assert!(text.contains("a fresh copy of the database names"), "{text}");
    // One left in order. The other was killed, so long ago that it lives no more; a living one is heard of again and again.
    store.leave("d").await.unwrap();
    store.close().await;
    let Place::Postgres(options) = &second else { unreachable!() };
    crate::postgres::run(&options.url, "UPDATE daemons SET heard_time = heard_time - 50000").await;
    let refused = transfer::begin_epoch(&second, "put back").await.unwrap_err();
    assert!(matches!(&refused, Error::DaemonsHeard { wait, .. } if *wait <= 11), "{refused:?}");
    crate::postgres::run(&options.url, "UPDATE daemons SET heard_time = heard_time - 10000").await;
    transfer::begin_epoch(&second, "put back").await.unwrap();
    let store = open(&second).await;
    assert_eq!(store.inventories_due(&[key]).await.unwrap().len(), 1);
    assert_eq!(store.daemons().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_brought_to_this_version_once() {
    let folder = tempfile::tempdir().unwrap();
    for place in [filled(&folder.path().join("landlord.db")).await, database().await] {
        open(&place).await.close().await;
        let (before, after) = transfer::migrate(&place).await.unwrap();
        assert!(before == after && after >= 10, "{before} {after}");
    }
}
