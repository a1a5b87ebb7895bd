//! How SQLite runs a statement, for tests that hold one to its index. Knows no table.

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

/// The steps of a statement's plan, in a store that is empty. Its parameters are NULL.
pub(super) async fn steps(statement: &str) -> Vec<String> {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::migrate!("./migrations").run(&mut connection).await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let steps = sqlx::query(explain).fetch_all(&mut connection).await.unwrap();
    steps.iter().map(|step| step.get("detail")).collect()
}
