//! What a tenant or host cluster is now, read over gRPC: tests wait most of their time, and a client process for each observation
//! costs more than all that is tested.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_proto::v1::{
    GetHostClusterRequest, GetTenantRequest, host_cluster_service_client::HostClusterServiceClient,
    tenant_service_client::TenantServiceClient,
};
use tonic::Code;

use crate::client;

/// How often a state that is waited for is observed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// For one response; a daemon that was stopped gives none.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The state of `customers/…/tenants/…` or `hostClusters/…`; `GONE` if there is none.
///
/// # Errors
/// A daemon that does not respond.
pub fn state(socket: &Path, name: &str) -> Result<&'static str> {
    apart(async { observe(socket, name).await })
}

/// Waits until it is in `wanted` or, if that is `GONE`, is no more. A daemon that is not there yet is waited for.
///
/// # Errors
/// It is not so after `timeout`; the error has the last thing seen.
pub fn wait(socket: &Path, name: &str, wanted: &str, timeout: Duration) -> Result<()> {
    apart(async {
        let deadline = Instant::now() + timeout;
        loop {
            let seen = observe(socket, name).await;
            if matches!(seen, Ok(state) if state == wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{name} is not {wanted} after {timeout:?}; last seen: {seen:?}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    })
}

async fn observe(socket: &Path, name: &str) -> Result<&'static str> {
    let requested = async {
        let channel = client::connect(socket).await?;
        let name = name.to_owned();
        let state = if name.starts_with("hostClusters/") {
            let response =
                HostClusterServiceClient::new(channel).get_host_cluster(GetHostClusterRequest { name }).await;
            response.map(|host| host.into_inner().state().as_str_name())
        } else {
            let response = TenantServiceClient::new(channel).get_tenant(GetTenantRequest { name }).await;
            response.map(|tenant| tenant.into_inner().state().as_str_name())
        };
        match state {
            Err(status) if status.code() == Code::NotFound => Ok("GONE"),
            other => Ok(other?),
        }
    };
    tokio::time::timeout(RESPONSE_TIMEOUT, requested).await.context("no response")?
}

/// On a thread of its own, so that callers may be in a runtime or not.
fn apart<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
        scope.spawn(run).join().unwrap_or_else(|_| bail!("the observer panicked"))
    })
}
