//! Duties that one daemon at a time has, each under a lease: nobody else's calls are for the same end meanwhile.

use std::time::Duration;

use landlord_core::ports::{Duty, StoreError};
use sqlx::AnyConnection;

use crate::rows::{clock, unavailable};

/// The duty of looking whether tenants answer.
pub(super) const PROBING: &str = "probing";

/// How a duty is stored.
pub(super) fn word(duty: Duty) -> &'static str {
    match duty {
        Duty::CloudInventories => "cloud-inventories",
        Duty::HostInventories => "host-inventories",
    }
}

/// Takes or keeps a duty for so long; whether it is the owner's now. A lease of zero gives it back.
pub(super) async fn claim(
    connection: &mut AnyConnection,
    name: &str,
    owner: &str,
    ttl: Duration,
) -> Result<bool, StoreError> {
    let now = clock::now(connection).await?;
    let claimed = sqlx::query(
        "INSERT INTO duties (name, owner, lease_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
         SET owner = excluded.owner, lease_until = excluded.lease_until \
         WHERE duties.owner = excluded.owner OR duties.lease_until <= $4",
    )
    .bind(name)
    .bind(owner)
    .bind(now.after(ttl).0)
    .bind(now.0)
    .execute(connection)
    .await
    .map_err(unavailable("claiming a duty"))?;
    Ok(claimed.rows_affected() > 0)
}
