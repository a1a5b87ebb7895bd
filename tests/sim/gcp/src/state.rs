//! What Google Cloud has beside objects: access tokens that were given.

use cloudsim_core::{clock::Micros, states::CloudState};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An access token that was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The principal's email.
    pub email: String,
    /// Its project.
    pub project: String,
    /// When it ends.
    pub expires_us: Micros,
}

/// What Google Cloud has beside objects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct GcpState {
    /// Sessions by access token.
    pub sessions: HashMap<String, Session>,
}

impl CloudState for GcpState {
    const NAME: &'static str = crate::kinds::NAME;
}
