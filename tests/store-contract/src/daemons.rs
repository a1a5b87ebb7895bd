//! Daemons that share a store: who there is, how leases are handed over, what is counted.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    DesiredState, StageRecord, StageState, Timestamp,
    certificate::{CertificateWait, LimitedBy},
    ports::{Commit, DaemonInfo, DaemonStore, Duty, Leases, Release, StatisticsStore, StoreError},
};

use crate::{assert_refused, fixtures::*};

fn daemon(id: &str) -> DaemonInfo {
    DaemonInfo { id: id.into(), host: format!("{id}.example"), pid: 7, version: "0.1.0".into() }
}

pub async fn daemons_are_known_with_their_leases_until_they_leave<S: Store + DaemonStore>(store: Arc<S>) {
    assert_eq!(store.daemons().await.unwrap(), []);
    store.announce(&daemon("b")).await.unwrap();
    store.announce(&daemon("a")).await.unwrap();
    created(&*store, "acme", "one").await;
    created(&*store, "acme", "two").await;
    assert_eq!(store.claim("b", 1, LEASE).await.unwrap().len(), 1);
    store.announce(&daemon("a")).await.unwrap();
    let [a, b] = store.daemons().await.unwrap().try_into().unwrap();
    assert_eq!((a.info, b.info), (daemon("a"), daemon("b")));
    assert_eq!(a.leases, Leases::default());
    assert_eq!(b.leases, Leases { environments: 1, accounts: 1 });
    assert_eq!((store.leases("a").await.unwrap(), store.leases("b").await.unwrap()), (a.leases, b.leases));
    assert_eq!(store.leases("c").await.unwrap(), Leases::default());
    assert!(a.heard_time >= a.start_time && b.heard_time >= b.start_time);
    store.leave("b").await.unwrap();
    let [a] = store.daemons().await.unwrap().try_into().unwrap();
    assert_eq!(a.info, daemon("a"));
}

pub async fn leases_of_a_daemon_that_leaves_are_free_at_once<S: Store + DaemonStore>(store: Arc<S>) {
    for tenant in ["one", "two", "three"] {
        created(&*store, "acme", tenant).await;
    }
    let claims = store.claim("a", 2, LEASE).await.unwrap();
    assert_eq!(claims.len(), 2);
    // The account is the first's, and so is all that lives in it.
    assert!(store.claim("b", 10, LEASE).await.unwrap().is_empty());
    // Whoever waits comes back when the lease ends, whatever becomes of the first.
    let wait = store.next_due("b").await.unwrap().unwrap();
    assert!(wait > LEASE / 2 && wait <= LEASE, "{wait:?}");
    store.leave("a").await.unwrap();
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap().len(), 3);
    // Whatever the first still does writes nothing.
    for claim in claims {
        assert_refused!(store.renew(&claim, LEASE).await, StoreError::FenceLost(_));
    }
}

pub async fn what_is_counted_is_what_is_there<S: Store + StatisticsStore>(store: Arc<S>) {
    let empty = store.statistics().await.unwrap();
    assert_eq!((empty.environments, empty.due, empty.operations), (Vec::new(), 0, 0));
    assert_eq!(empty.oldest_operation, Duration::ZERO);
    for tenant in ["one", "two", "three"] {
        created(&*store, "acme", tenant).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let all = store.statistics().await.unwrap();
    let [pending] = all.environments.try_into().unwrap();
    assert_eq!((pending.is_host_cluster, pending.state.as_str(), pending.count), (false, "PENDING", 3));
    assert_eq!((all.due, all.operations), (3, 3));
    assert!(all.oldest_operation >= Duration::from_millis(20) && all.longest_due > Duration::ZERO);
    store.claim("a", 2, LEASE).await.unwrap();
    assert_eq!(store.statistics().await.unwrap().due, 1);
}

pub async fn who_waits_for_a_certificate_is_counted_and_is_no_operation_that_hangs<S: Store + StatisticsStore>(
    store: Arc<S>,
) {
    created(&*store, "acme", "one").await;
    let first = claim_one(&*store).await;
    let wait = CertificateWait {
        authority: "https://acme.example.com/directory".into(),
        limited_by: LimitedBy::Orders,
        ordered: 1,
        max: 1,
        window_seconds: 60,
        of: String::new(),
        until: Timestamp(i64::MAX),
    };
    let waiting = |stage: &str, status: Vec<u8>| {
        let stage = stage.parse().unwrap();
        StageRecord { status, ..record(stage, DesiredState::Present, StageState::Running) }
    };
    let stages = vec![
        waiting("isolation", serde_json::to_vec(&wait).unwrap()),
        waiting("platform/edge", serde_json::to_vec(&wait).unwrap()),
    ];
    store.commit(&first, Commit { stages, ..Commit::default() }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let alone = store.statistics().await.unwrap();
    assert_eq!((alone.certificates_waiting, alone.operations, alone.oldest_operation), (1, 1, Duration::ZERO));
    created(&*store, "acme", "two").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let oldest = store.statistics().await.unwrap().oldest_operation;
    assert!(oldest >= Duration::from_millis(20) && oldest < Duration::from_millis(200), "{oldest:?}");
    // It has its place, and works on.
    let stages = vec![waiting("isolation", Vec::new()), waiting("platform/edge", Vec::new())];
    store.commit(&first, Commit { stages, ..Commit::default() }).await.unwrap();
    let all = store.statistics().await.unwrap();
    assert!(all.certificates_waiting == 0 && all.oldest_operation >= Duration::from_millis(200), "{all:?}");
    // Nor does who goes wait for it.
    let stages = vec![waiting("isolation", serde_json::to_vec(&wait).unwrap())];
    store.commit(&first, Commit { stages, release: Release::UntilChanged, ..Commit::default() }).await.unwrap();
    assert_eq!(store.statistics().await.unwrap().certificates_waiting, 1);
    store.delete(&name("acme", "one"), delete()).await.unwrap();
    assert_eq!(store.statistics().await.unwrap().certificates_waiting, 0);
}

pub async fn a_duty_is_one_daemons_until_it_is_given_back<S: Store + DaemonStore>(store: Arc<S>) {
    let claim = async |duty, owner: &str, ttl| store.claim_duty(duty, owner, ttl).await.unwrap();
    assert!(claim(Duty::HostInventories, "a", LEASE).await && claim(Duty::HostInventories, "a", LEASE).await);
    assert!(!claim(Duty::HostInventories, "b", LEASE).await);
    assert!(claim(Duty::CloudInventories, "b", LEASE).await, "another duty");
    assert!(claim(Duty::CloudInventories, "b", Duration::ZERO).await);
    assert!(claim(Duty::CloudInventories, "a", LEASE).await, "it was given back");
    // Whoever leaves has none any more, nor does one whose lease is over.
    store.leave("a").await.unwrap();
    assert!(claim(Duty::HostInventories, "b", Duration::from_millis(1)).await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(claim(Duty::HostInventories, "c", LEASE).await);
}
