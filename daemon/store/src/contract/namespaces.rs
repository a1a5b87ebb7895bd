//! What tenants have in host clusters, namespaces and pools, compared with the records: no inventory of a cloud lists it.

use std::collections::BTreeSet;

use landlord_core::{FoundInHost, HostView, HostsDue, Orphan, TenantUid, Timestamp, ports::StoreError};
use sqlx::AnyConnection;

use super::{
    hosts,
    orphans::{self, host_in, hosted_object},
};
use crate::rows::{self, clock, unavailable};

/// Host clusters that can be reached, and everybody with a record.
pub(super) async fn due(connection: &mut AnyConnection) -> Result<HostsDue, StoreError> {
    let failed = unavailable("looking for host clusters whose namespaces are to be compared");
    let rows =
        sqlx::query("SELECT * FROM tenants WHERE customer = ''").fetch_all(&mut *connection).await.map_err(failed)?;
    let mut due = HostsDue { known: known(connection).await?, ..HostsDue::default() };
    for record in rows.iter().filter_map(rows::readable) {
        due.hosts.extend(hosts::view(connection, &record).await?.filter(|view| view.usable));
    }
    Ok(due)
}

/// Who has a record.
pub(super) async fn known(connection: &mut AnyConnection) -> Result<BTreeSet<TenantUid>, StoreError> {
    let failed = unavailable("looking for who has a record");
    let uids: Vec<String> =
        sqlx::query_scalar("SELECT uid FROM tenants").fetch_all(connection).await.map_err(failed)?;
    Ok(uids.iter().filter_map(|uid| uid.parse().ok()).collect())
}

/// Replaces what is kept of a host cluster's objects; gives who was not on the list.
pub(super) async fn compare(
    connection: &mut AnyConnection,
    host: HostView,
    found: Vec<FoundInHost>,
) -> Result<Vec<TenantUid>, StoreError> {
    let now = clock::now(connection).await?;
    let (known, key, id) = (known(connection).await?, host.placement.provider_key(), host.host.id.as_str());
    let mut before = orphans::orphans(connection).await?;
    before.retain(|orphan| orphan.key == key);
    let mut new = BTreeSet::new();
    let mut after = before.clone();
    for orphan in &mut after {
        orphan.objects.retain(|object| host_in(object) != Some(id));
    }
    for found in found.into_iter().filter(|found| !known.contains(&found.uid)) {
        let uid = found.uid;
        let is_it = |orphan: &Orphan| orphan.uid == uid;
        if !before.iter().any(is_it) {
            new.insert(uid);
        }
        let object = hosted_object(id, found);
        let here = |orphan: &&mut Orphan| is_it(orphan) && orphan.region == host.placement.region;
        match after.iter_mut().find(here) {
            Some(orphan) => orphan.objects.push(object),
            None => after.push(orphan(uid, &host, object, now)),
        }
    }
    for orphan in after.iter().filter(|orphan| !before.contains(orphan)) {
        if orphan.objects.is_empty() {
            orphans::forget(connection, orphan).await?;
        } else {
            orphans::put(connection, orphan).await?;
        }
    }
    Ok(new.into_iter().collect())
}

fn orphan(uid: TenantUid, host: &HostView, object: landlord_core::stage::RemovedObject, now: Timestamp) -> Orphan {
    Orphan {
        uid,
        key: host.placement.provider_key(),
        region: host.placement.region.clone(),
        objects: vec![object],
        found_time: now,
    }
}
