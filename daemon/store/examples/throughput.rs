//! Durable creates and gets per second of a store in a file.
//!
//! `cargo run --release -p landlord-store --example throughput -- FOLDER [CREATES] [GETS]`
#![allow(clippy::unwrap_used, reason = "a measurement ends at the first error")]

use std::{io::Write as _, path::PathBuf, sync::Arc, time::Instant};

use landlord_core::{
    Level, Placement, TenantName, TenantSpec,
    environment::SpecInput,
    ports::{NewTenant, ProviderKey, RequestContext, RequestKey, TenantStore},
};
use landlord_store::{SqliteOptions, sqlite};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Callers at the same time, as many connections of a portal might be.
const CALLERS: usize = 64;

fn order(name: TenantName) -> NewTenant {
    let input = SpecInput {
        display_name: "Acme".into(),
        domain: format!("{}.{}.example.com", name.tenant, name.customer),
        storage_gib: 10,
        ..SpecInput::default()
    };
    let key = ProviderKey { provider: "fake".parse().unwrap(), credentials: "default".into() };
    let placement = Placement::without_choices(
        "standard".parse().unwrap(),
        Level::Cluster,
        key,
        String::new(),
        "eu-central-1".into(),
    );
    let placement = Placement { machine_type: "m6i.large".into(), node_count: 2, ..placement };
    let key = RequestKey { request_id: Some(Uuid::new_v4()), request_hash: "hash".into() };
    let request = RequestContext { key, ..RequestContext::of_daemon() };
    NewTenant { name, spec: TenantSpec::parse(input).unwrap(), placement, adopt: None, hosts: None, request }
}

fn name(index: usize) -> TenantName {
    format!("customers/c{}/tenants/t{index}", index % 100).parse().unwrap()
}

/// Runs `count` calls spread over the callers; calls per second.
async fn measure<F, T>(count: usize, call: F) -> f64
where
    F: Fn(usize) -> T + Clone + Send + 'static,
    T: Future<Output = ()> + Send,
{
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let call = call.clone();
        callers.spawn(async move {
            for index in (caller..count).step_by(CALLERS) {
                call(index).await;
            }
        });
    }
    callers.join_all().await;
    count as f64 / begin.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder for the store"));
    let mut number = |default| arguments.next().map_or(default, |text| text.parse().unwrap());
    let (creates, gets): (usize, usize) = (number(10_000), number(50_000));
    let path = folder.join(format!("throughput-{}.db", std::process::id()));
    let store =
        Arc::new(sqlite::open(&path, SqliteOptions { create: true, ..SqliteOptions::default() }).await.unwrap());
    let writing = Arc::clone(&store);
    let creates_per_second = measure(creates, move |index| {
        let store = Arc::clone(&writing);
        async move { drop(store.create(order(name(index))).await.unwrap()) }
    })
    .await;
    let reading = Arc::clone(&store);
    let gets_per_second = measure(gets, move |index| {
        let store = Arc::clone(&reading);
        async move { drop(store.get(&name(index % creates).into()).await.unwrap()) }
    })
    .await;
    store.close().await;
    let line = format!("{{\"creates_per_second\":{creates_per_second:.0},\"gets_per_second\":{gets_per_second:.0}}}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}
