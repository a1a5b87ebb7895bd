//! What only the store on SQLite promises: one owner of the file, its mode, its bounds.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use landlord_core::{
    CertificateOrder,
    certificate::{Allowance, OrderLimit, OrderLimits},
    ports::{AuditStore as _, Commit, EventKind, EventQuery, StoreError, TenantStore as _, WorkStore as _},
};
use landlord_store::{Error, SqliteOptions, Store};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{assert_refused, fixtures::*};

/// An empty store in a folder of its own.
pub(crate) async fn fresh() -> (Arc<Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("landlord.db")).await.unwrap();
    (Arc::new(store), folder)
}

pub(crate) async fn open(path: &Path) -> Result<Store, Error> {
    landlord_store::sqlite::open(path, SqliteOptions { create: true, ..SqliteOptions::default() }).await
}

/// The file by other means than the store.
pub(crate) async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

#[tokio::test]
async fn a_second_daemon_is_refused_by_name_and_pid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    let first = open(&path).await.unwrap();
    let refused = open(&path).await.unwrap_err();
    let expected = format!(
        "the store {} is in use by process {}; stop that daemon first, or give this one a store \
         of its own (store.path)",
        path.display(),
        std::process::id()
    );
    assert_eq!(refused.to_string(), expected);
    created(&first, "acme", "prod").await;
    first.close().await;
    drop(first);
    open(&path).await.unwrap().get(&name("acme", "prod")).await.unwrap();
}

#[tokio::test]
async fn a_change_that_can_not_be_recorded_is_not_made() {
    let (store, folder) = fresh().await;
    created(&*store, "acme", "prod").await;
    let mut raw = raw(&folder.path().join("landlord.db")).await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is full'); END";
    sqlx::raw_sql(full).execute(&mut raw).await.unwrap();
    let acme = name("acme", "prod");
    let before = store.get(&acme).await.unwrap();
    assert_refused!(store.create(new(&name("acme", "other"), once())).await, StoreError::Unavailable { .. });
    assert_refused!(
        store.change(&acme, landlord_core::Precondition::None, update(larger()), once()).await,
        StoreError::Unavailable { .. }
    );
    assert_refused!(store.delete(&acme, delete()).await, StoreError::Unavailable { .. });
    assert_refused!(store.cancel(before.operation, once()).await, StoreError::Unavailable { .. });
    assert_eq!(store.get(&acme).await.unwrap(), before);
    assert_refused!(store.get(&name("acme", "other")).await, StoreError::NotFound(_));
    // Nor does the engine do anything that nobody would know of.
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let ready = settle(&work, landlord_core::State::Ready, landlord_core::OperationOutcome::Ready);
    assert_refused!(store.commit(&claim, ready.clone()).await, StoreError::Unavailable { .. });
    sqlx::raw_sql("DROP TRIGGER full").execute(&mut raw).await.unwrap();
    store.commit(&claim, ready).await.unwrap();
    assert_eq!(audit_log(&*store).await.len(), 3, "the customer, the tenant, its READY");
}

#[tokio::test]
async fn whatever_is_done_to_the_audit_log_by_other_means_shows() {
    let (store, folder) = fresh().await;
    for tenant in 0..6 {
        created(&*store, "acme", &format!("t{tenant}")).await;
    }
    let lines = async |store: &Store| -> Result<(), String> {
        let query = landlord_core::ports::AuditQuery { limit: 100, ..Default::default() };
        let mut verifier = landlord_audit::Verifier::default();
        // What rows are chosen by is compared when they are read.
        for kept in store.entries(&query).await.map_err(|error| error.to_string())? {
            let (entry, hash) = (kept.text, kept.hash);
            let line = landlord_audit::Line { entry, hash, head_key_id: "".into(), head_signature: "".into() };
            verifier.take(&line).map_err(|problem| problem.to_string())?;
        }
        let end = store.audit_end().await.unwrap();
        verifier.end(Some((end.seq, &end.hash))).map(drop).map_err(|problem| problem.to_string())
    };
    lines(&store).await.unwrap();
    let path = folder.path().join("landlord.db");
    for tampering in [
        "UPDATE audit SET entry = REPLACE(entry, 'acme', 'evil') WHERE seq = 3",
        "UPDATE audit SET time = 0 WHERE seq = 7",
        "UPDATE audit SET customer = '' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 4",
        "DELETE FROM audit WHERE seq = 7",
        "UPDATE audit SET seq = -seq WHERE seq IN (2, 3); UPDATE audit SET seq = 5 + seq WHERE seq < 0",
        "INSERT INTO audit SELECT 8, time, customer, entry, hash FROM audit WHERE seq = 7",
    ] {
        let mut raw = raw(&path).await;
        sqlx::raw_sql("CREATE TABLE kept AS SELECT * FROM audit").execute(&mut raw).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(tampering)).execute(&mut raw).await.unwrap();
        assert!(lines(&store).await.is_err(), "{tampering}");
        sqlx::raw_sql("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept")
            .execute(&mut raw)
            .await
            .unwrap();
        lines(&store).await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_store_takes_no_writes_and_has_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    let store = open(&path).await.unwrap();
    let writes = (0..50).map(|tenant| {
        let store = store.clone();
        async move { store.create(new(&name("acme", &format!("t{tenant}")), once())).await }
    });
    let (responses, ()) = tokio::join!(futures::future::join_all(writes), store.close());
    let accepted = responses.iter().filter(|response| response.is_ok()).count();
    let late = store.create(new(&name("acme", "late"), once())).await;
    assert_refused!(late, StoreError::Unavailable { .. });
    drop(store);
    let mut raw = raw(&path).await;
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tenants").fetch_one(&mut raw).await.unwrap();
    assert_eq!(usize::try_from(kept).unwrap(), accepted);
}

