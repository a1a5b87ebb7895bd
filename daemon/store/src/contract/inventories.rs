//! Inventories compared with records: whose objects nobody knows, and whose record stands for nothing.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    DesiredState, Environment, EnvironmentKind, FoundInHost, FoundObjects, HostView, HostsDue, InventoryDue,
    InventoryReport, OperationOutcome, Orphan, StageRecord, StageState, TenantUid, Timestamp,
    audit::Author,
    lifecycle::{self, HELD},
    placement::ProviderKey,
    ports::{EventKind, InventoryStore, NewEvent, StoreError},
};
use sqlx::{AnyConnection, Row as _};

use super::{
    namespaces,
    orphans::{self, host_in},
};
use crate::{
    rows::{self, clock, environments, events, operations, stages, unavailable},
    store::Store,
};

#[async_trait]
impl InventoryStore for Store {
    async fn inventories_due(&self, configured: &[ProviderKey]) -> Result<Vec<InventoryDue>, StoreError> {
        self.snapshot(async |connection| due(connection, configured).await).await
    }

    async fn compare_inventory(
        &self,
        key: &ProviderKey,
        found: Option<Vec<FoundObjects>>,
    ) -> Result<InventoryReport, StoreError> {
        let (key, events_max) = (key.clone(), self.events_max);
        self.writer.write(move |connection| compare(connection, key.clone(), found.clone(), events_max).boxed()).await
    }

    async fn hosts_due(&self) -> Result<HostsDue, StoreError> {
        self.snapshot(async |connection| namespaces::due(connection).await).await
    }

    async fn compare_host(&self, host: &HostView, found: Vec<FoundInHost>) -> Result<Vec<TenantUid>, StoreError> {
        let host = host.clone();
        self.writer.write(move |connection| namespaces::compare(connection, host.clone(), found.clone()).boxed()).await
    }
}

/// Of every provider that is configured or that a record names, what is not compared yet.
async fn due(connection: &mut AnyConnection, configured: &[ProviderKey]) -> Result<Vec<InventoryDue>, StoreError> {
    let failed = unavailable("searching for inventories to compare");
    let row = sqlx::query("SELECT epoch, reason FROM identity").fetch_one(&mut *connection).await.map_err(&failed)?;
    let (epoch, reason): (i64, String) =
        (row.try_get("epoch").map_err(&failed)?, row.try_get("reason").map_err(&failed)?);
    if epoch == 0 {
        return Ok(Vec::new());
    }
    let new = |key: &ProviderKey| InventoryDue {
        key: key.clone(),
        accounts: Vec::new(),
        regions: Vec::new(),
        reason: reason.clone(),
    };
    let mut due: BTreeMap<ProviderKey, InventoryDue> = configured.iter().map(|key| (key.clone(), new(key))).collect();
    let rows = sqlx::query("SELECT * FROM tenants").fetch_all(&mut *connection).await.map_err(&failed)?;
    // A record that can't be read is left out: it can't be worked on either.
    for placement in rows.iter().filter_map(rows::readable).map(|record| record.placement) {
        let key = placement.provider_key();
        let entry = due.entry(key.clone()).or_insert_with(|| new(&key));
        if !placement.region.is_empty() && !entry.regions.contains(&placement.region) {
            entry.regions.push(placement.region);
        }
        if !placement.account.is_empty() && !entry.accounts.contains(&placement.account) {
            entry.accounts.push(placement.account);
        }
    }
    let compared: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT provider, credentials, listed FROM inventories WHERE epoch = $1")
            .bind(epoch)
            .fetch_all(connection)
            .await
            .map_err(&failed)?;
    due.retain(|key, _| {
        let is_compared = |(provider, credentials, listed): &(String, String, i64)| {
            let is_it = *provider == key.provider.as_str() && *credentials == key.credentials;
            is_it && (*listed != 0 || !configured.contains(key))
        };
        !compared.iter().any(is_compared)
    });
    Ok(due.into_values().collect())
}

