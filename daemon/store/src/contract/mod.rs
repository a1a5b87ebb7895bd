//! What every store promises, on top of the tables: acceptance with idempotency and etags, domains and places that belong to
//! one tenant, leases and fenced commits. Each promise is kept within one transaction of the writer. Knows SQL, and no
//! database's dialect.

mod accept;
mod audit;
mod availability;
mod certificates;
mod commit;
mod credentials;
mod customers;
mod daemons;
mod domains;
mod duties;
mod history;
mod hosts;
pub(crate) mod identity;
pub(crate) mod installation;
mod inventories;
pub(crate) mod living;
mod namespaces;
mod orphans;
#[cfg(test)]
mod plan;
mod revisions;
mod tenants;
mod webhooks;
mod work;

use landlord_core::ports::StoreError;
use sqlx::AnyConnection;

use crate::rows::{self, unavailable};

/// Completes what earlier versions did not keep, and reports what would be refused today. Called once, when a store is
/// opened.
///
/// # Errors
/// A record that can't be completed.
pub(crate) async fn upgrade(connection: &mut AnyConnection) -> Result<(), StoreError> {
    hosts::fill_reservations(connection).await?;
    domains::fill(connection).await?;
    fill_accounts(connection).await?;
    domains::log_clashes(connection).await
}

/// Credential scopes and accounts of environments that were accepted before they had columns.
async fn fill_accounts(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let failed = unavailable("filling credentials in");
    let rows = sqlx::query("SELECT * FROM tenants WHERE account IS NULL")
        .fetch_all(&mut *connection)
        .await
        .map_err(&failed)?;
    for row in rows {
        let Some(environment) = rows::readable(&row) else { continue };
        sqlx::query("UPDATE tenants SET credentials = $1, account = $3 WHERE uid = $2")
            .bind(&environment.placement.credentials)
            .bind(environment.uid.to_string())
            .bind(environment.placement.account_key())
            .execute(&mut *connection)
            .await
            .map_err(&failed)?;
    }
    Ok(())
}
