//! Tables as the databases themselves describe them, read and written row by row.

use std::{collections::BTreeMap, path::Path};

use futures::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use crate::{Error, dialect::Dialect, rows::positions};

/// Of daemons that ended: who they were, and the leases of accounts and duties that they held.
const LEFT_OUT: [&str; 3] = ["daemons", "accounts", "duties"];
/// Others refer to it, so its rows come first.
const FIRST: &str = "tenants";
/// Tables of one row that a store has from the start: which one it is, and where its audit log ends.
const MADE_WITH: [&str; 2] = ["audit_chain", "identity"];

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// In the order of their names.
    columns: Vec<(String, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Bytes,
}

/// All tables that are moved, [`FIRST`] before the others, which come by name.
pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Table>, sqlx::Error> {
    let sql = match Dialect::of(connection) {
        Dialect::Sqlite => {
            "SELECT CAST(t.name AS TEXT), CAST(c.name AS TEXT), CAST(lower(c.type) AS TEXT) \
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
        Dialect::Postgres => {
            "SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), CAST(c.data_type AS TEXT) \
             FROM information_schema.columns c JOIN information_schema.tables t \
             ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
        }
    };
    let found: Vec<(String, String, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    let mut tables: BTreeMap<String, Vec<(String, Kind)>> = BTreeMap::new();
    for (table, column, kind) in found {
        if !LEFT_OUT.contains(&table.as_str()) && table != "_sqlx_migrations" {
            let kind = match kind.as_str() {
                "text" => Kind::Text,
                "bigint" | "integer" => Kind::Number,
                "blob" | "bytea" => Kind::Bytes,
                other => return Err(sqlx::Error::TypeNotFound { type_name: format!("{other} of {table}.{column}") }),
            };
            tables.entry(table).or_default().push((column, kind));
        }
    }
    let mut tables: Vec<Table> = tables
        .into_iter()
        .map(|(name, mut columns)| {
            columns.sort_by(|one, other| one.0.cmp(&other.0));
            Table { name, columns }
        })
        .collect();
    tables.sort_by_key(|table| table.name != FIRST);
    Ok(tables)
}

/// Empties a store that was made and not used.
///
/// # Errors
/// [`Error::Exists`] if it was used.
pub(super) async fn empty(connection: &mut AnyConnection, all: &[Table], place: &Path) -> Result<(), Error> {
    let failed = |source| Error::Database { path: place.to_owned(), source };
    for table in all {
        let name = &table.name;
        if MADE_WITH.contains(&name.as_str()) {
            // Of a store that was just made; the other's takes its place.
            let sql = AssertSqlSafe(format!("DELETE FROM {name}"));
            sqlx::query(sql).execute(&mut *connection).await.map_err(failed)?;
            continue;
        }
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {name}"));
        let rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.map_err(failed)?;
        if rows > 0 {
            return Err(Error::Exists { path: place.to_owned() });
        }
    }
    Ok(())
}

/// Positions that were given, by table: also those of rows that are gone.
pub(super) async fn positions(
    connection: &mut AnyConnection,
    all: &[Table],
) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    let sql = match Dialect::of(connection) {
        Dialect::Sqlite => "SELECT CAST(name AS TEXT), CAST(seq AS INTEGER) FROM sqlite_sequence",
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT), COALESCE(pg_sequence_last_value(CAST(pg_get_serial_sequence( \
             quote_ident(table_name), column_name) AS regclass)), 0) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND is_identity = 'YES'"
        }
    };
    let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(connection).await?;
    Ok(found.into_iter().filter(|(table, _)| all.iter().any(|known| known.name == *table)).collect())
}

/// Goes on behind the positions that were given; the epoch that begins then skips more of them.
pub(super) async fn set_positions(
    connection: &mut AnyConnection,
    given: &BTreeMap<String, i64>,
) -> Result<(), sqlx::Error> {
    for (table, used) in given.iter().filter(|(_, used)| **used > 0) {
        positions::set(connection, table, *used).await?;
    }
    Ok(())
}

impl Table {
    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Gives all rows, each as the list of its values in the order of the columns' names.
    pub(super) async fn read(
        &self,
        connection: &mut AnyConnection,
        mut each: impl FnMut(&Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |source| Error::Database { path: self.name.clone().into(), source };
        let sql = AssertSqlSafe(format!("SELECT {} FROM {}", self.names(), self.name));
        let mut rows = sqlx::query(sql).fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            each(&self.value(&row).map_err(failed)?)?;
        }
        Ok(())
    }

    fn value(&self, row: &AnyRow) -> Result<Value, sqlx::Error> {
        let values = self.columns.iter().enumerate().map(|(at, (_, kind))| {
            Ok(match kind {
                Kind::Text => json!(row.try_get::<Option<String>, _>(at)?),
                Kind::Number => json!(row.try_get::<Option<i64>, _>(at)?),
                Kind::Bytes => json!(row.try_get::<Option<Vec<u8>>, _>(at)?.map(hex::encode)),
            })
        });
        Ok(Value::Array(values.collect::<Result<_, sqlx::Error>>()?))
    }

    /// Adds a row.
    pub(super) async fn write(&self, connection: &mut AnyConnection, row: &Value) -> Result<(), Error> {
        let bad = || Error::NotAStore { path: self.name.clone().into(), problem: format!("{row} is no row of it") };
        let values = row.as_array().filter(|values| values.len() == self.columns.len()).ok_or_else(bad)?;
        let places: Vec<String> = (1..=values.len()).map(|at| format!("${at}")).collect();
        // Positions are given by whoever wrote the row.
        let over = match Dialect::of(connection) {
            Dialect::Sqlite => "",
            Dialect::Postgres => " OVERRIDING SYSTEM VALUE",
        };
        let sql = format!("INSERT INTO {} ({}){over} VALUES ({})", self.name, self.names(), places.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (value, (_, kind)) in values.iter().zip(&self.columns) {
            query = match (kind, value) {
                (Kind::Text, Value::String(text)) => query.bind(text.clone()),
                (Kind::Text, Value::Null) => query.bind(None::<String>),
                (Kind::Number, Value::Number(number)) => query.bind(number.as_i64().ok_or_else(bad)?),
                (Kind::Number, Value::Null) => query.bind(None::<i64>),
                (Kind::Bytes, Value::String(text)) => query.bind(hex::decode(text).map_err(|_| bad())?),
                (Kind::Bytes, Value::Null) => query.bind(None::<Vec<u8>>),
                _ => return Err(bad()),
            };
        }
        let failed = |source| Error::Database { path: self.name.clone().into(), source };
        query.execute(connection).await.map(drop).map_err(failed)
    }
}
