//! The suite against the AKS provider and the simulated Azure.

use crate::common::clouds::{KILLED, LOST, POOLS, THROTTLED, conforms, others};

#[tokio::test(flavor = "multi_thread")]
async fn aks_keeps_the_contract() {
    conforms("aks", &[], &others()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_stands_calls_that_get_lost() {
    conforms("aks", &[], &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_stands_being_killed_at_each_call() {
    conforms("aks", &[], &KILLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_stands_a_throttled_and_a_hanging_cloud() {
    conforms("aks", &[], &THROTTLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_takes_what_is_ordered_to_the_nodes() {
    conforms("aks", &[], &POOLS).await;
}
