//! What every store promises, on top of the tables: acceptance with idempotency and etags, domains and places that belong to
//! one tenant, leases and fenced commits. Each promise is kept within one transaction of the writer. Knows SQL, and no
//! database's dialect.

mod accept;
mod domains;
mod hosts;
mod tenants;
mod work;

use landlord_core::ports::StoreError;
use sqlx::AnyConnection;

/// Completes what earlier versions did not keep, and reports what would be refused today. Called once, when a store is
/// opened.
///
/// # Errors
/// A record that can't be completed.
pub(crate) async fn upgrade(connection: &mut AnyConnection) -> Result<(), StoreError> {
    hosts::fill_reservations(connection).await?;
    domains::fill(connection).await?;
    domains::log_clashes(connection).await
}
