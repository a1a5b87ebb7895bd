//! What the engine changes of an environment in one commit. Knows no store.

use super::{EnvironmentStatus, LastReady};
use crate::DesiredState;

/// Changes of the tenant's row by the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnvironmentPatch {
    /// New status.
    pub status: Option<EnvironmentStatus>,
    /// New desired state (a cancelled create unwinds towards absence).
    pub desired_state: Option<DesiredState>,
    /// What to go back to (a cancelled update, revisions that are given up); raises the generation.
    pub revert: Option<LastReady>,
    /// Remember spec and placement as the last that were READY.
    pub mark_ready: bool,
    /// The cancellation request was acted upon.
    pub clear_cancel: bool,
}
