//! Which schema a store has.

use sqlx::AnyConnection;

/// The newest migration that was applied; 0: none.
pub(crate) async fn schema_version(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").fetch_one(connection).await
}
