//! Duties that one daemon at a time has, each under a lease: nobody else's calls are for the same end meanwhile.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    Timestamp,
    ports::{Duty, DutyStore, StoreError},
};
use sqlx::AnyConnection;

use crate::{
    rows::{clock, unavailable},
    store::Store,
};

/// How a duty is stored.
fn word(duty: Duty) -> &'static str {
    match duty {
        Duty::CloudInventories => "cloud-inventories",
        Duty::HostInventories => "host-inventories",
        Duty::Probing => "probing",
    }
}

#[async_trait]
impl DutyStore for Store {
    async fn claim_duty(&self, duty: Duty, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        // Idle daemons ask often: they keep no writer waiting.
        let held = self.engine_snapshot(async |connection| {
            let now = clock::now(connection).await?;
            holder(connection, duty, now).await
        });
        if held.await?.is_some_and(|holder| holder != owner) {
            return Ok(false);
        }
        let owner = owner.to_owned();
        self.writer
            .write(move |connection| {
                let owner = owner.clone();
                async move { claim(connection, duty, &owner, ttl).await }.boxed()
            })
            .await
    }
}

/// Who has a duty now.
pub(super) async fn holder(
    connection: &mut AnyConnection,
    duty: Duty,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar("SELECT owner FROM duties WHERE name = $1 AND lease_until > $2")
        .bind(word(duty))
        .bind(now.0)
        .fetch_optional(connection)
        .await
        .map_err(unavailable("looking who has a duty"))
}

async fn claim(connection: &mut AnyConnection, duty: Duty, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
    let now = clock::now(connection).await?;
    let claimed = sqlx::query(
        "INSERT INTO duties (name, owner, lease_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
         SET owner = excluded.owner, lease_until = excluded.lease_until \
         WHERE duties.owner = excluded.owner OR duties.lease_until <= $4",
    )
    .bind(word(duty))
    .bind(owner)
    .bind(now.after(ttl).0)
    .bind(now.0)
    .execute(connection)
    .await
    .map_err(unavailable("claiming a duty"))?;
    Ok(claimed.rows_affected() > 0)
}
