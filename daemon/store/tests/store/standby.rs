//! A server and the one that follows it: whichever of them writes is used, and what one lacks that follows is never read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use landlord_core::ports::TenantStore as _;
use landlord_store_contract::{postgres::Server, proxy::Proxy};
use tokio::task::spawn_blocking;

use crate::{fixtures::*, postgres::open};

/// Far above what it takes: a busy machine is no failure.
const SOON: Duration = Duration::from_secs(60);

/// Two servers of one store; its address at the first.
async fn scene(name: &'static str) -> (Arc<Server>, Arc<Server>, String) {
    let server = spawn_blocking(move || Arc::new(Server::start(name))).await.unwrap();
    let first = Arc::clone(&server);
    let url = spawn_blocking(move || first.database()).await.unwrap();
    open(&url, true).await.unwrap().close().await;
    let first = Arc::clone(&server);
    let standby = spawn_blocking(move || Arc::new(first.standby(&format!("{name}-standby")))).await.unwrap();
    (server, standby, url)
}

/// HOST:PORT.
fn host(proxy: &Proxy, url: &str) -> String {
    proxy.url(url).split(['@', '/']).nth(3).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_the_one_that_writes_is_used() {
    let (server, standby, url) = scene("several").await;
    let (to_standby, to_server) = (Proxy::before(&standby).await, Proxy::before(&server).await);
    let both = format!("{},{}", host(&to_standby, &url), host(&to_server, &url));
    let database = to_server.url(&url).rsplit('/').next().unwrap().to_owned();
    let both = format!("postgres://postgres@{both}/{database}?target_session_attrs=read-write");
    let store = open(&both, false).await.unwrap();
    for turn in 0..20 {
        created(&store, "acme", &format!("t{turn}")).await;
        store.get(&name("acme", &format!("t{turn}"))).await.unwrap();
    }
    let failing_over = {
        let url = url.clone();
        move || {
            let deadline = Instant::now() + SOON;
            while standby.query(&url, "SELECT COUNT(*) FROM tenants") != "20" {
                assert!(Instant::now() < deadline, "the standby does not follow");
                std::thread::sleep(Duration::from_millis(20));
            }
            server.crash();
            standby.promote();
            // Neither is stopped before the store is closed.
            (server, standby)
        }
    };
    let _servers = spawn_blocking(failing_over).await.unwrap();
    created(&store, "acme", "after").await;
    for id in (0..20).map(|turn| format!("t{turn}")).chain(["after".to_owned()]) {
        store.get(&name("acme", &id)).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_follows_is_waited_for_and_not_opened() {
    let (server, standby, url) = scene("alone").await;
    let at_standby = url.replace(&server.folder().display().to_string(), &standby.folder().display().to_string());
    let refused = open(&at_standby, false).await.unwrap_err();
    assert!(refused.is_away(), "{refused:?}");
    let why = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
    assert!(why.contains("follows another one"), "{why}");
    let promoting = Arc::clone(&standby);
    spawn_blocking(move || promoting.promote()).await.unwrap();
    let store = open(&at_standby, false).await.unwrap();
    created(&store, "acme", "prod").await;
    store.close().await;
}
