//! The steps of what AWS does by itself, as they are scheduled.

use cloudsim_core::schedule::Step;
use serde::{Deserialize, Serialize};

/// The cloud's name in stored steps.
pub(crate) const NAME: &str = "aws";

/// One thing that AWS does by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum AwsStep {
    /// CloudFormation goes on with a stack.
    StackTick {
        /// Stack id.
        stack: String,
    },
    /// CloudFormation's work on one resource ends.
    StackResource {
        /// Stack id.
        stack: String,
        /// Logical id.
        logical: String,
        /// The operation that it belongs to, so that a stale step is ignored.
        operation: u64,
    },
    /// An object enters a state.
    SetState {
        /// Object id.
        id: String,
        /// The new state.
        state: String,
    },
    /// A NAT gateway or load balancer that was being deleted goes, with its interfaces.
    ServiceObjectGone {
        /// Object id.
        id: String,
    },
    /// A step in the life of an EKS object.
    Eks {
        /// Object id (ARN).
        id: String,
        /// Which.
        step: EksStep,
    },
}

/// Steps of EKS lifecycles: each is the end of that work.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum EksStep {
    ClusterReady,
    ClusterGone,
    NodegroupReady,
    NodegroupGone,
    NodegroupScaled { update: String },
    AddonSettled,
    AddonGone,
    UpdateDone { update: String },
}

impl From<AwsStep> for Step {
    fn from(step: AwsStep) -> Self {
        Self::of(NAME, &step)
    }
}
