//! Contents of stacks and platforms, kept for the environments that name them. Knows not what is in them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    Environment, Owner, Placement,
    ports::{RevisionStore, StoreError},
    revision::{CurrentRevisions, RevisionKey, RevisionKind, Revisions},
};
use serde::de::IgnoredAny;
use sqlx::{AnyConnection, any::AnyRow};

use crate::{
    rows::{self, clock, json, unavailable},
    store::Store,
};

#[async_trait]
impl RevisionStore for Store {
    async fn keep_revisions(&self, revisions: Vec<(RevisionKey, Vec<u8>)>) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                let revisions = revisions.clone();
                async move {
                    let now = clock::now(connection).await?;
                    for (key, content) in &revisions {
                        sqlx::query(
                            "INSERT INTO revisions (kind, name, revision, content, create_time) \
                             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, name, revision) DO NOTHING",
                        )
                        .bind(key.kind.as_str())
                        .bind(&key.name)
                        .bind(key.id.as_str())
                        .bind(content.as_slice())
                        .bind(now.0)
                        .execute(&mut *connection)
                        .await
                        .map_err(unavailable("keeping a revision"))?;
                    }
                    Ok(())
                }
                .boxed()
            })
            .await
    }

    async fn pin_revisions(&self, current: &CurrentRevisions) -> Result<u64, StoreError> {
        let current = current.clone();
        self.writer
            .write(move |connection| {
                let current = current.clone();
                async move { pin(connection, &current).await }.boxed()
            })
            .await
    }

    async fn named_revisions(&self) -> Result<Vec<RevisionKey>, StoreError> {
        self.engine_snapshot(async |connection| {
            // What decides is in two columns: whole records of all tenants, twice a minute, would be read for nothing.
            let rows = sqlx::query(
                "SELECT DISTINCT placement, last_ready, \
                 CAST(CASE WHEN hosting IS NULL THEN 0 ELSE 1 END AS BIGINT) AS is_host FROM tenants",
            )
            .fetch_all(connection)
            .await
            .map_err(unavailable("reading which revisions are named"))?;
            let placements = rows.iter().filter_map(|row| {
                let problem = |error: &StoreError| {
                    tracing::error!(%error, "a placement can't be read and is left out; restore it from a backup");
                };
                placements_in(row).inspect_err(problem).ok()
            });
            let named: BTreeSet<RevisionKey> = placements.flatten().flat_map(|placement| named(&placement)).collect();
            Ok(named.into_iter().collect())
        })
        .await
    }

    async fn revision(&self, key: &RevisionKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine_snapshot(async |connection| {
            sqlx::query_scalar("SELECT content FROM revisions WHERE kind = $1 AND name = $2 AND revision = $3")
                .bind(key.kind.as_str())
                .bind(&key.name)
                .bind(key.id.as_str())
                .fetch_optional(connection)
                .await
                .map_err(unavailable("reading a revision"))
        })
        .await
    }
}

/// Where a tenant or host cluster is placed, and where it was when it was READY last.
fn placements_in(row: &AnyRow) -> Result<Vec<Placement>, StoreError> {
    let now = rows::parse("placement", &rows::column::<String>(row, "placement")?)?;
    let is_host = rows::column::<i64>(row, "is_host")? != 0;
    let of_tenant =
        |text: &str| rows::parse::<(IgnoredAny, Placement)>("last_ready", text).map(|(_, placement)| placement);
    let before = rows::column::<Option<String>>(row, "last_ready")?
        .map(|text| if is_host { rows::host_last_ready(&text, &now) } else { of_tenant(&text) })
        .transpose()?;
    Ok(std::iter::once(now).chain(before).collect())
}

/// The revisions that a placement names.
fn named(placement: &Placement) -> Vec<RevisionKey> {
    let of = |kind: RevisionKind, name: Option<String>, id: &Option<landlord_core::revision::RevisionId>| {
        Some(RevisionKey { kind, name: name?, id: id.clone()? })
    };
    let stack = placement.stack.as_ref().map(ToString::to_string);
    let platform = placement.platform.as_ref().map(ToString::to_string);
    let both = [
        of(RevisionKind::Stack, stack, &placement.revisions.stack),
        of(RevisionKind::Platform, platform, &placement.revisions.platform),
    ];
    both.into_iter().flatten().collect()
}

async fn all(connection: &mut AnyConnection) -> Result<Vec<Environment>, StoreError> {
    let rows = sqlx::query("SELECT * FROM tenants ORDER BY uid")
        .fetch_all(connection)
        .await
        .map_err(unavailable("reading which revisions are named"))?;
    Ok(rows.iter().filter_map(rows::readable).collect())
}

/// What a placement without revisions runs is what lies on disk at this start. Nothing of it is work.
fn pinned(placement: &Placement, current: &CurrentRevisions) -> Option<Placement> {
    let wanted = current.of(placement.stack.as_ref(), placement.platform.as_ref());
    let own = &placement.revisions;
    let revisions = Revisions {
        stack: own.stack.clone().or(wanted.stack),
        platform: own.platform.clone().or(wanted.platform),
        trial_generation: own.trial_generation,
    };
    (revisions != *own).then(|| Placement { revisions, ..placement.clone() })
}

async fn pin(connection: &mut AnyConnection, current: &CurrentRevisions) -> Result<u64, StoreError> {
    let mut count = 0;
    for mut environment in all(connection).await? {
        let own = pinned(&environment.placement, current);
        let before = match &mut environment.owner {
            Owner::Tenant(tenant) => tenant.last_ready.as_mut().map(|(_, placement)| placement),
            Owner::HostCluster(host_cluster) => host_cluster.last_ready.as_mut(),
        };
        let before = before.and_then(|placement| {
            *placement = pinned(placement, current)?;
            Some(())
        });
        if own.is_none() && before.is_none() {
            continue;
        }
        if let Some(placement) = own {
            environment.placement = placement;
        }
        count += 1;
        let columns = rows::owner_columns(&environment.owner)?;
        sqlx::query("UPDATE tenants SET placement = $1, last_ready = $2 WHERE uid = $3")
            .bind(json("placement", &environment.placement)?)
            .bind(columns.last_ready)
            .bind(environment.uid.to_string())
            .execute(&mut *connection)
            .await
            .map_err(unavailable("naming a revision"))?;
    }
    Ok(count)
}
