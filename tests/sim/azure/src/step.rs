//! The steps of what Azure does by itself, as they are scheduled.

use cloudsim_core::schedule::Step;
use serde::{Deserialize, Serialize};

/// The cloud's name in stored steps.
pub(crate) const NAME: &str = "azure";

/// Steps of Azure's own work.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum AzureStep {
    /// The time of an operation is over.
    Done {
        /// The operation's id.
        operation: String,
    },
    /// The deletion of a resource group goes on.
    GroupTick {
        /// The operation's id.
        operation: String,
        /// Sweeps in a row in which nothing moved.
        idle: u32,
    },
}

impl From<AzureStep> for Step {
    fn from(step: AzureStep) -> Self {
        Self::of(NAME, &step)
    }
}
