//! Positions that the database gives to rows by itself: which one a table's next row is behind. Knows no table.

use sqlx::AnyConnection;

use crate::dialect::Dialect;

/// The next row of a table gets a position behind this one.
pub(crate) async fn set(connection: &mut AnyConnection, table: &str, position: i64) -> Result<(), sqlx::Error> {
    let statements: &[&str] = match Dialect::of(connection) {
        // No row before the first position was given, and none with the name twice.
        Dialect::Sqlite => &[
            "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1",
            "INSERT INTO sqlite_sequence (name, seq) SELECT $1, $2 \
             WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = $1)",
        ],
        Dialect::Postgres => {
            &["SELECT setval(CAST(pg_get_serial_sequence(quote_ident(table_name), column_name) AS regclass), $2) \
             FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'"]
        }
    };
    for sql in statements {
        sqlx::query(*sql).bind(table).bind(position).execute(&mut *connection).await?;
    }
    Ok(())
}
