//! PostgreSQL: the same contract, and what only several daemons on one database can show.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use landlord_core::ports::{EventQuery, EventScope, StoreError, TenantStore as _, WorkStore as _};
use landlord_store::{Error, PostgresOptions, Store, postgres};
use landlord_store_contract::{contract_suite, pooler::Pooler, postgres::Server};
use tokio::task::JoinSet;

use crate::{assert_refused, fixtures::*};

contract_suite!(crate::postgres::fresh);

const SOON: Duration = Duration::from_secs(30);

/// An empty store in a database of its own.
async fn fresh() -> (Arc<Store>, ()) {
    (Arc::new(open(&new_database().await, true).await.unwrap()), ())
}

async fn new_database() -> String {
    tokio::task::spawn_blocking(|| Server::shared().database()).await.unwrap()
}

async fn open(url: &str, create: bool) -> Result<Store, Error> {
    postgres::open(PostgresOptions { url: url.to_owned(), password: None, events_max: 100_000, create }).await
}

#[tokio::test]
async fn no_tables_are_made_unasked() {
    let url = new_database().await;
    let refused = open(&url, false).await.unwrap_err();
    assert!(matches!(refused, Error::Missing { .. }), "{refused:?}");
    let options = PostgresOptions { url: url.clone(), password: None, events_max: 10, create: false };
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
