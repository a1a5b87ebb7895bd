//! Before the first change of a store that goes on from a copy: what each provider's cloud holds, by the installation's
//! marker, compared with the records. Lists, and changes nothing.
//!
//! Until a provider was compared, the store gives out none of its environments; a cloud that does not respond delays its own
//! environments and nobody else's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use landlord_core::{
    Chain, ErrorKind, Failure, FoundObjects, InventoryDue, InventoryReport, ProviderName, TenantUid,
    ports::{Duty, InventoryStore, ProviderKey, Providers, StoreError, Wake},
    stage::RemovedObject,
};
use landlord_provider_api::{Provider, v1};
use tokio_util::sync::CancellationToken;

/// A plugin that is being started is there in seconds.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// A cloud that is away for longer, or one that can't be listed until somebody corrects the configuration, is tried so often.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Pages of an inventory: at a hundred objects each, those of some thousands of tenants.
const PAGES_MAX: usize = 10_000;
/// A daemon that ends while it lists is followed after this; one that lists keeps the duty for as long as it takes.
const DUTY_TTL: Duration = Duration::from_secs(60);
/// Inventories listed at once; each is of another provider or account, whose calls have limits of their own.
const LISTS_MAX: usize = 16;
/// Orphans named in a log line.
const NAMED_MAX: usize = 5;

/// What a comparison works with.
pub struct Inventories {
    /// Installation, for the owner markers.
    pub installation: String,
    /// Regions that the configuration offers, beside those that records name.
    pub regions: BTreeMap<ProviderName, BTreeSet<String>>,
    /// Accounts that the configuration names, beside those that records name.
    pub accounts: BTreeMap<ProviderKey, String>,
    /// This daemon, who has the duty while it lists.
    pub daemon: String,
    /// The records.
    pub store: Arc<dyn InventoryStore>,
    /// The clouds.
    pub providers: Arc<dyn Providers>,
    /// Who begins when something was compared.
    pub wake: Arc<dyn Wake>,
}

impl std::fmt::Debug for Inventories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventories").field("regions", &self.regions).finish_non_exhaustive()
    }
}

