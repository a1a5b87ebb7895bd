//! The stored form, held against what earlier versions wrote. A difference here is a change of
//! the schema: it needs a migration, or a reader of both forms.

use landlord_core::{
    DesiredState, OperationOutcome, Stage, StageState, State, ports::WorkStore as _, stage::RemovedObject,
};
use sqlx::Row as _;

use crate::{fixtures::*, sqlite};

#[tokio::test]
async fn the_schema_is_as_written_down() {
    let (_store, folder) = sqlite::fresh().await;
    let mut raw = sqlite::raw(&folder.path().join("landlord.db")).await;
    let statements: Vec<String> = sqlx::query_scalar(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%sqlx%' \
         AND name NOT LIKE 'sqlite%' ORDER BY name",
    )
    .fetch_all(&mut raw)
    .await
    .unwrap();
    insta::assert_snapshot!("schema", statements.join(";\n\n"));
}

#[tokio::test]
async fn records_are_as_written_down() {
    let (store, folder) = sqlite::fresh().await;
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let mut end = settle(&work, State::Ready, OperationOutcome::Ready);
    end.stages = vec![
        record(Stage::Preflight, DesiredState::Present, StageState::Done),
        record(Stage::Network, DesiredState::Present, StageState::Failed),
        record(Stage::App("chat".parse().unwrap()), DesiredState::Present, StageState::Running),
        record(Stage::Teardown, DesiredState::Absent, StageState::Skipped),
    ];
    store.commit(&claim, end).await.unwrap();
    let mut raw = sqlite::raw(&folder.path().join("landlord.db")).await;
    let mut lines = Vec::new();
    let row = sqlx::query("SELECT * FROM tenants").fetch_one(&mut raw).await.unwrap();
    for column in ["spec", "placement", "direction", "state", "status", "last_ready"] {
        lines.push(format!("tenants.{column}: {}", row.get::<String, _>(column)));
    }
    let row = sqlx::query("SELECT * FROM operations").fetch_one(&mut raw).await.unwrap();
    for column in ["kind", "outcome", "stages"] {
        lines.push(format!("operations.{column}: {}", row.get::<String, _>(column)));
    }
    let rows = sqlx::query("SELECT * FROM stages ORDER BY direction, stage").fetch_all(&mut raw).await.unwrap();
    for row in rows {
        let (desired_state, stage): (String, String) = (row.get("direction"), row.get("stage"));
        lines.push(format!("stages {desired_state} {stage}: {}", row.get::<String, _>("record")));
    }
    insta::assert_snapshot!("records", lines.join("\n"));
}

#[test]
fn outcomes_are_as_written_down() {
    let removed = vec![RemovedObject { r#type: "vpc".into(), id: "vpc-1".into(), name: String::new() }];
    let by = landlord_core::OperationId(uuid::Uuid::nil());
    let outcomes = [
        OperationOutcome::Ready,
        OperationOutcome::Deleted { removed },
        OperationOutcome::Failed { failure: failure() },
        OperationOutcome::Cancelled,
        OperationOutcome::Superseded { by },
    ];
    let lines = outcomes.map(|outcome| serde_json::to_string(&outcome).unwrap());
    insta::assert_snapshot!("outcomes", lines.join("\n"));
}
