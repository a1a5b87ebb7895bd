//! What was acknowledged survives a kill in the middle of writing.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use landlord_core::ports::{EnvironmentQuery, EventQuery, OperationQuery, TenantStore as _};

use crate::{fixtures::*, sqlite};

/// Passes the child which file to write to.
const FILE: &str = "LANDLORD_STORE_CRASH_FILE";
const ROUND: &str = "LANDLORD_STORE_CRASH_ROUND";
/// Acknowledged writes before the kill, one number a round.
const ROUNDS: [usize; 4] = [1, 40, 333, 700];
/// Far more than a round waits for; bounds a child that nobody kills.
const WRITES_MAX: usize = 20_000;
const SIDE_BY_SIDE: usize = 32;
const ACKNOWLEDGED: &str = "acknowledged ";

/// Not a test of its own: what the other one runs in a process that it can kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_killed() {
    use futures::StreamExt as _;
    let (Ok(file), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) else { return };
    let store = sqlite::open(Path::new(&file)).await.unwrap();
    futures::stream::iter(0..WRITES_MAX)
        .for_each_concurrent(SIDE_BY_SIDE, |turn| {
            let (store, tenant) = (store.clone(), format!("t{round}-{turn}"));
            async move {
                store.create(new(&name("acme", &tenant), keyed("hash"))).await.unwrap();
                let line = format!("\n{ACKNOWLEDGED}{tenant}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
        .await;
}

/// Runs a child, kills it after `acknowledged` writes, and returns all that it acknowledged.
fn killed(file: &Path, round: usize, acknowledged: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child_that_is_killed", "--exact", "--nocapture"])
        .env(FILE, file)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut tenants = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(tenant) = line.unwrap().strip_prefix(ACKNOWLEDGED) {
            tenants.push(tenant.to_owned());
        }
        if tenants.len() == acknowledged {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "ended before it was killed");
    tenants
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("landlord.db");
    let mut acknowledged = Vec::new();
    for (round, writes) in ROUNDS.into_iter().enumerate() {
        let tenants = killed(&file, round, writes);
        assert!(tenants.len() >= writes);
        acknowledged.extend(tenants);
        // The lock of the killed is gone with it; nothing needs cleaning up by hand.
        let store = sqlite::open(&file).await.unwrap();
        for tenant in &acknowledged {
            let read = store.get(&name("acme", tenant)).await;
            assert!(read.is_ok(), "{tenant} was acknowledged and is lost: {read:?}");
        }
        whole(&store).await;
        store.close().await;
    }
}

/// Every tenant that is there has its operation and its event: no half of a transaction.
async fn whole(store: &landlord_store::Store) {
    let (mut tenants, mut operations, mut events) = (0, 0, 0);
    let mut query = EnvironmentQuery { limit: 1_000, ..EnvironmentQuery::default() };
    loop {
        let page = store.list(&query).await.unwrap();
        tenants += page.items.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let mut query = OperationQuery { limit: 1_000, ..OperationQuery::default() };
    loop {
        let page = store.operations(&query).await.unwrap();
        operations += page.items.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let mut query = EventQuery { limit: 1_000, ..EventQuery::default() };
    loop {
        let some = store.events(&query).await.unwrap();
        let Some(last) = some.last() else { break };
        query.after_seq = last.seq;
        events += some.len();
    }
    // And its entry in the audit log, which is one chain.
    let entries = audit_log(store).await.len();
    assert_eq!((operations, events, entries), (tenants, tenants, tenants + 1), "and one of the customer");
}
