//! Objects of tenants that have no record: shown, taken over by a new tenant, or removed.

use landlord_core::{
    CustomerId, Level, Orphan, Placement, TenantName, TenantSpec, TenantUid, Timestamp,
    environment::{ORPHANS, SpecInput},
    placement::ProviderKey,
    ports::{NewTenant, RequestContext, StoreError},
};
use sqlx::{AnyConnection, Row as _};

use crate::rows::unavailable;

/// Class of the tenants that stand for orphans while they are removed.
const CLASS: &str = "orphan";

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

/// Takes the orphan off the list for a tenant of this placement.
pub(super) async fn adopt(
    connection: &mut AnyConnection,
    uid: TenantUid,
    placement: &Placement,
) -> Result<(), StoreError> {
    let orphan = one(connection, uid).await?;
    if orphan.key != placement.provider_key() {
        let (own, other) = (&orphan.key, placement.provider_key());
        return Err(StoreError::FailedPrecondition(format!(
            "orphans/{uid} is of {own}, and the tenant would be of {other}; choose a class of {own}"
        )));
    }
    forget(connection, uid).await
}

async fn one(connection: &mut AnyConnection, uid: TenantUid) -> Result<Orphan, StoreError> {
    let found = orphans(connection).await?.into_iter().filter(|orphan| orphan.uid == uid);
    // The region that holds most of it.
    found.max_by_key(|orphan| orphan.objects.len()).ok_or_else(|| StoreError::NotFound(format!("orphans/{uid}")))
}

async fn forget(connection: &mut AnyConnection, uid: TenantUid) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM orphans WHERE tenant_uid = $1")
        .bind(uid.to_string())
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

/// The tenant that stands for an orphan while it is removed.
pub(super) async fn stand_in(
    connection: &mut AnyConnection,
    uid: TenantUid,
    request: RequestContext,
) -> Result<NewTenant, StoreError> {
    let orphan = one(connection, uid).await?;
    let odd = |problem: String| StoreError::Corrupt { what: "orphan".into(), problem };
    let name = TenantName {
        customer: customer()?,
        tenant: stand_in_id(uid).parse().map_err(|error: landlord_core::ids::InvalidName| odd(error.to_string()))?,
    };
    let spec = SpecInput {
        display_name: format!("orphan {uid}"),
        // Nobody's: this name can't be in DNS (RFC 2606). Providers are asked for every zone of the uid instead.
        domain: format!("{}.orphans.invalid", stand_in_id(uid)),
        storage_gib: 1,
        ..SpecInput::default()
    };
    let placement = Placement {
        class: CLASS.parse().map_err(|error: landlord_core::ids::InvalidName| odd(error.to_string()))?,
        rule: String::new(),
        level: Level::Cluster,
        provider: orphan.key.provider,
        credentials: orphan.key.credentials,
        account: String::new(),
        region: orphan.region,
        stack: None,
        platform: None,
        machine_type: String::new(),
        node_count: 0,
        disk_size_gib: 0,
        parameters: serde_json::Map::new(),
        guardrails: None,
    };
    let spec = TenantSpec::parse(spec).map_err(|violations| odd(violations.to_string()))?;
    Ok(NewTenant { name, spec, placement, adopt: Some(uid), hosts: None, request })
}

fn stand_in_id(uid: TenantUid) -> String {
    format!("o-{uid}")
}
