//! Which store this is, and whether it goes on from where it was left. A store that was copied back knows less than was done
//! since: it begins a new epoch, in which each provider's inventory is compared with the records before the first change.

use std::time::Duration;

use landlord_core::{Timestamp, ports::StoreError};
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use crate::rows::{clock, events, unavailable};

/// A store that no daemon had open for longer, and that none closed, may be an older state of its machine.
const GAP_MAX: Duration = Duration::from_secs(10 * 60);

/// The store's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The same in all copies.
    pub(crate) id: String,
    /// Raised whenever the store goes on from a copy.
    pub(crate) epoch: i64,
    /// Whose it is; empty: no daemon has written it yet.
    pub(crate) installation: String,
    pub(crate) seen_time: Timestamp,
    /// Whoever had it open last has closed it.
    pub(crate) clean: bool,
}

/// How far a store was when this process last wrote to it. What a name leads to may be replaced under a running daemon: a server
/// that was restored to an earlier moment, a standby that was promoted before it had everything.
#[derive(Debug)]
pub(crate) struct Known {
    id: String,
    epoch: i64,
    /// Position of the newest event that was seen.
    pub(crate) position: i64,
    /// Nothing was committed over the present connection yet.
    pub(crate) is_new_connection: bool,
}

impl Known {
    /// As it is now.
    pub(crate) async fn of(connection: &mut AnyConnection, position: i64) -> Result<Self, StoreError> {
        let Identity { id, epoch, .. } = read(connection).await?.ok_or_else(missing)?;
        Ok(Self { id, epoch, position, is_new_connection: false })
    }

    /// Compares it with what a new connection leads to, within the transaction that writes first. An older copy of the same store
    /// begins an epoch, as one that is opened; of another store the problem is given.
    pub(crate) async fn resume(&mut self, connection: &mut AnyConnection) -> Result<Option<String>, StoreError> {
        let found = read(connection).await?;
        let Some(found) = found.filter(|found| found.id == self.id) else {
            let remedy =
                "nothing is written any more; stop the daemons, have store.url name the store, and start them again";
            return Ok(Some(format!("the database is not the store that this daemon opened any more; {remedy}")));
        };
        if found.epoch > self.epoch {
            // Somebody began one, by what another daemon or an operator knew.
            self.epoch = found.epoch;
        // By the events themselves: PostgreSQL writes a sequence ahead, so that a copy without the last of them may have it further.
        } else if found.epoch < self.epoch || events::newest(connection).await? < self.position {
            begin_epoch(connection, true, "the database is older than what was acknowledged last", self.position)
                .await?;
            // Above the one that was lost, too, so that the other daemons find it begun.
            self.epoch = self.epoch.max(found.epoch) + 1;
            sqlx::query("UPDATE identity SET epoch = $1 WHERE epoch < $1")
                .bind(self.epoch)
                .execute(&mut *connection)
                .await
                .map_err(unavailable("beginning an epoch"))?;
        } else {
            return Ok(None);
        }
        // What was lost is lost once: it is no reason for another epoch.
        self.position = events::newest(connection).await?;
        Ok(None)
    }
}

fn missing() -> StoreError {
    StoreError::Corrupt { what: "identity".into(), problem: "the store has none".into() }
}

/// The row, if the store has one yet.
pub(crate) async fn read(connection: &mut AnyConnection) -> Result<Option<Identity>, StoreError> {
    let failed = unavailable("reading the store's identity");
    let row = sqlx::query("SELECT id, epoch, installation, seen_time, clean FROM identity")
        .fetch_optional(connection)
        .await
        .map_err(&failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Identity {
        id: row.try_get("id").map_err(&failed)?,
        epoch: row.try_get("epoch").map_err(&failed)?,
        installation: row.try_get("installation").map_err(&failed)?,
        seen_time: Timestamp(row.try_get("seen_time").map_err(&failed)?),
        clean: row.try_get::<i64, _>("clean").map_err(&failed)? != 0,
    }))
}

