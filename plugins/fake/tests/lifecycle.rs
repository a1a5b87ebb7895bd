//! The fake cloud keeps the contract: idempotent, ours only, absent is gone, nothing left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use landlord_plugin_fake::Fake;
use landlord_provider_api::{
    Cluster as _, ErrorKind, Inventory as _, Network as _, ProviderPlugin as _, v1,
    v1::{ResourceKind, progress::Outcome},
};

async fn open(dir: &Path, more: &str) -> Fake {
    let config_json = format!("{{\"state_dir\": {:?}{more}}}", dir.display().to_string());
    let request = v1::ConfigureRequest { config_json, ..v1::ConfigureRequest::default() };
    Fake::configure(request).await.unwrap()
}

fn scope(installation: &str, uid: &str) -> Option<v1::Scope> {
    Some(v1::Scope {
        installation: installation.into(),
        tenant_uid: uid.into(),
        region: "here".into(),
        ..v1::Scope::default()
    })
}

fn network(installation: &str) -> v1::EnsureNetworkRequest {
    let scope = scope(installation, "t1");
    v1::EnsureNetworkRequest { scope, ..v1::EnsureNetworkRequest::default() }
}

fn cluster() -> v1::EnsureClusterRequest {
    v1::EnsureClusterRequest { scope: scope("one", "t1"), ..v1::EnsureClusterRequest::default() }
}

fn delete(kind: ResourceKind) -> v1::DeleteRequest {
    let scope = scope("one", "t1");
    v1::DeleteRequest { scope, kind: kind.into(), ..v1::DeleteRequest::default() }
}

fn list(uid: &str) -> v1::ListOwnedRequest {
    v1::ListOwnedRequest { scope: scope("one", uid), page_token: String::new() }
}

fn effects(dir: &Path) -> usize {
    fs::read_to_string(dir.join("journal.jsonl")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn repeating_changes_nothing_and_a_restart_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let fake = open(dir.path(), "").await;
        let response = fake.ensure_network(network("one")).await.unwrap();
        assert!(matches!(response.progress.unwrap().outcome, Some(Outcome::Ready(_))));
        assert_eq!(response.status.unwrap().network_id, "net-t1");
    }
    assert_eq!(effects(dir.path()), 1);
}

#[tokio::test]
async fn work_takes_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let fake = open(dir.path(), ", \"durations_ms\": {\"EnsureNetwork\": 3600000}").await;
    for _ in 0..2 {
        let response = fake.ensure_network(network("one")).await.unwrap();
        assert!(matches!(response.progress.unwrap().outcome, Some(Outcome::Pending(_))));
        assert_eq!(response.status, None);
    }
    assert_eq!(effects(dir.path()), 1);
}

#[tokio::test]
async fn deletes_follow_their_order_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fake = open(dir.path(), "").await;
    fake.ensure_network(network("one")).await.unwrap();
    fake.ensure_cluster(cluster()).await.unwrap();
    assert_eq!(fake.list_owned(list("")).await.unwrap().objects.len(), 2);
    let early = fake.delete(delete(ResourceKind::Network)).await.unwrap_err();
    assert_eq!(early.kind, ErrorKind::Conflict);
    for kind in [ResourceKind::NodePool, ResourceKind::Cluster, ResourceKind::Network] {
        for _ in 0..2 {
            let progress = fake.delete(delete(kind)).await.unwrap().progress.unwrap();
            assert!(matches!(progress.outcome, Some(Outcome::Gone(_))), "{kind:?}");
        }
    }
    assert!(fake.list_owned(list("t1")).await.unwrap().objects.is_empty());
    assert_eq!(effects(dir.path()), 4);
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let fake = open(dir.path(), "").await;
    fake.ensure_network(network("another")).await.unwrap();
    let taken = fake.ensure_network(network("one")).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::NameTaken);
    // By the daemon's records it is ours: somebody took the marker off, and it is not gone.
    let recorded = v1::DeleteRequest { recorded: true, ..delete(ResourceKind::Network) };
    assert_eq!(fake.delete(recorded).await.unwrap_err().kind, ErrorKind::NameTaken);
    fake.delete(delete(ResourceKind::Network)).await.unwrap();
    assert!(fake.list_owned(list("")).await.unwrap().objects.is_empty());
    fake.ensure_network(network("another")).await.unwrap();
    assert_eq!(effects(dir.path()), 1);
}

#[tokio::test]
async fn a_lost_response_is_an_effect_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let fault = ", \"faults\": [{\"method\": \"EnsureNetwork\", \"after\": true, \"times\": 1, \
                 \"action\": {\"error\": {\"kind\": \"TRANSIENT\"}}}]";
    let fake = open(dir.path(), fault).await;
    let lost = fake.ensure_network(network("one")).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::Transient);
    assert_eq!(effects(dir.path()), 1);
    fake.ensure_network(network("one")).await.unwrap();
    assert_eq!(effects(dir.path()), 1);
}

#[tokio::test]
async fn a_uid_is_no_path() {
    let dir = tempfile::tempdir().unwrap();
    let fake = open(dir.path(), "").await;
    let scope = scope("one", "../../etc");
    let request = v1::EnsureNetworkRequest { scope, ..v1::EnsureNetworkRequest::default() };
    assert_eq!(fake.ensure_network(request).await.unwrap_err().kind, ErrorKind::Invalid);
}
