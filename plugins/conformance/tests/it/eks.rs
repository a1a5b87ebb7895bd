//! The suite against the EKS provider and the simulated AWS.

use crate::common::clouds::{KILLED, LOST, POOLS, THROTTLED, conforms, others};

#[tokio::test(flavor = "multi_thread")]
async fn eks_keeps_the_contract() {
    conforms("eks", &[], &others()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_stands_calls_that_get_lost() {
    conforms("eks", &[], &LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_stands_being_killed_at_each_call() {
    conforms("eks", &[], &KILLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_stands_a_throttled_and_a_hanging_cloud() {
    conforms("eks", &[], &THROTTLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_takes_what_is_ordered_to_the_nodes() {
    conforms("eks", &[], &POOLS).await;
}