#[tokio::test]
async fn the_file_is_the_owners_alone() {
    let (store, folder) = fresh().await;
    created(&*store, "acme", "prod").await;
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert!(files >= 3, "the file, its log and the lock, not {files}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_has_nobody_wait_for_more_than_a_window() {
    let (store, folder) = fresh().await;
    let limit = OrderLimit { max: 1, window: HOUR };
    let limits = OrderLimits { orders: limit, ..OrderLimits::NONE };
    let order = |name: &str| CertificateOrder::of("https://acme.example.com", [name.to_owned()].into());
    created(&*store, "acme", "one").await;
    let claim = claim_one(&*store).await;
    let first = store.order_certificate(&claim, &order("one.example.com"), &limits, false).await.unwrap();
    assert_eq!(first, Allowance::Granted);
    let mut raw = raw(&folder.path().join("landlord.db")).await;
    let ahead = "UPDATE certificate_orders SET order_time = order_time + 31536000000";
    assert_eq!(sqlx::query(ahead).execute(&mut raw).await.unwrap().rows_affected(), 1);
    let second = store.order_certificate(&claim, &order("two.example.com"), &limits, false).await.unwrap();
    let now = store.load(&claim).await.unwrap().now;
    assert!(matches!(second, Allowance::Wait(ref wait) if wait.until <= now.after(HOUR)), "{second:?}");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/landlord.db");
    let refused = open(&path).await.unwrap_err();
    assert!(matches!(refused, Error::File { .. }), "{refused:?}");
    assert!(refused.to_string().contains("missing/landlord.db"), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    open(&path).await.unwrap().close().await;
    let mut raw = raw(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a newer version', TRUE, X'00', 0)",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    raw.close().await.unwrap();
    let refused = open(&path).await.unwrap_err();
    assert!(matches!(refused, Error::Schema { .. }), "{refused:?}");
    assert!(refused.to_string().contains("a newer daemon may have written it"), "{refused}");
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one\n".repeat(100)).unwrap();
    let refused = open(&path).await.unwrap_err();
    assert!(matches!(refused, Error::Database { .. } | Error::Schema { .. }), "{refused:?}");
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept.starts_with("not a database"));
}

#[tokio::test]
async fn unknown_stored_values_are_named() {
    let cases = [
        ("direction", "sideways", "stored direction can't be read: unknown word \"sideways\""),
        ("status", "{\"state\":\"dreaming\"}", "stored status can't be read"),
        ("spec", "{}", "stored spec can't be read"),
        ("operation", "42", "stored operation can't be read: operation id \"42\" must be a UUID"),
    ];
    for (column, value, expected) in cases {
        let (store, folder) = fresh().await;
        created(&*store, "acme", "prod").await;
        let mut raw = raw(&folder.path().join("landlord.db")).await;
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE tenants SET {column} = $1")))
            .bind(value)
            .execute(&mut raw)
            .await
            .unwrap();
        let read = store.get(&name("acme", "prod")).await;
        assert_refused!(&read, StoreError::Corrupt { .. });
        let text = refusal(read);
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("was it written by a newer version?"), "{text}");
    }
}

#[tokio::test]
async fn old_events_go_and_their_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { events_max: 100, create: true, ..SqliteOptions::default() };
    let store = landlord_store::sqlite::open(&folder.path().join("landlord.db"), options).await.unwrap();
    created(&store, "acme", "prod").await;
    let claim = claim_one(&store).await;
    for _ in 0..25 {
        let events = vec![event(EventKind::Stage, "StageProgress"); 100];
        store.commit(&claim, Commit { events, ..Commit::default() }).await.unwrap();
    }
    let newest = store.newest_event().await.unwrap();
    assert_eq!(newest, 2_501);
    let from = |after_seq| EventQuery { after_seq, limit: 1_000, ..EventQuery::default() };
    let kept = store.events(&from(0)).await.unwrap();
    assert!(kept.len() < 1_100, "{}", kept.len());
    let oldest = kept[0].seq;
    // From just before the oldest one misses nothing.
    assert_eq!(store.events(&from(oldest - 1)).await.unwrap()[0].seq, oldest);
    let refused = store.events(&from(oldest - 2)).await;
    assert_refused!(&refused, StoreError::InvalidArgument(_));
    assert!(refusal(refused).contains("list the tenants again"));
}

