//! The suite against the GKE provider and the simulated GCP.

use crate::common::clouds::{KILLED, LOST, POOLS, THROTTLED, conforms, others};

/// A new project has room for five networks.
const QUOTAS: [&str; 6] = ["NETWORKS", "SUBNETWORKS", "ROUTERS", "CPUS", "IN_USE_ADDRESSES", "FIREWALLS"];

#[tokio::test(flavor = "multi_thread")]
async fn gke_keeps_the_contract() {
    conforms("gke", &QUOTAS, &others()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_stands_calls_that_get_lost() {
    conforms("gke", &QUOTAS, &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_stands_being_killed_at_each_call() {
    conforms("gke", &QUOTAS, &KILLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_stands_a_throttled_and_a_hanging_cloud() {
    conforms("gke", &QUOTAS, &THROTTLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_takes_what_is_ordered_to_the_nodes() {
    conforms("gke", &QUOTAS, &POOLS).await;
}
