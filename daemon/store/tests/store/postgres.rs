//! PostgreSQL: the same contract, and what only several daemons on one database can show.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use landlord_core::ports::{
    Duty, DutyStore as _, EventQuery, EventScope, InventoryStore as _, StoreError, TenantStore as _, WorkStore as _,
};
use landlord_store::{Error, PasswordSource, PostgresOptions, Store, postgres};
use landlord_store_contract::{contract_suite, pooler::Pooler, postgres::Server};
use sqlx::Connection as _;
use tokio::task::JoinSet;

use crate::{assert_refused, fixtures::*};

contract_suite!(crate::postgres::fresh);

const SOON: Duration = Duration::from_secs(30);

/// An empty store in a database of its own.
async fn fresh() -> (Arc<Store>, ()) {
    (Arc::new(open(&new_database().await, true).await.unwrap()), ())
}

pub(crate) async fn new_database() -> String {
    tokio::task::spawn_blocking(|| Server::shared().database()).await.unwrap()
}

/// A statement by somebody else than a store.
pub(crate) async fn run(url: &str, sql: &'static str) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn open(url: &str, create: bool) -> Result<Store, Error> {
    postgres::open(PostgresOptions {
        url: url.to_owned(),
        password: None,
        events_max: 100_000,
        create,
        installation: None,
    })
    .await
}

#[tokio::test]
async fn no_tables_are_made_unasked() {
    let url = new_database().await;
    let refused = open(&url, false).await.unwrap_err();
    assert!(matches!(refused, Error::Missing { .. }), "{refused:?}");
    let options =
        PostgresOptions { url: url.clone(), password: None, events_max: 10, create: false, installation: None };
    postgres::init(options.clone()).await.unwrap();
    assert!(matches!(postgres::init(options).await.unwrap_err(), Error::Exists { .. }));
    open(&url, false).await.unwrap();
}