#[tokio::test]
async fn a_long_message_is_cut() {
    let (store, _folder) = fresh().await;
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let mut long = event(EventKind::Stage, "StageFailed");
    long.message = "ü".repeat(5_000);
    store.commit(&claim, Commit { events: vec![long], ..Commit::default() }).await.unwrap();
    let newest = store.newest_event().await.unwrap();
    let query = EventQuery { after_seq: newest - 1, limit: 1, ..EventQuery::default() };
    let read = store.events(&query).await.unwrap();
    assert_eq!(read[0].event.message.chars().count(), 2_000);
}

#[tokio::test]
async fn a_refused_write_leaves_its_neighbours_alone() {
    let (store, _folder) = fresh().await;
    created(&*store, "acme", "taken").await;
    let writes = (0..30).map(|turn| {
        let name = if turn % 3 == 0 { "taken".to_owned() } else { format!("t{turn}") };
        let store = Arc::clone(&store);
        async move { store.create(new(&crate::fixtures::name("acme", &name), once())).await }
    });
    let responses = futures::future::join_all(writes).await;
    for (turn, response) in responses.iter().enumerate() {
        assert_eq!(response.is_ok(), turn % 3 != 0, "{response:?}");
    }
    assert_eq!(store.claim("a", 100, LEASE).await.unwrap().len(), 21);
}

#[tokio::test]
async fn reservations_of_an_earlier_version_are_filled_in() {
    use landlord_core::{HostSelector, Level, Placement, ReservePercent, ports::NewHostCluster, ports::NewTenant};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    let store = open(&path).await.unwrap();
    let host =
        NewHostCluster { id: "one".parse().unwrap(), spec: host_spec(3), placement: placement(), request: once() };
    store.create_host_cluster(host).await.unwrap();
    let hosts = HostSelector {
        provider: placement().provider,
        credentials: None,
        region: placement().region,
        labels: spec().labels,
        reserve: ReservePercent::default().of(&placement()),
        growth: None,
    };
    for (tenant, level) in [("space", Level::Namespace), ("pool", Level::Node)] {
        let placement = Placement { level, ..placement() };
        let new = NewTenant { placement, hosts: Some(hosts.clone()), ..new(&name("acme", tenant), once()) };
        store.create(new).await.unwrap();
    }
    store.close().await;
    drop(store);
    let mut earlier = raw(&path).await;
    sqlx::query("UPDATE tenants SET reserved_cpu_milli = NULL, reserved_memory_mib = NULL, reserved_pods = NULL")
        .execute(&mut earlier)
        .await
        .unwrap();
    earlier.close().await.unwrap();
    let candidates = open(&path).await.unwrap().candidates(None).await.unwrap();
    let space = Placement { level: Level::Namespace, ..placement() };
    assert_eq!((candidates[0].tenants, candidates[0].reserved), (2, ReservePercent::default().of(&space)));
    assert!(candidates[0].reserved.pods > 0);
}

/// Takes back what the migrations from 0006 on do.
const SINCE_THE_WORDS: &str = "ALTER TABLE tenants DROP COLUMN availability; DROP TABLE duties; DROP TABLE revisions; DROP TABLE credentials; \
     ALTER TABLE events DROP COLUMN percent; ALTER TABLE events DROP COLUMN expected_end; \
     ALTER TABLE events DROP COLUMN operation; DROP TABLE certificate_orders; DROP TABLE parked_events; DROP TABLE webhooks; DROP TABLE customers; DROP TABLE customer_requests; DROP TABLE audit; DROP TABLE audit_heads; DROP TABLE audit_chain; \
     ALTER TABLE operations DROP COLUMN principal; DROP INDEX operations_end; DROP TABLE daemons; DROP INDEX tenants_counts; DROP INDEX tenants_leased; DROP INDEX operations_running; DROP INDEX tenants_due; ALTER TABLE tenants DROP COLUMN account; DROP TABLE accounts; \
     ALTER TABLE tenants DROP COLUMN credentials; \
     CREATE INDEX tenants_due ON tenants (next_due, priority, customer, uid); \
     DROP TABLE orphans; DROP TABLE inventories; DROP TABLE identity; \
     ALTER TABLE tenants RENAME COLUMN placement TO offer";

