//! Objects of tenants that have no record: shown, taken over by a new tenant, or removed.

use landlord_core::{
    CustomerId, Environment, FoundInHost, HostClusterRef, HostedKind, Level, Orphan, Placement, TenantName, TenantSpec,
    TenantUid, Timestamp,
    environment::{ORPHANS, SpecInput},
    placement::ProviderKey,
    ports::{NewTenant, RequestContext, StoreError},
    stage::RemovedObject,
};
use sqlx::{AnyConnection, Row as _};

use crate::rows::{self, json, unavailable};

/// Region of what a provider has once for all regions, as Azure's zones.
const GLOBAL: &str = "global";
/// Class of the tenants that stand for orphans while they are removed.
const CLASS: &str = "orphan";

/// What the ids of objects in host clusters begin with, before the host cluster's own.
const HOST_CLUSTERS: &str = "hostClusters/";

/// Type of an object in a host cluster, and its collection in ids.
const fn type_of(kind: HostedKind) -> (&'static str, &'static str) {
    match kind {
        HostedKind::Namespace => ("Namespace", "namespaces"),
        HostedKind::NodePool => ("NodePool", "nodepools"),
    }
}

/// What a tenant has in a host cluster as an object of an orphan.
pub(super) fn hosted_object(host: &str, found: FoundInHost) -> RemovedObject {
    let (r#type, collection) = type_of(found.kind);
    let id = format!("{HOST_CLUSTERS}{host}/{collection}/{}", found.name);
    RemovedObject { r#type: r#type.into(), id, name: found.name }
}

/// The id of the host cluster of such an object; `None`: it is another one.
pub(super) fn host_in(object: &RemovedObject) -> Option<&str> {
    let (host, rest) = object.id.strip_prefix(HOST_CLUSTERS)?.split_once('/')?;
    let is_of = |kind| {
        let (r#type, collection) = type_of(kind);
        object.r#type == r#type && rest.starts_with(collection)
    };
    [HostedKind::Namespace, HostedKind::NodePool].into_iter().any(is_of).then_some(host)
}

fn key(provider: &str, credentials: String) -> Result<ProviderKey, StoreError> {
    let provider = provider.parse().map_err(|error: landlord_core::ids::InvalidName| StoreError::Corrupt {
        what: "provider".into(),
        problem: error.to_string(),
    })?;
    Ok(ProviderKey { provider, credentials })
}

/// All of them, by provider and uid.
pub(super) async fn orphans(connection: &mut AnyConnection) -> Result<Vec<Orphan>, StoreError> {
    let failed = unavailable("reading orphans");
    let rows = sqlx::query("SELECT * FROM orphans ORDER BY provider, credentials, tenant_uid, region")
        .fetch_all(connection)
        .await
        .map_err(&failed)?;
    let corrupt = |what: &str, problem: String| StoreError::Corrupt { what: what.into(), problem };
    rows.iter()
        .map(|row| {
            let text = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
            Ok(Orphan {
                uid: text("tenant_uid")?
                    .parse()
                    .map_err(|error: landlord_core::ids::InvalidName| corrupt("uid of an orphan", error.to_string()))?,
                key: key(&text("provider")?, text("credentials")?)?,
                region: text("region")?,
                objects: serde_json::from_str(&text("objects")?)
                    .map_err(|error| corrupt("objects of an orphan", error.to_string()))?,
                found_time: Timestamp(row.try_get("found_time").map_err(&failed)?),
            })
        })
        .collect()
}

/// Takes the orphan off the list for a tenant of this placement, in this host cluster.
pub(super) async fn adopt(
    connection: &mut AnyConnection,
    uid: TenantUid,
    placement: &Placement,
    host: Option<&HostClusterRef>,
) -> Result<(), StoreError> {
    let (all, chosen) = adoptable(connection, uid, placement, host).await?;
    // Global objects go with a record in any region; some providers list them in each. What else is elsewhere stays on the
    // list: this record does not remove it.
    let is_covered = |orphan: &&Orphan| {
        let is_chosens = orphan.objects.iter().all(|object| chosen.objects.iter().any(|own| own.id == object.id));
        orphan.key == chosen.key && (orphan.region == GLOBAL || is_chosens)
    };
    for orphan in all.iter().filter(is_covered) {
        forget(connection, orphan).await?;
    }
    Ok(())
}

/// All of an orphan, and the part of it that a tenant of this placement, in this host cluster, can take over.
pub(super) async fn adoptable(
    connection: &mut AnyConnection,
    uid: TenantUid,
    placement: &Placement,
    host: Option<&HostClusterRef>,
) -> Result<(Vec<Orphan>, Orphan), StoreError> {
    let all = of(connection, uid).await?;
    let is_there =
        |region: &str| all.iter().find(|orphan| orphan.key == placement.provider_key() && orphan.region == region);
    let Some(chosen) = is_there(&placement.region).or_else(|| is_there(GLOBAL)) else {
        let place = |key: &ProviderKey, region: &str| format!("{key} in {region}");
        let own: Vec<String> = all.iter().map(|orphan| place(&orphan.key, &orphan.region)).collect();
        let (own, other) = (own.join(" and "), place(&placement.provider_key(), &placement.region));
        return Err(StoreError::FailedPrecondition(format!(
            "orphans/{uid} is of {own}, and the tenant would be of {other}; choose a class and a region of the orphan"
        )));
    };
    let chosen = chosen.clone();
    let lives_in = host_of(&neighbours(connection, &chosen).await?, &chosen);
    if lives_in.as_ref().map(|of| of.uid) != host.map(|of| of.uid) {
        let place = |of: Option<&HostClusterRef>| {
            of.map_or_else(|| "a cluster of its own".to_owned(), |of| format!("hostClusters/{}", of.id))
        };
        return Err(StoreError::FailedPrecondition(format!(
            "orphans/{uid} is in {}, and the tenant would be in {}; choose a class of the orphan's level, and cordon the other \
             host clusters of the class while you adopt it",
            place(lives_in.as_ref()),
            place(host)
        )));
    }
    Ok((all, chosen))
}

async fn of(connection: &mut AnyConnection, uid: TenantUid) -> Result<Vec<Orphan>, StoreError> {
    let all: Vec<Orphan> = orphans(connection).await?.into_iter().filter(|orphan| orphan.uid == uid).collect();
    if all.is_empty() { Err(StoreError::NotFound(format!("orphans/{uid}"))) } else { Ok(all) }
}

/// The region that holds most of it.
async fn one(connection: &mut AnyConnection, uid: TenantUid) -> Result<Orphan, StoreError> {
    let found = of(connection, uid).await?.into_iter();
    let found = found.max_by_key(|orphan| (orphan.region != GLOBAL, orphan.objects.len()));
    found.ok_or_else(|| StoreError::NotFound(format!("orphans/{uid}")))
}

/// Writes an orphan, or what is known of it by now.
pub(super) async fn put(connection: &mut AnyConnection, orphan: &Orphan) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO orphans (provider, credentials, tenant_uid, region, objects, found_time) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (provider, credentials, tenant_uid, region) DO UPDATE SET objects = excluded.objects",
    )
    .bind(orphan.key.provider.as_str())
    .bind(&orphan.key.credentials)
    .bind(orphan.uid.to_string())
    .bind(&orphan.region)
    .bind(json("objects", &orphan.objects)?)
    .bind(orphan.found_time.0)
    .execute(connection)
    .await
    .map_err(unavailable("writing orphans"))?;
    Ok(())
}

pub(super) async fn forget(connection: &mut AnyConnection, orphan: &Orphan) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM orphans WHERE tenant_uid = $1 AND provider = $2 AND credentials = $3 AND region = $4")
        .bind(orphan.uid.to_string())
        .bind(orphan.key.provider.as_str())
        .bind(&orphan.key.credentials)
        .bind(&orphan.region)
        .execute(connection)
        .await
        .map_err(unavailable("taking an orphan off the list"))?;
    Ok(())
}