#[tokio::test]
async fn an_address_that_can_not_be_used_is_refused_and_no_password_shown() {
    for (url, expected) in [
        ("mysql://a@b/c", "not with postgres"),
        ("postgres://a:secret@b/c", "it holds a password"),
        ("nonsense", "relative URL"),
    ] {
        let refused = open(url, true).await.unwrap_err();
        assert!(matches!(refused, Error::Address { .. }), "{refused:?}");
        assert!(refused.to_string().contains(expected) && !refused.to_string().contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn a_balancer_without_a_server_is_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut hanging_up = JoinSet::new();
    hanging_up.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // What is left unread would make it another error.
            let mut first = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut client, &mut first).await;
        }
    });
    let refused = open(&format!("postgres://landlord@{address}/landlord"), false).await.unwrap_err();
    assert!(refused.is_away(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_that_start_at_once_make_one_store() {
    let url = new_database().await;
    let stores = join_all((0..4).map(|_| open(&url, true))).await;
    let stores: Vec<Store> = stores.into_iter().map(Result::unwrap).collect();
    created(&stores[0], "acme", "prod").await;
    for store in &stores {
        store.get(&name("acme", "prod")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_hold_over_several_daemons() {
    let url = new_database().await;
    let stores = [open(&url, true).await.unwrap(), open(&url, true).await.unwrap()];
    // One request id, one name, one domain, whichever store is called.
    let request = keyed("same");
    let acme = name("acme", "prod");
    let calls = (0..20).map(|turn| stores[turn % 2].create(new(&acme, request.clone())));
    let responses: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(responses.iter().filter(|response| !response.replayed).count(), 1);
    let calls = (0..20).map(|turn| stores[turn % 2].create(new(&name("bolt", "prod"), once())));
    assert_eq!(join_all(calls).await.into_iter().filter(Result::is_ok).count(), 1);
    // A tenant is worked on by one.
    for tenant in 0..30 {
        created(&stores[tenant % 2], &format!("c{tenant}"), "prod").await;
    }
    let claims = (0..12).map(|turn| {
        let store = stores[turn % 2].clone();
        async move { store.claim(["a", "b"][turn % 2], 4, LEASE).await.unwrap() }
    });
    let claims: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
    let uids: std::collections::BTreeSet<_> = claims.iter().map(|claim| claim.uid).collect();
    assert_eq!(claims.len(), uids.len());
    assert_refused!(
        stores[1].commit(&landlord_core::ports::Claim { fence: 0, ..claims[0].clone() }, Default::default()).await,
        StoreError::FenceLost(_)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_one_daemon_hears_of_what_another_wrote() {
    let url = new_database().await;
    let (writes, reads) = (open(&url, true).await.unwrap(), open(&url, true).await.unwrap());
    created(&writes, "acme", "one").await;
    let after_seq = writes.newest_event().await.unwrap();
    let query = EventQuery { scope: EventScope::Tenants, after_seq, limit: 10 };
    let mut waiting = JoinSet::new();
    waiting.spawn({
        let (reads, query) = (reads.clone(), query.clone());
        async move { reads.wait_for_event(&query).await }
    });
    created(&writes, "acme", "two").await;
    let position = tokio::time::timeout(SOON, waiting.join_next()).await.unwrap().unwrap().unwrap();
    assert!(position > after_seq);
    assert_eq!(reads.events(&query).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_appear_in_their_order() {
    let url = new_database().await;
    let stores = [open(&url, true).await.unwrap(), open(&url, true).await.unwrap()];
    let reader = stores[0].clone();
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let (mut seen, mut query) = (Vec::new(), EventQuery { limit: 7, ..EventQuery::default() });
        while seen.len() < 200 {
            let some = reader.events(&query).await.unwrap();
            query.after_seq = some.last().map_or(query.after_seq, |event| event.seq);
            seen.extend(some.into_iter().map(|event| event.seq));
        }
        seen
    });
    let creates = (0..200).map(|turn| {
        let store = stores[turn % 2].clone();
        async move { created(&store, "acme", &format!("t{turn}")).await }
    });
    join_all(creates).await;
    // Whoever goes on from a position misses none that was committed later with an earlier one.
    let seen = tokio::time::timeout(SOON, reading.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(seen.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_costs_time_and_nothing_else() {
    let server = tokio::task::spawn_blocking(|| Arc::new(Server::start("restarted"))).await.unwrap();
    let url = {
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || server.database()).await.unwrap()
    };
    let store = open(&url, true).await.unwrap();
    created(&store, "acme", "before").await;
    let mut writing = JoinSet::new();
    let writer = store.clone();
    writing.spawn(async move {
        let mut responses = Vec::new();
        for turn in 0..400 {
            responses.push((turn, writer.create(new(&name("acme", &format!("t{turn}")), once())).await));
        }
        responses
    });
    let restarting = Arc::clone(&server);
    tokio::task::spawn_blocking(move || {
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(200));
            restarting.crash();
            restarting.up();
        }
    })
    .await
    .unwrap();
    for (turn, response) in writing.join_next().await.unwrap().unwrap() {
        let is_there = store.get(&name("acme", &format!("t{turn}"))).await.is_ok();
        assert_eq!(response.is_ok(), is_there, "{turn}: {response:?}");
        assert!(response.is_ok(), "{turn}: {response:?}");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
async fn a_pooler_in_transaction_mode_may_stand_between() {
    let program = match Pooler::program() {
        Ok(program) => program,
        Err(why) => {
            println!("SKIPPED: PostgreSQL behind pgbouncer: {why}");
            return;
        }
    };
    let url = new_database().await;
    let pooler = tokio::task::spawn_blocking(move || Pooler::before(Server::shared(), &program, 3)).await.unwrap();
    let url = pooler.url(&url);
    let stores = [open(&url, true).await.unwrap(), open(&url, false).await.unwrap()];
    // More at once than it has connections to the server; each transaction may get another one.
    let after_seq = stores[1].newest_event().await.unwrap();
    let creates = (0..60).map(|turn| {
        let store = stores[turn % 2].clone();
        async move { store.create(new(&name("acme", &format!("t{turn}")), once())).await }
    });
    for accepted in join_all(creates).await {
        accepted.unwrap();
    }
    let names: Vec<_> = (0..60).map(|turn| name("acme", &format!("t{turn}"))).collect();
    let reads = names.iter().enumerate().map(|(turn, name)| stores[(turn + 1) % 2].get(name));
    assert!(join_all(reads).await.iter().all(Result::is_ok));
    let claims = stores[0].claim("a", 10, LEASE).await.unwrap();
    assert_eq!(claims.len(), 10);
    assert!(stores[1].claim("b", 100, LEASE).await.unwrap().iter().all(|claim| !claims.contains(claim)));
    // No LISTEN goes through it: what another daemon wrote is found by polling.
    let query = EventQuery { scope: EventScope::Tenants, after_seq, limit: 100 };
    let position = tokio::time::timeout(SOON, stores[1].wait_for_event(&query)).await.unwrap();
    assert!(position > after_seq);
    for store in stores {
        store.close().await;
    }
}

/// Has all clients of a database connect again.
const CONNECT_AGAIN: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_reads_is_left_for_the_one_that_writes() {
    let url = new_database().await;
    let store = open(&url, true).await.unwrap();
    created(&store, "acme", "before").await;
    // As after a failover: whoever is connected is so to the standby, and new connections lead there for a moment.
    run(
        &url,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
    )
    .await;
    run(&url, CONNECT_AGAIN).await;
    let writing = {
        let store = store.clone();
        async move { store.create(new(&name("acme", "meanwhile"), once())).await }
    };
    let failing_over = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        run(
            &url,
            "BEGIN READ WRITE; DO $$ BEGIN EXECUTE \
             format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$; COMMIT",
        )
        .await;
    };
    let (written, ()) = tokio::join!(writing, failing_over);
    written.unwrap();
    created(&store, "acme", "after").await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_has_nothing_to_do_writes_nothing() {
    // Transactions are counted by server.
    let server = tokio::task::spawn_blocking(|| Arc::new(Server::start("idle"))).await.unwrap();
    let made = Arc::clone(&server);
    let url = tokio::task::spawn_blocking(move || made.database()).await.unwrap();
    let store = open(&url, true).await.unwrap();
    assert!(store.claim("a", 10, LEASE).await.unwrap().is_empty());
    let next = async || {
        let (server, url) = (Arc::clone(&server), url.clone());
        let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())";
        tokio::task::spawn_blocking(move || server.query(&url, sql)).await.unwrap()
    };
    let before = next().await;
    for _ in 0..5 {
        assert!(store.claim("a", 10, LEASE).await.unwrap().is_empty());
    }
    assert_eq!(next().await, before);
    created(&store, "acme", "prod").await;
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap().len(), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_changed_needs_no_restart() {
    let scene = || {
        let server = Server::start("password");
        let url = server.database();
        let database = server.query(&url, "SELECT current_database()");
        server.query(&url, "CREATE USER landlord PASSWORD 'one'");
        server.query(&url, &format!("ALTER DATABASE {database} OWNER TO landlord"));
        server.ask_password_of("landlord");
        (server, url)
    };
    let (server, url) = tokio::task::spawn_blocking(scene).await.unwrap();
    let password = Arc::new(Mutex::new("none yet"));
    let written = Arc::clone(&password);
    let source = PasswordSource::new(move || Ok((*written.lock().unwrap()).into()));
    let at = url.replace("postgres@", "landlord@");
    let options =
        PostgresOptions { url: at, password: Some(source), events_max: 100, create: true, installation: None };
    let refused = postgres::open(options.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Database { .. }) && !refused.is_away(), "{refused:?}");
    *password.lock().unwrap() = "one";
    let store = postgres::open(options).await.unwrap();
    created(&store, "acme", "before").await;
    *password.lock().unwrap() = "two";
    let changed = move || {
        server.query(&url, "ALTER USER landlord PASSWORD 'two'");
        server.query(&url, CONNECT_AGAIN);
        server
    };
    let _server = tokio::task::spawn_blocking(changed).await.unwrap();
    created(&store, "acme", "after").await;
    store.get(&name("acme", "before")).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_behind_the_same_name_begins_an_epoch_and_another_store_is_lost() {
    let url = new_database().await;
    let stores = [open(&url, true).await.unwrap(), open(&url, true).await.unwrap()];
    created(&stores[0], "acme", "one").await;
    created(&stores[1], "acme", "two").await;
    let newest = stores[1].newest_event().await.unwrap();
    // A writer learns the position of what it wrote after it has acknowledged that, and before it writes on: by now this one has.
    assert!(stores[1].claim_duty(Duty::Probing, "b", LEASE).await.unwrap());
    let claims = stores[0].claim("a", 10, LEASE).await.unwrap();
    assert_eq!(claims.len(), 2);
    // As a database that was restored to a moment before any event.
    run(&url, "DELETE FROM events; SELECT setval(pg_get_serial_sequence('events', 'seq'), 1)").await;
    run(&url, CONNECT_AGAIN).await;
    created(&stores[1], "acme", "after").await;
    created(&stores[0], "acme", "later").await;
    // What was claimed of the other state is not written to, and no position is given twice.
    assert_refused!(stores[0].load(&claims[0]).await, StoreError::FenceLost(_));
    assert!(stores[1].newest_event().await.unwrap() > newest + 1);
    let due = stores[0].inventories_due(&[placement().provider_key()]).await.unwrap();
    assert!(due[0].reason.contains("older than what was acknowledged last"), "{due:?}");
    // One epoch, whoever found it.
    let (again, row) = ("SELECT CAST(epoch AS BIGINT) FROM identity", async |sql: &'static str| -> i64 {
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    });
    assert_eq!(row(again).await, 1);

    run(&url, "UPDATE identity SET id = 'another'").await;
    run(&url, CONNECT_AGAIN).await;
    assert_refused!(stores[0].create(new(&name("acme", "lost"), once())).await, StoreError::Unavailable { .. });
    let lost = tokio::time::timeout(SOON, stores[0].lost()).await.unwrap();
    assert!(lost.contains("not the store that this daemon opened"), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_being_restored_is_not_begun() {
    let url = new_database().await;
    let store = open(&url, true).await.unwrap();
    created(&store, "acme", "prod").await;
    store.close().await;
    // The tables are there, and the rows are not yet.
    run(&url, "CREATE TABLE kept AS SELECT * FROM identity; DELETE FROM identity").await;
    for create in [false, true] {
        let refused = open(&url, create).await.unwrap_err();
        assert!(matches!(refused, Error::HalfRestored { .. }), "{refused:?}");
    }
    run(&url, "INSERT INTO identity SELECT * FROM kept; DROP TABLE kept").await;
    open(&url, false).await.unwrap().get(&name("acme", "prod")).await.unwrap();
    // Nor does a second one come beside it.
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    let second = "INSERT INTO identity (id, epoch, restored, reason, seen_time, clean) VALUES ('b', 0, 0, '', 0, 1)";
    sqlx::query(second).execute(&mut connection).await.unwrap_err();
}
