//! Requests per second over the unix socket. The tenants are paused, so that the engine rests.

use std::time::Instant;

use anyhow::Result;
use futures::{StreamExt as _, stream};
use landlord_proto::v1::{GetTenantRequest, tenant_service_client::TenantServiceClient};
use landlord_test_harness::{Cloud, World, client};
use tonic::transport::Channel;

use crate::order::request;

/// Requests in flight: as many portals at the same moment.
const IN_FLIGHT: usize = 64;

/// Lines for durable creates and for gets.
pub(crate) async fn rows(world: &World, cloud: &Cloud, requests: usize) -> Result<Vec<String>> {
    let channel = client::connect(&world.socket()).await?;
    let creates = per_second(requests, |index| {
        let mut client = TenantServiceClient::<Channel>::new(channel.clone());
        async move { client.create_tenant(request(&cloud.bare_class(), &format!("r{index}"), true)).await.map(|_| ()) }
    })
    .await?;
    let gets = per_second(requests * 5, |index| {
        let mut client = TenantServiceClient::<Channel>::new(channel.clone());
        let name = format!("customers/bench/tenants/r{}", index % requests);
        async move { client.get_tenant(GetTenantRequest { name }).await.map(|_| ()) }
    })
    .await?;
    Ok(vec![format!("CreateTenant (durable): {creates:.0}/s"), format!("GetTenant: {gets:.0}/s")])
}

/// How many calls a second end well, [`IN_FLIGHT`] at the same moment.
pub(crate) async fn per_second<F>(count: usize, call: impl Fn(usize) -> F) -> Result<f64>
where
    F: Future<Output = Result<(), tonic::Status>>,
{
    let started = Instant::now();
    let mut calls = stream::iter(0..count).map(call).buffer_unordered(IN_FLIGHT);
    while let Some(result) = calls.next().await {
        result?;
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