/// Gives a store its row. `epoch` is 0, or 1 for one whose providers' inventories are to be compared first.
pub(crate) async fn make(connection: &mut AnyConnection, epoch: i64, reason: &str) -> Result<(), StoreError> {
    let now = clock::now(connection).await?;
    sqlx::query("INSERT INTO identity (id, epoch, restored, reason, seen_time, clean) VALUES ($1, $2, 0, $3, $4, 1)")
        .bind(Uuid::new_v4().to_string())
        .bind(epoch)
        .bind(reason)
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(unavailable("writing the store's identity"))?;
    Ok(())
}

/// Made of the store's id, 122 random bits that never leave the machines which have the store.
pub(crate) async fn token_secret(connection: &mut AnyConnection) -> Result<[u8; 32], StoreError> {
    let identity = read(connection).await?.ok_or_else(missing)?;
    Ok(Sha256::digest(format!("landlord tokens {}", identity.id)).into())
}

/// Begins a new epoch. `restored`: the store is known to be older than what was done. `used`: the position of an event that is known
/// to have been given; 0: none but the store's own.
pub(crate) async fn begin_epoch(
    connection: &mut AnyConnection,
    restored: bool,
    reason: &str,
    used: i64,
) -> Result<(), StoreError> {
    let now = clock::now(connection).await?;
    sqlx::query("UPDATE identity SET epoch = epoch + 1, restored = $1, reason = $2, epoch_time = $3")
        .bind(i64::from(restored))
        .bind(reason)
        .bind(now.0)
        .execute(&mut *connection)
        .await
        .map_err(unavailable("beginning an epoch"))?;
    end_claims(connection, now).await?;
    // A resume token of the time before must not lead to an event of the time after.
    events::skip_positions(connection, used).await?;
    tracing::warn!(reason, "a new epoch of the store: the clouds' inventories are compared before the first change");
    Ok(())
}

/// What was claimed before an epoch began was claimed of another state: whoever holds it must claim it again, which waits until its
/// provider was compared.
async fn end_claims(connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreError> {
    let failed = unavailable("ending the claims of the last epoch");
    sqlx::query(
        "UPDATE tenants SET lease_until = 0, next_due = $1, owner = '', fence = fence + 1 WHERE lease_until > 0",
    )
    .bind(now.0)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    // Whoever called an account may have done so until now: the next one goes on from what that left of its rate.
    sqlx::query(
        "UPDATE accounts SET owner = '', lease_until = CASE WHEN lease_until > $1 THEN $1 ELSE lease_until END",
    )
    .bind(now.0)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    // Nor do the daemons live that a copy knows, and what they held is free.
    for sql in ["DELETE FROM duties", "DELETE FROM daemons"] {
        sqlx::query(sql).execute(&mut *connection).await.map_err(&failed)?;
    }
    Ok(())
}

/// A daemon opens the store. `stale`: how it is known to be older than what was done; `used`: as for [`begin_epoch`].
pub(crate) async fn open(connection: &mut AnyConnection, stale: Option<&str>, used: i64) -> Result<(), StoreError> {
    let Some(before) = read(connection).await? else {
        return make(connection, 0, "").await;
    };
    let now = clock::now(connection).await?;
    let gap = now.since(before.seen_time);
    if let Some(reason) = stale {
        begin_epoch(connection, true, reason, used).await?;
    } else if !before.clean && gap > GAP_MAX {
        let reason = format!("no daemon had the store open since {}, and none closed it", before.seen_time);
        begin_epoch(connection, false, &reason, 0).await?;
    }
    seen(connection, now, false).await
}

/// A daemon has the store open, or closes it.
pub(crate) async fn seen(connection: &mut AnyConnection, now: Timestamp, clean: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE identity SET seen_time = $1, clean = $2")
        .bind(now.0)
        .bind(i64::from(clean))
        .execute(connection)
        .await
        .map_err(unavailable("writing the store's identity"))?;
    Ok(())
}
