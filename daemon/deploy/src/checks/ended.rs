//! What one check came to. Pure.

use std::time::Duration;

use landlord_core::ports::Concern;

/// What one check came to.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Passed(String),
    /// It holds, and somebody should know something of it all the same.
    Warned {
        detail: String,
        remedy: String,
        concern: Option<Concern>,
    },
    Failed {
        cause: String,
        remedy: String,
        concern: Option<Concern>,
    },
    NotRun(String),
}

impl Ended {
    pub(super) fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), remedy: remedy.into(), concern: None }
    }

    pub(super) fn warned(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Warned { detail: detail.into(), remedy: remedy.into(), concern: None }
    }

    /// What a warning or a failure is about.
    pub(super) fn about(mut self, about: Concern) -> Self {
        match &mut self {
            Self::Warned { concern, .. } | Self::Failed { concern, .. } => *concern = Some(about),
            Self::Passed(_) | Self::NotRun(_) => {}
        }
        self
    }

    /// As one that was seen a while ago.
    pub(super) fn seen(mut self, age: Duration) -> Self {
        let text = match &mut self {
            Self::Passed(text) | Self::NotRun(text) => text,
            Self::Warned { detail, .. } => detail,
            Self::Failed { cause, .. } => cause,
        };
        *text = format!("{text}; {} s ago", age.as_secs());
        self
    }
}
