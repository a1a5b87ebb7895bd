//! What is forgotten in time: operations that ended long ago, and with them the ids of their requests.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::ports::{HistoryStore, StoreError};
use sqlx::AnyConnection;

use crate::{
    rows::{clock, unavailable},
    store::Store,
};

#[async_trait]
impl HistoryStore for Store {
    async fn forget_operations(&self, kept: Duration, limit: u32) -> Result<u64, StoreError> {
        self.writer.write(move |connection| forget(connection, kept, limit).boxed()).await
    }
}

async fn forget(connection: &mut AnyConnection, kept: Duration, limit: u32) -> Result<u64, StoreError> {
    let now = clock::now(connection).await?;
    let before = now.before(kept).0;
    let forgotten = sqlx::query(
        "DELETE FROM operations WHERE id IN (SELECT o.id FROM operations o WHERE o.end_time < $1 \
         AND o.id NOT IN (SELECT t.operation FROM tenants t) ORDER BY o.end_time, o.id LIMIT $2)",
    )
    .bind(before)
    .bind(i64::from(limit))
    .execute(&mut *connection)
    .await
    .map_err(unavailable("forgetting operations"))?;
    // A few each day at most.
    sqlx::query("DELETE FROM customer_requests WHERE time < $1")
        .bind(before)
        .execute(connection)
        .await
        .map_err(unavailable("forgetting requests"))?;
    Ok(forgotten.rows_affected())
}