impl Inventories {
    /// Compares every provider that is to be compared in the store's present epoch, until `stop`.
    pub async fn compare(self, stop: CancellationToken) {
        let (mut reported, mut retry) = (BTreeMap::new(), RETRY_FIRST);
        while let Some(open) = stop.run_until_cancelled(self.round(&mut reported)).await {
            match open {
                // Another daemon on the same store may begin an epoch.
                Ok(0) => retry = RETRY_MAX,
                Ok(_) => {}
                Err(error) => tracing::error!(error = %Chain(&error), "inventories can't be compared with the records"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(retry)).await.is_none() {
                return;
            }
            retry = retry.mul_f64(1.5).min(RETRY_MAX);
        }
    }

    /// Tries each provider once, all beside each other: one that takes its time delays nobody else. While another daemon does so
    /// nothing is listed. Gives how many are still to be compared. `reported`: what was logged of each already.
    async fn round(&self, reported: &mut BTreeMap<ProviderKey, String>) -> Result<usize, StoreError> {
        let configured: Vec<ProviderKey> = self.providers.health().into_iter().map(|health| health.key).collect();
        let due = self.store.inventories_due(&configured).await?;
        let open = due.len();
        if open == 0 || !self.claim(DUTY_TTL).await? {
            return Ok(open);
        }
        let mut comparing = std::pin::pin!(self.compare_all(due, &configured, reported));
        loop {
            tokio::select! {
                compared = &mut comparing => {
                    // Another daemon may have a plugin that this one does not have.
                    self.claim(Duration::ZERO).await?;
                    return compared;
                }
                () = tokio::time::sleep(DUTY_TTL / 3) => if !self.claim(DUTY_TTL).await? { return Ok(open) },
            }
        }
    }

    async fn claim(&self, ttl: Duration) -> Result<bool, StoreError> {
        self.store.claim_duty(Duty::CloudInventories, &self.daemon, ttl).await
    }

    async fn compare_all(
        &self,
        due: Vec<InventoryDue>,
        configured: &[ProviderKey],
        reported: &mut BTreeMap<ProviderKey, String>,
    ) -> Result<usize, StoreError> {
        let listing = |due: InventoryDue| async move {
            let listed = self.list(&due).await;
            (due, listed)
        };
        let mut lists = stream::iter(due).map(listing).buffer_unordered(LISTS_MAX);
        let mut open = 0;
        while let Some((due, listed)) = lists.next().await {
            let found = match listed {
                Ok(found) => Some(found),
                Err(failure) if failure.kind == ErrorKind::Invalid && !configured.contains(&due.key) => None,
                Err(failure) => {
                    let why = failure.to_string();
                    if reported.insert(due.key.clone(), why.clone()).as_ref() != Some(&why) {
                        let remedy = failure.remedy;
                        tracing::warn!(provider = %due.key, why, remedy, "its inventory can't be listed yet; its environments wait");
                    }
                    open += 1;
                    continue;
                }
            };
            let report = self.store.compare_inventory(&due.key, found).await?;
            log_report(&due, &report);
            self.wake.wake();
        }
        Ok(open)
    }

    async fn list(&self, due: &InventoryDue) -> Result<Vec<FoundObjects>, Failure> {
        let provider = self.providers.provider(&due.key)?;
        let mut regions: BTreeSet<&str> = due.regions.iter().map(String::as_str).collect();
        regions.extend(self.regions.get(&due.key.provider).into_iter().flatten().map(String::as_str));
        let mut accounts: BTreeSet<&str> = due.accounts.iter().map(String::as_str).collect();
        accounts.extend(self.accounts.get(&due.key).map(String::as_str));
        for all in [&mut regions, &mut accounts] {
            if all.is_empty() {
                all.insert("");
            }
        }
        let mut found = Found::new();
        for account in accounts {
            for region in &regions {
                let scope = v1::Scope {
                    installation: self.installation.clone(),
                    region: (*region).to_owned(),
                    account: account.to_owned(),
                    ..v1::Scope::default()
                };
                list_region(&*provider, scope, &mut found).await?;
            }
        }
        let objects = |((uid, region), objects): (_, BTreeSet<_>)| FoundObjects {
            uid,
            region,
            objects: objects.into_iter().collect(),
        };
        Ok(found.into_iter().map(objects).collect())
    }
}

/// Logs what a comparison found.
fn log_report(due: &InventoryDue, report: &InventoryReport) {
    let named = |all: Vec<String>| all.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    tracing::info!(provider = %due.key, reason = due.reason, "inventory compared with the records");
    if !report.orphans.is_empty() {
        tracing::warn!(
            provider = %due.key, tenants = report.orphans.len(),
            uids = named(report.orphans.iter().map(ToString::to_string).collect()),
            "the cloud holds objects of tenants that have no record; they were ordered after the copy was made"
        );
    }
    if !report.held.is_empty() {
        tracing::warn!(
            provider = %due.key, environments = report.held.len(),
            names = named(report.held.iter().map(ToString::to_string).collect()),
            "the cloud holds nothing of these; they are FAILED until they are deleted or retried"
        );
    }
}

type Found = BTreeMap<(TenantUid, String), BTreeSet<RemovedObject>>;

/// All pages of an account's inventory in one region.
async fn list_region(provider: &dyn Provider, scope: v1::Scope, found: &mut Found) -> Result<(), Failure> {
    let mut page_token = String::new();
    for _ in 0..PAGES_MAX {
        let page = provider.list_owned(v1::ListOwnedRequest { scope: Some(scope.clone()), page_token }).await?;
        for object in page.objects {
            // What carries no tenant's marker is nobody's by name.
            let Ok(uid) = object.tenant_uid.parse::<TenantUid>() else { continue };
            let region = if object.region.is_empty() { scope.region.clone() } else { object.region };
            let object = RemovedObject { r#type: object.r#type, id: object.id, name: object.name };
            found.entry((uid, region)).or_default().insert(object);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
    // What is on the pages that were not read would be missed, and its environments held.
    let problem = format!("the inventory of {:?} has more than {PAGES_MAX} pages", scope.region);
    Err(Failure::new(ErrorKind::Internal, problem))
}