async fn compare(
    connection: &mut AnyConnection,
    key: ProviderKey,
    found: Option<Vec<FoundObjects>>,
    events_max: u64,
) -> Result<InventoryReport, StoreError> {
    let failed = unavailable("comparing an inventory");
    let now = clock::now(connection).await?;
    let mut report = InventoryReport::default();
    let listed = i64::from(found.is_some());
    // Another daemon has compared: work goes on since, and what was listed before it is no measure any more.
    let compared: i64 = sqlx::query_scalar(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM inventories i JOIN identity d ON i.epoch = d.epoch \
         WHERE i.provider = $1 AND i.credentials = $2 AND (i.listed = 1 OR $3 = 0)",
    )
    .bind(key.provider.as_str())
    .bind(&key.credentials)
    .bind(listed)
    .fetch_one(&mut *connection)
    .await
    .map_err(&failed)?;
    if compared > 0 {
        return Ok(report);
    }
    if let Some(found) = found {
        report.orphans = keep_orphans(connection, &key, &found, now).await?;
        let seen: BTreeSet<TenantUid> = found.iter().map(|objects| objects.uid).collect();
        let rows = sqlx::query("SELECT * FROM tenants WHERE provider = $1 AND credentials = $2")
            .bind(key.provider.as_str())
            .bind(&key.credentials)
            .fetch_all(&mut *connection)
            .await
            .map_err(&failed)?;
        let (restored, epoch_time): (i64, i64) = sqlx::query_as("SELECT restored, epoch_time FROM identity")
            .fetch_one(&mut *connection)
            .await
            .map_err(&failed)?;
        for record in rows.iter().filter_map(rows::readable) {
            // Ordered in this epoch: only this store can have built it, and its records show it.
            let restored = restored != 0 && (epoch_time == 0 || record.create_time < Timestamp(epoch_time));
            if !seen.contains(&record.uid) && is_missed(connection, &record, restored).await? {
                hold(connection, &record, now, events_max).await?;
                report.held.push(record.name());
            }
        }
    }
    sqlx::query(
        "INSERT INTO inventories (provider, credentials, epoch, compare_time, listed) \
         SELECT $1, $2, epoch, $3, $4 FROM identity WHERE 1 = 1 \
         ON CONFLICT (provider, credentials) DO UPDATE SET epoch = excluded.epoch, compare_time = excluded.compare_time, \
           listed = excluded.listed",
    )
    .bind(key.provider.as_str())
    .bind(&key.credentials)
    .bind(now.0)
    .bind(listed)
    .execute(connection)
    .await
    .map_err(&failed)?;
    Ok(report)
}

/// Whether an environment of which nothing was listed should have been there. Of a store that is known to be older than what
/// was done, each one may have been deleted since; else only what was built is missed.
async fn is_missed(connection: &mut AnyConnection, record: &Environment, restored: bool) -> Result<bool, StoreError> {
    if record.desired_state == DesiredState::Absent || record.kind() == EnvironmentKind::AdoptedHostCluster {
        return Ok(false);
    }
    let records = stages::read(connection, record.uid).await?;
    let done = |stage: &&StageRecord| stage.desired_state == DesiredState::Present && stage.state == StageState::Done;
    let in_cloud = records.iter().filter(done).any(|stage| stage.stage.resource().is_some());
    // One that was only ordered may have been built and deleted since. What has no object in the cloud can't be missed there.
    Ok(in_cloud || restored && !records.iter().any(|stage| done(&stage)))
}

async fn hold(
    connection: &mut AnyConnection,
    record: &Environment,
    now: Timestamp,
    events_max: u64,
) -> Result<(), StoreError> {
    let Some((held, failure)) = lifecycle::hold(record, now) else { return Ok(()) };
    let message = format!("{}; {}", failure.message, failure.remedy);
    operations::end(connection, record.operation, &OperationOutcome::Failed { failure }, now).await?;
    environments::rewrite(connection, &Author::daemon("CompareInventory", ""), (record, &held), now, false).await?;
    sqlx::query("UPDATE tenants SET next_due = NULL, lease_until = 0, owner = '', fence = fence + 1 WHERE uid = $1")
        .bind(record.uid.to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable("holding an environment"))?;
    let event =
        NewEvent { kind: EventKind::Tenant, stage: String::new(), reason: HELD.into(), message, progress: None };
    events::append(connection, now, record.uid, &record.name(), (None, &[event]), events_max).await
}

/// Replaces what is kept of a provider's orphans by what was found now.
async fn keep_orphans(
    connection: &mut AnyConnection,
    key: &ProviderKey,
    found: &[FoundObjects],
    now: Timestamp,
) -> Result<Vec<TenantUid>, StoreError> {
    let failed = unavailable("writing orphans");
    let known = namespaces::known(connection).await?;
    // Namespaces in host clusters are no provider's to list: they stay on the list.
    let mut in_hosts = orphans::orphans(connection).await?;
    in_hosts.retain(|orphan| orphan.key == *key && !known.contains(&orphan.uid));
    for orphan in &mut in_hosts {
        orphan.objects.retain(|object| host_in(object).is_some());
    }
    sqlx::query("DELETE FROM orphans WHERE provider = $1 AND credentials = $2")
        .bind(key.provider.as_str())
        .bind(&key.credentials)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    let mut unknown = BTreeSet::new();
    for found in found.iter().filter(|found| !known.contains(&found.uid)) {
        let mut objects = found.objects.clone();
        let of_it = |orphan: &&mut Orphan| orphan.uid == found.uid && orphan.region == found.region;
        if let Some(orphan) = in_hosts.iter_mut().find(of_it) {
            objects.append(&mut orphan.objects);
        }
        let orphan =
            Orphan { uid: found.uid, key: key.clone(), region: found.region.clone(), objects, found_time: now };
        orphans::put(connection, &orphan).await?;
        unknown.insert(found.uid);
    }
    for orphan in in_hosts.iter().filter(|orphan| !orphan.objects.is_empty()) {
        orphans::put(connection, orphan).await?;
    }
    Ok(unknown.into_iter().collect())
}
