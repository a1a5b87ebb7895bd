//! What tenants have in host clusters, compared with the records: whose record was lost with a copy of the store, or whose removal
//! was forced, has left its namespace there, or the pool of its machines, and no inventory of a cloud lists them. Lists, and changes
//! nothing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use landlord_core::{
    Chain, Failure, FoundInHost, HostView, TenantUid,
    ports::{Duty, HostClusters, InventoryStore, KubeCredentials, Providers, StoreError},
};
use tokio_util::sync::CancellationToken;

use crate::request;

/// A host cluster that did not answer is listed this soon again.
const RETRY: Duration = Duration::from_secs(60);
/// Namespaces without a record come of a store that was replaced, which is rare; a list of names costs an API server little.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// A host cluster that answers does so within moments; one that hangs must not keep the others from being listed.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than one host cluster takes, and than the wait for those that did not answer.
const DUTY_TTL: Duration = Duration::from_secs(150);
/// Orphans named in a log line.
const NAMED_MAX: usize = 5;

/// What a comparison works with.
pub struct HostInventories {
    /// Installation, by whose label namespaces are known.
    pub installation: String,
    /// This daemon, who has the duty until the next comparison is due.
    pub daemon: String,
    /// The records.
    pub store: Arc<dyn InventoryStore>,
    /// Who gives access to the host clusters.
    pub providers: Arc<dyn Providers>,
    /// Who lists them.
    pub host_clusters: Arc<dyn HostClusters>,
}

impl std::fmt::Debug for HostInventories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostInventories").field("installation", &self.installation).finish_non_exhaustive()
    }
}

impl HostInventories {
    /// Compares every host cluster at once and then at intervals, until `stop`.
    pub async fn compare(self, stop: CancellationToken) {
        while let Some(compared) = stop.run_until_cancelled(self.round()).await {
            let wait = match compared {
                Ok(Some(0)) => INTERVAL,
                // Another daemon may end before it has listed.
                Ok(Some(_) | None) => RETRY,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "namespaces can't be compared with the records");
                    RETRY
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Compares each host cluster once; gives how many could not be listed. `None`: another daemon has the duty, or took it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn round(&self) -> Result<Option<usize>, StoreError> {
        if !self.claim(DUTY_TTL).await? {
            return Ok(None);
        }
        let due = self.store.hosts_due().await?;
        let mut open = 0;
        for host in &due.hosts {
            if !self.claim(DUTY_TTL).await? {
                return Ok(None);
            }
            let listed = tokio::time::timeout(LIST_TIMEOUT, self.list(host)).await;
            let mut found = match listed {
                Ok(Ok(found)) => found,
                Ok(Err(failure)) => {
                    let (why, remedy) = (failure.to_string(), &failure.remedy);
                    tracing::warn!(host_cluster = %host.host.id, why, remedy, "its tenants' namespaces can't be listed yet");
                    open += 1;
                    continue;
                }
                Err(_) => {
                    tracing::warn!(host_cluster = %host.host.id, ?LIST_TIMEOUT, "listing its tenants' namespaces takes too long");
                    open += 1;
                    continue;
                }
            };
            found.retain(|object| !due.known.contains(&object.uid));
            let orphans: BTreeSet<TenantUid> = self.store.compare_host(host, found).await?.into_iter().collect();
            if !orphans.is_empty() {
                let uids: Vec<String> = orphans.iter().take(NAMED_MAX).map(ToString::to_string).collect();
                tracing::warn!(
                    host_cluster = %host.host.id, tenants = orphans.len(), uids = uids.join(", "),
                    "the host cluster has namespaces or node pools of tenants that have no record; see `landlord orphans`"
                );
            }
        }
        // Nobody lists them again before that. One that ends in order gives its duties back.
        let kept = self.claim(if open == 0 { INTERVAL } else { DUTY_TTL }).await?;
        Ok(kept.then_some(open))
    }

    async fn claim(&self, ttl: Duration) -> Result<bool, StoreError> {
        self.store.claim_duty(Duty::HostInventories, &self.daemon, ttl).await
    }

    async fn list(&self, host: &HostView) -> Result<Vec<FoundInHost>, Failure> {
        let request = request::host_access(&self.installation, host);
        let provider = self.providers.provider(&host.placement.provider_key())?;
        let kube: KubeCredentials = provider.kube_access(request).await?.try_into()?;
        self.host_clusters.of_tenants(&kube, &self.installation).await
    }
}