/// The customer of those that stand for orphans.
pub(super) fn customer() -> Result<CustomerId, StoreError> {
    let odd = |error: landlord_core::ids::InvalidName| StoreError::Corrupt {
        what: "orphan".into(),
        problem: error.to_string(),
    };
    ORPHANS.parse().map_err(odd)
}

/// Characters at the end of a host cluster's uid by which ids of what lies in it are known: providers name clusters after the
/// uid, some of them by a part of it.
const HOST_TAIL: usize = 16;

/// The records of an orphan's provider and credential scope, which show what the orphan's own record would have.
async fn neighbours(connection: &mut AnyConnection, orphan: &Orphan) -> Result<Vec<Environment>, StoreError> {
    let rows = sqlx::query("SELECT * FROM tenants WHERE provider = $1 AND credentials = $2")
        .bind(orphan.key.provider.as_str())
        .bind(&orphan.key.credentials)
        .fetch_all(connection)
        .await
        .map_err(unavailable("searching for an orphan's host cluster and account"))?;
    Ok(rows.iter().filter_map(rows::readable).collect())
}

/// The host cluster in which an orphan's objects lie, by their ids; `None`: it has a cluster of its own, or none any more.
fn host_of(neighbours: &[Environment], orphan: &Orphan) -> Option<HostClusterRef> {
    neighbours.iter().find_map(|record| {
        let host = record.host_cluster()?;
        let here = HostClusterRef { uid: record.uid, id: host.id.clone() };
        let hex = record.uid.0.simple().to_string();
        let adopted = host.spec.adoption.as_ref().map(|adoption| adoption.cluster_name.as_str());
        let is_in_it = |object: &RemovedObject| match host_in(object) {
            Some(id) => id == here.id.as_str(),
            None => lies_in(&object.id, adopted, &hex[hex.len() - HOST_TAIL..]),
        };
        orphan.objects.iter().any(is_in_it).then_some(here)
    })
}

