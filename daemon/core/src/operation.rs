//! Operations: one per accepted change, served as `google.longrunning.Operation`.

use serde::{Deserialize, Serialize};

use crate::{EnvironmentName, Failure, OperationId, StageRecord, TenantUid, Timestamp, stage::RemovedObject};

/// What was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// CreateTenant.
    Create,
    /// UpdateTenant.
    Update,
    /// DeleteTenant.
    Delete,
    /// RetryTenant.
    Retry,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum OperationOutcome {
    /// The tenant is READY at the operation's generation.
    Ready,
    /// The tenant is gone.
    Deleted {
        /// Everything that the delete removed.
        removed: Vec<RemovedObject>,
    },
    /// A stage failed.
    Failed {
        /// Why. The first failed stage's failure.
        failure: Failure,
    },
    /// Cancelled: a create unwound, anything else stopped where it was.
    Cancelled,
    /// A later change of the same tenant took over.
    Superseded {
        /// The operation that took over.
        by: OperationId,
    },
}

impl OperationOutcome {
    /// In one word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Deleted { .. } => "DELETED",
            Self::Failed { .. } => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Superseded { .. } => "SUPERSEDED",
        }
    }
}

/// An accepted change and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Id.
    pub id: OperationId,
    /// Uid of the environment.
    pub uid: TenantUid,
    /// Name of the environment.
    pub name: EnvironmentName,
    /// What was accepted.
    pub kind: OperationKind,
    /// Generation that it works towards.
    pub generation: i64,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Whether cancellation was requested.
    pub cancel_requested: bool,
    /// `None` while it runs.
    pub outcome: Option<OperationOutcome>,
    /// The stages in its desired state: live ones while it runs, those at its end afterwards.
    pub stages: Vec<StageRecord>,
}
