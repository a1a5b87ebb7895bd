//! What is: the state of an environment, its conditions and addresses.

use serde::{Deserialize, Serialize};

use crate::{OperationId, Timestamp};

/// Where an environment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; no work has begun.
    Pending,
    /// Being built for the first time.
    Provisioning,
    /// As ordered, and answering.
    Ready,
    /// Being changed or repaired after it was READY once.
    Updating,
    /// Being removed.
    Deleting,
    /// A stage gave up. Retry, Update or Delete lead out.
    Failed,
}

impl State {
    /// The name in the API and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Provisioning => "PROVISIONING",
            Self::Ready => "READY",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Failed => "FAILED",
        }
    }
}

/// Reason of the condition `Paused` of a tenant whose customer may order nothing more.
pub const CUSTOMER_FROZEN: &str = "CustomerFrozen";

/// Condition: what was READY does not pass its verification any more, with the cause.
pub const VERIFY_FAILED: &str = "VerifyFailed";

/// A condition as Kubernetes uses the word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `Ready`, `Progressing`, `Paused`, `ProviderDegraded`, `EndpointsPending`, …
    pub r#type: String,
    /// Whether it holds.
    pub status: bool,
    /// Word for machines, CamelCase.
    pub reason: String,
    /// Sentence for humans.
    pub message: String,
    /// When `status` last changed.
    pub transition_time: Timestamp,
}

/// An address that the customer uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// `files`, `chat`, `sftp`, …
    pub name: String,
    /// URL.
    pub url: String,
    /// Path there at which it says by its status whether it does what it is for, and otherwise by the first line of its body why not.
    /// Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub health_path: String,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which operation.
    pub operation: OperationId,
    /// 0 to 99; it never goes back within an operation.
    pub percent: u8,
    /// When it will have ended, if everything takes as long as it did before.
    pub end_time: Timestamp,
}

/// What is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentStatus {
    /// Where it is in its life.
    pub state: State,
    /// Newest generation that was READY.
    pub observed_generation: i64,
    /// Conditions, sorted by type.
    pub conditions: Vec<Condition>,
    /// Addresses, once known.
    pub endpoints: Vec<Endpoint>,
    /// How far its operation is; `None`: none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}