/// Whether an object's id leads through a cluster: through the name that an adopted one has, and no longer one that begins
/// alike; through the end of its uid where landlord gave the name.
fn lies_in(id: &str, adopted: Option<&str>, tail: &str) -> bool {
    let mut parts = id.split(['/', ':']);
    match adopted {
        Some(name) => !name.is_empty() && parts.any(|part| part.eq_ignore_ascii_case(name)),
        None => parts.any(|part| part.contains(tail)),
    }
}

/// The account that an orphan's objects lie in: the one that their ids name, or the only one that is known.
fn account_of(neighbours: &[Environment], orphan: &Orphan) -> String {
    let mut known = neighbours.iter().map(|record| &record.placement.account).filter(|account| !account.is_empty());
    let is_named = |account: &&String| orphan.objects.iter().any(|object| object.id.contains(account.as_str()));
    known.clone().find(is_named).or_else(|| known.next()).cloned().unwrap_or_default()
}

/// The tenant that stands for an orphan while it is removed, and the host cluster that it lives in.
pub(super) async fn stand_in(
    connection: &mut AnyConnection,
    uid: TenantUid,
    request: RequestContext,
) -> Result<(NewTenant, Option<HostClusterRef>), StoreError> {
    let orphan = one(connection, uid).await?;
    let neighbours = neighbours(connection, &orphan).await?;
    let (host, account) = (host_of(&neighbours, &orphan), account_of(&neighbours, &orphan));
    let odd = |problem: String| StoreError::Corrupt { what: "orphan".into(), problem };
    let name = TenantName {
        customer: customer()?,
        tenant: stand_in_id(uid).parse().map_err(|error: landlord_core::ids::InvalidName| odd(error.to_string()))?,
    };
    let spec = SpecInput {
        display_name: format!("orphan {uid}"),
        // Nobody's: this name can't be in DNS (RFC 2606). Providers are requested every zone of the uid instead.
        domain: format!("{}.orphans.invalid", stand_in_id(uid)),
        storage_gib: 1,
        ..SpecInput::default()
    };
    let class = CLASS.parse().map_err(|error: landlord_core::ids::InvalidName| odd(error.to_string()))?;
    // With nodes of its own or without: what a host cluster holds of it is the same to remove.
    let level = if host.is_some() { Level::Node } else { Level::Cluster };
    let placement = Placement::without_choices(class, level, orphan.key, account, orphan.region);
    let spec = TenantSpec::parse(spec).map_err(|violations| odd(violations.to_string()))?;
    Ok((NewTenant { name, spec, placement, adopt: Some(uid), hosts: None, request }, host))
}

fn stand_in_id(uid: TenantUid) -> String {
    format!("o-{uid}")
}

#[cfg(test)]
mod tests {
    use super::lies_in;

    #[test]
    fn an_object_lies_in_the_cluster_that_its_id_names_and_in_no_other() {
        let eks = "arn:aws:eks:eu-central-1:111122223333:nodegroup/prod/landlord-t-1/ab";
        let gke = "projects/p/locations/l/clusters/prod/nodePools/t-1";
        let aks =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/Prod/agentPools/t1";
        for id in [eks, gke, aks] {
            assert!(lies_in(id, Some("prod"), ""), "{id}");
            for other in ["pro", "prod-2", "rod", ""] {
                assert!(!lies_in(id, Some(other), ""), "{other} in {id}");
            }
        }
        assert!(lies_in("nodegroup/landlord-0123456789abcdef/x", None, "0123456789abcdef"));
        assert!(!lies_in("nodegroup/landlord-1123456789abcdef/x", None, "0123456789abcdef"));
    }
}
