//! What policies know of customers: their labels, read again and again, since customers are changed by any daemon.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use landlord_auth::{
    policy::{CustomerLabels, Policies},
    tls::POLL_INTERVAL,
};
use landlord_core::ports::{CustomerStore, StoreError};
use landlord_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Customers read at a time.
const PAGE: u32 = 500;

/// Has the policies know the labels of all customers, now and from then on; only where there can be policies that speak of them.
///
/// # Errors
/// A store that can't be read.
pub(crate) async fn start(
    policies: &Arc<Policies>,
    customers: &Arc<Store>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<()> {
    if !policies.has_folder() {
        return Ok(());
    }
    read(policies, &**customers).await.context("reading the labels of customers")?;
    tasks.spawn(follow(policies.clone(), customers.clone(), stop.clone()));
    Ok(())
}

async fn read(policies: &Policies, customers: &dyn CustomerStore) -> std::result::Result<(), StoreError> {
    let (mut labels, mut after) = (CustomerLabels::new(), None);
    loop {
        let page = customers.customers(after.as_deref(), PAGE).await?;
        let labelled = page.items.into_iter().filter(|customer| !customer.spec.labels.is_empty());
        labels.extend(labelled.map(|customer| (customer.id, customer.spec.labels)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    policies.know_customers(labels);
    Ok(())
}

/// Reads them again until cancelled.
async fn follow(policies: Arc<Policies>, customers: Arc<dyn CustomerStore>, stop: CancellationToken) {
    let mut was_away = false;
    while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
        let read = read(&policies, &*customers).await;
        if let (Err(error), false) = (&read, was_away) {
            tracing::warn!(%error, "the labels of customers can't be read; policies know those of before");
        }
        was_away = read.is_err();
    }
}