/// What is logged while a test of one thread runs.
#[derive(Clone, Default)]
struct Logged(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn domains_of_an_earlier_version_are_filled_in_and_clashes_reported() {
    use landlord_core::{TenantSpec, ports::NewTenant};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    let store = open(&path).await.unwrap();
    let orders = [
        ("acme", "acme.example.com"),
        ("bolt", "stolen.example.org"),
        ("core", "core.example.net"),
        ("dune", "below.example.org"),
    ];
    for (customer, text) in orders {
        let spec = TenantSpec { domain: domain(text), ..spec() };
        store.create(NewTenant { spec, ..new(&name(customer, "prod"), once()) }).await.unwrap();
    }
    store.close().await;
    drop(store);
    // As the version before left them: no such column, and whatever domain was requested.
    let mut earlier = raw(&path).await;
    for sql in [
        "UPDATE tenants SET spec = replace(spec, 'stolen.example.org', 'acme.example.com')",
        "UPDATE tenants SET spec = replace(spec, 'below.example.org', 'files.core.example.net')",
        "DROP INDEX tenants_domain",
        "ALTER TABLE tenants DROP COLUMN domain_reversed",
        SINCE_THE_WORDS,
        "DELETE FROM _sqlx_migrations WHERE version >= 4",
    ] {
        sqlx::raw_sql(sql).execute(&mut earlier).await.unwrap();
    }
    earlier.close().await.unwrap();
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let store = {
        let _logging = tracing::subscriber::set_default(subscriber);
        open(&path).await.unwrap()
    };
    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for (line, names) in warnings.iter().zip([["acme", "bolt"], ["core", "dune"]]) {
        for customer in names {
            assert!(line.contains(&format!("customers/{customer}/tenants/prod")), "{line}");
        }
    }
    assert!(warnings[1].contains("files.core.example.net"), "{warnings:#?}");
    // Whoever is there stays, and nobody joins them.
    store.get(&name("bolt", "prod")).await.unwrap();
    for taken in ["acme.example.com", "files.core.example.net", "core.example.net"] {
        let refused = store.check_domain(name("late", "prod").tenant().unwrap(), &domain(taken)).await;
        assert_refused!(refused, StoreError::DomainTaken { tenant: None, .. });
    }
}

#[tokio::test]
async fn the_stage_of_isolation_is_renamed_wherever_it_is_stored() {
    use landlord_core::{DesiredState, OperationOutcome, Stage, StageState, State, ports::WorkStore as _};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    let store = open(&path).await.unwrap();
    created(&store, "acme", "prod").await;
    let claim = claim_one(&store).await;
    let work = store.load(&claim).await.unwrap();
    let mut end = settle(&work, State::Ready, OperationOutcome::Ready);
    end.stages = vec![record(Stage::Isolation, DesiredState::Present, StageState::Done)];
    store.commit(&claim, end).await.unwrap();
    store.close().await;
    drop(store);
    let mut earlier = raw(&path).await;
    for sql in [
        "UPDATE stages SET stage = 'guardrails', record = replace(record, '\"isolation\"', '\"guardrails\"')",
        "UPDATE operations SET stages = replace(stages, '\"isolation\"', '\"guardrails\"')",
        "DELETE FROM _sqlx_migrations WHERE version >= 5",
    ] {
        let changed = sqlx::query(sql).execute(&mut earlier).await.unwrap();
        assert!(changed.rows_affected() > 0, "{sql}");
    }
    sqlx::raw_sql(SINCE_THE_WORDS).execute(&mut earlier).await.unwrap();
    earlier.close().await.unwrap();
    let store = open(&path).await.unwrap();
    let tenant = store.get(&name("acme", "prod")).await.unwrap();
    let stored = store.stage(tenant.uid, DesiredState::Present, &Stage::Isolation).await.unwrap().unwrap();
    assert_eq!((stored.stage, stored.state), (Stage::Isolation, StageState::Done));
    let operation = store.operation(tenant.operation).await.unwrap();
    assert!(operation.stages.iter().any(|record| record.stage == Stage::Isolation), "{:?}", operation.stages);
}
