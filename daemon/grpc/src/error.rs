//! Everything that a call, or an operation, can end with. Knows no transport.

use landlord_core::{Failure, OperationId, Violation, Violations, ids::InvalidName, ports::StoreError};

/// Why a call or an operation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request is wrong, in all these ways.
    #[error("invalid request: {0}")]
    Invalid(Violations),
    /// The store refuses it, or can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another part of the daemon failed, or a stage of an operation did.
    #[error("{}", with_remedy(.0))]
    Failure(#[from] Failure),
    /// Nobody knows who calls.
    #[error("{0}")]
    Unauthenticated(String),
    /// Who calls can't be checked now: whoever vouches for it is away.
    #[error("{0}")]
    IssuerUnavailable(String),
    /// The plugin that would build it is not up.
    #[error("{0}")]
    ProviderDown(String),
    /// A move is planned, but not made.
    #[error("{0}")]
    MoveNotSupported(String),
    /// There is no such feature.
    #[error("{0}")]
    Unimplemented(&'static str),
    /// The daemon stops: streams end, and go on with the next one.
    #[error("the daemon is stopping; watch again with the last resume_token")]
    Stopping,
    /// The client takes a watch's messages too slowly.
    #[error("the client takes no messages of this watch; watch again with the last resume_token")]
    WatchTooSlow {
        /// Of the last message.
        resume_token: String,
    },
    /// The client takes lines of logs too slowly.
    #[error("the client takes no lines; request them again, with since_duration for those that it missed")]
    LogsTooSlow,
    /// A watch has gone on for as long as what its caller has shown counts.
    #[error("authenticate again: watch again with the last resume_token")]
    Reauthenticate,
    /// The caller has requested more than it may.
    #[error("{limit}; try again after {} s", retry_delay.as_secs_f32().ceil())]
    LimitReached {
        /// What is bounded, and by how much.
        limit: String,
        /// When there is room again.
        retry_delay: std::time::Duration,
    },
    /// How a cancelled operation ends.
    #[error("cancelled: a create is unwound, anything else stopped where it was")]
    Cancelled,
    /// How an operation ends that another took over from.
    #[error("operations/{by} took over; wait for that one")]
    Superseded {
        /// The other.
        by: OperationId,
    },
}

impl Error {
    /// Violations as an error, if there are any.
    pub(crate) fn unless_empty(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() { Ok(()) } else { Err(Self::Invalid(Violations(violations))) }
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(Violations(vec![violation]))
    }
}

/// Takes "not found" for `None`.
pub(crate) fn maybe<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Err(StoreError::NotFound(_)) => Ok(None),
        found => found.map(Some),
    }
}

/// Something wrong with a field.
pub(crate) fn violation(field: &str, description: impl Into<String>) -> Violation {
    Violation { field: field.into(), description: description.into() }
}

/// A name that does not parse.
pub(crate) fn invalid_name(field: &str, error: &InvalidName) -> Violation {
    violation(field, error.to_string())
}

fn with_remedy(failure: &Failure) -> String {
    if failure.remedy.is_empty() { failure.message.clone() } else { format!("{}; {}", failure.message, failure.remedy) }
}

#[cfg(test)]
mod tests {
    use landlord_core::ErrorKind;

    use super::*;

    #[test]
    fn a_failure_says_its_remedy_if_it_has_one() {
        let failure = Failure::new(ErrorKind::Quota, "no network is left");
        assert_eq!(Error::from(failure.clone()).to_string(), "no network is left");
        let failure = failure.with_remedy("raise the VPC quota");
        assert_eq!(Error::from(failure).to_string(), "no network is left; raise the VPC quota");
    }
}
