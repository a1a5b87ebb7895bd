//! A store with environments that are READY, written by the store itself, as the engine has it do.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landlord_core::{
    OperationOutcome, Placement, State,
    environment::Endpoint,
    ports::{Claim, NewTenant, TenantStore as _, WorkStore as _},
};
use landlord_store::{
    Store,
    sqlite::{self, SqliteOptions},
};
use landlord_store_contract::fixtures;
use landlord_test_harness::cloud::EKS;

use crate::order::CUSTOMER;

/// Writes under way: they share transactions.
const IN_FLIGHT: usize = 64;
/// Claimed at once, and for how long: far longer than they take.
const CLAIMED: u32 = 500;
const LEASE: Duration = Duration::from_secs(60);
/// Whose claims they are.
const OWNER: &str = "bench";

/// Makes so many environments, READY at these addresses. Nothing of them is due.
pub(super) async fn fill(path: &Path, tenants: usize, endpoints: impl Fn(usize) -> Vec<Endpoint>) -> Result<()> {
    let store = sqlite::open(path, SqliteOptions::default()).await?;
    let placement = placement()?;
    let orders = stream::iter(0..tenants).map(|index| {
        let order = fixtures::new(&fixtures::name(CUSTOMER, &format!("t{index}")), fixtures::once());
        store.create(NewTenant { placement: placement.clone(), ..order })
    });
    orders.buffer_unordered(IN_FLIGHT).try_for_each(async |_| Ok(())).await?;
    let mut written = 0;
    while written < tenants {
        let claims = store.claim(OWNER, CLAIMED, LEASE).await?;
        ensure!(
            !claims.is_empty(),
            "{written} of {tenants} environments are READY, and the store gives no more to work on"
        );
        written += claims.len();
        let commits = stream::iter(&claims).map(|claim| ready(&store, claim, &endpoints));
        commits.buffer_unordered(IN_FLIGHT).try_for_each(async |()| Ok(())).await?;
    }
    store.close().await;
    Ok(())
}

async fn ready(store: &Store, claim: &Claim, endpoints: impl Fn(usize) -> Vec<Endpoint>) -> Result<()> {
    let work = store.load(claim).await?;
    let index = index_of(&work.environment.name().to_string()).context("no tenant of this benchmark")?;
    let mut commit = fixtures::settle(&work, State::Ready, OperationOutcome::Ready);
    if let Some(status) = &mut commit.environment.status {
        status.endpoints = endpoints(index);
    }
    store.commit(claim, commit).await?;
    Ok(())
}

/// Which one a name is of.
pub(super) fn index_of(name: &str) -> Option<usize> {
    name.rsplit_once("/t")?.1.parse().ok()
}

/// On the simulated cloud that the daemon has a plugin for.
fn placement() -> Result<Placement> {
    Ok(Placement {
        class: EKS.bare_class().parse()?,
        provider: EKS.provider.parse()?,
        account: EKS.account.into(),
        region: EKS.regions[0].into(),
        machine_type: EKS.machine_types[0].into(),
        ..fixtures::placement()
    })
}
