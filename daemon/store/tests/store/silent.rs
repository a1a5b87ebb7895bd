//! A PostgreSQL server of which nothing is received: calls end, and go on over a new connection.

use std::time::{Duration, Instant};

use futures::future::join_all;
use landlord_core::ports::{StoreError, TenantStore as _, WorkStore as _};
use landlord_store::{PostgresOptions, Store, postgres};
use landlord_store_contract::{postgres::Server, proxy::Proxy};

use crate::fixtures::*;

/// A response is waited for during 12 s; then a connection is made, and the server ends the transaction that was left behind
/// within another 5. The rest is for a busy machine; without limits it would be a quarter of an hour.
const BOUND: Duration = Duration::from_secs(180);
/// After the last try begins, 20 s after the first, a connection and a response may be waited for; the rest as above.
const GIVEN_UP: Duration = Duration::from_secs(180);

async fn behind_a_proxy() -> (Store, Proxy) {
    let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
    let url = tokio::task::spawn_blocking(move || server.database()).await.unwrap();
    let proxy = Proxy::before(server).await;
    (opened(&proxy.url(&url)).await, proxy)
}

/// A machine that compiles beside may need more than one try to make the tables in time.
async fn opened(url: &str) -> Store {
    let began = Instant::now();
    loop {
        let options =
            PostgresOptions { url: url.to_owned(), password: None, events_max: 100, create: true, installation: None };
        match postgres::open(options).await {
            Ok(store) => return store,
            Err(error) => assert!(began.elapsed() < BOUND, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_stops_nobody() {
    let (store, proxy) = behind_a_proxy().await;
    created(&store, "acme", "before").await;
    // Every reader has a connection.
    let before = name("acme", "before");
    join_all((0..40).map(|_| store.get(&before))).await;
    proxy.silence();
    let began = Instant::now();
    let (written, claimed, read) = tokio::join!(
        store.create(new(&name("acme", "after"), once())),
        store.claim("a", 10, LEASE),
        join_all((0..40).map(|_| store.get(&before))),
    );
    let took = began.elapsed();
    written.unwrap();
    assert!(!claimed.unwrap().is_empty());
    // A ping finds an idle connection silent, so that no read is lost to it.
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    assert!(took < BOUND, "{took:?}");
    // From then on nobody tries a silent connection again.
    let swallowed = proxy.swallowed();
    assert!(swallowed > 0, "no connection was found silent");
    join_all((0..40).map(|_| store.get(&before))).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(proxy.swallowed(), swallowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_reaches_is_an_error_and_no_wait() {
    let (store, proxy) = behind_a_proxy().await;
    created(&store, "acme", "before").await;
    proxy.close();
    let began = Instant::now();
    let request = once();
    let create = new(&name("acme", "after"), request.clone());
    let before = name("acme", "before");
    let (written, read) = tokio::join!(store.create(create.clone()), store.get(&before));
    assert!(matches!(written, Err(StoreError::Unavailable { .. })), "{written:?}");
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    assert!(began.elapsed() < GIVEN_UP, "{:?}", began.elapsed());
    proxy.open();
    // The same request, once it is reached again.
    let accepted = store.create(create).await.unwrap();
    assert_eq!(store.get(&name("acme", "after")).await.unwrap().operation, accepted.operation.id);
    store.close().await;
}
