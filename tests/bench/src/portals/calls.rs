//! Calls of well-behaved portals, timed.

use std::time::{Duration, Instant};

use anyhow::Result;
use landlord_proto::v1::{GetTenantRequest, tenant_service_client::TenantServiceClient};
use tokio::task::JoinSet;

use super::Scene;
use crate::figures::Sample;

/// Portals that call at the same moment.
const PORTALS: usize = 4;
/// Between two calls of one, so that they don't fill the machine by themselves.
const PAUSE: Duration = Duration::from_millis(5);
/// The first tenant that was ordered.
pub(super) const FIRST: &str = "customers/bench/tenants/first";

/// How portals fared.
pub(super) struct Fared {
    /// Milliseconds of each call.
    pub(super) took: Sample,
    /// Calls that failed.
    pub(super) failed: Vec<String>,
}

/// Portals that call for as long as `work` takes, and for `least` at least.
pub(super) async fn beside<T>(
    scene: &Scene,
    least: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<(Fared, T)> {
    let stop = tokio_util::sync::CancellationToken::new();
    let mut portals = JoinSet::new();
    for _ in 0..PORTALS {
        let (mut client, stop) = (TenantServiceClient::new(scene.channel().await?), stop.clone());
        let request = scene.signed(GetTenantRequest { name: FIRST.into() });
        let token = request.metadata().get("authorization").cloned();
        portals.spawn(async move {
            let (mut took, mut failed) = (Vec::new(), Vec::new());
            while !stop.is_cancelled() {
                let mut request = tonic::Request::new(GetTenantRequest { name: FIRST.into() });
                if let Some(token) = &token {
                    request.metadata_mut().insert("authorization", token.clone());
                }
                let began = Instant::now();
                if let Err(status) = client.get_tenant(request).await {
                    failed.push(format!("{:?}: {}", status.code(), status.message()));
                }
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
                tokio::time::sleep(PAUSE).await;
            }
            (took, failed)
        });
    }
    let began = Instant::now();
    let done = work.await;
    tokio::time::sleep(least.saturating_sub(began.elapsed())).await;
    stop.cancel();
    let (mut took, mut failed) = (Vec::new(), Vec::new());
    while let Some(one) = portals.join_next().await {
        let (more, refused) = one?;
        took.extend(more);
        failed.extend(refused);
    }
    Ok((Fared { took: Sample::new(took), failed }, done?))
}
