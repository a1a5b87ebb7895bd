//! The database's clock. Leases and due times are compared with it only, so that several
//! daemons need not agree on the time.

use landlord_core::{Timestamp, ports::StoreError};
use sqlx::AnyConnection;

use super::columns::unavailable;
use crate::dialect::Dialect;

/// The time by the database.
pub(crate) async fn now(connection: &mut AnyConnection) -> Result<Timestamp, StoreError> {
    let sql = Dialect::of(connection).now();
    let millis: i64 = sqlx::query_scalar(sql).fetch_one(connection).await.map_err(unavailable("reading the clock"))?;
    Ok(Timestamp(millis))
}
