//! The typed error of the contract. Its kind decides the daemon's retry rule, so mapping a
//! cloud's error code to a kind is the most consequential line a plugin author writes.

use std::time::Duration;

use crate::v1;

/// Why a call failed; see `proto/landlord/provider/v1` for the meaning of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The cloud throttles.
    Throttled,
    /// A quota of the account is used up.
    Quota,
    /// Credentials are missing, expired or insufficient.
    Auth,
    /// The request can never succeed as it is.
    Invalid,
    /// Another change is under way, or something still depends on the object.
    Conflict,
    /// The cloud has no capacity now.
    Capacity,
    /// Network errors, 5xx, timeout.
    Transient,
    /// An object with our name but not our marker exists.
    NameTaken,
    /// A bug, or a response that cannot be understood.
    Internal,
}

impl ErrorKind {
    /// The kind's name as it appears in the API, logs and docs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "THROTTLED",
            Self::Quota => "QUOTA",
            Self::Auth => "AUTH",
            Self::Invalid => "INVALID",
            Self::Conflict => "CONFLICT",
            Self::Capacity => "CAPACITY",
            Self::Transient => "TRANSIENT",
            Self::NameTaken => "NAME_TAKEN",
            Self::Internal => "INTERNAL",
        }
    }
}

impl From<v1::ErrorKind> for ErrorKind {
    fn from(kind: v1::ErrorKind) -> Self {
        match kind {
            v1::ErrorKind::Throttled => Self::Throttled,
            v1::ErrorKind::Quota => Self::Quota,
            v1::ErrorKind::Auth => Self::Auth,
            v1::ErrorKind::Invalid => Self::Invalid,
            v1::ErrorKind::Conflict => Self::Conflict,
            v1::ErrorKind::Capacity => Self::Capacity,
            v1::ErrorKind::Transient => Self::Transient,
            v1::ErrorKind::NameTaken => Self::NameTaken,
            v1::ErrorKind::Internal | v1::ErrorKind::Unspecified => Self::Internal,
        }
    }
}

impl From<ErrorKind> for v1::ErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Throttled => Self::Throttled,
            ErrorKind::Quota => Self::Quota,
            ErrorKind::Auth => Self::Auth,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Capacity => Self::Capacity,
            ErrorKind::Transient => Self::Transient,
            ErrorKind::NameTaken => Self::NameTaken,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

/// A failed provider call.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {message}", kind.as_str())]
pub struct ProviderError {
    /// Decides the retry rule.
    pub kind: ErrorKind,
    /// What happened, to what. No secrets.
    pub message: String,
    /// The cloud's own code; may be empty.
    pub code: String,
    /// Its remedy; may be empty.
    pub remedy: String,
    /// The cloud's own demand to wait.
    pub retry_after: Option<Duration>,
    /// Exhausted rate bucket, for [`ErrorKind::Throttled`]; may be empty.
    pub bucket: String,
}

impl ProviderError {
    /// An error of `kind` that says what happened to what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: String::new(),
            remedy: String::new(),
            retry_after: None,
            bucket: String::new(),
        }
    }

    /// Adds the cloud's own error code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Adds its remedy.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Adds the cloud's demand to wait.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Names the exhausted rate bucket.
    #[must_use]
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = bucket.into();
        self
    }
}

impl From<v1::Error> for ProviderError {
    fn from(error: v1::Error) -> Self {
        Self {
            kind: error.kind().into(),
            retry_after: error.retry_after.and_then(|duration| duration.try_into().ok()),
            message: error.message,
            code: error.code,
            remedy: error.remedy,
            bucket: error.bucket,
        }
    }
}

impl From<ProviderError> for v1::Error {
    fn from(error: ProviderError) -> Self {
        Self {
            kind: v1::ErrorKind::from(error.kind).into(),
            message: error.message,
            code: error.code,
            remedy: error.remedy,
            // A wait that does not fit protobuf's duration is no wait that we would keep.
            retry_after: error.retry_after.and_then(|duration| duration.try_into().ok()),
            bucket: error.bucket,
        }
    }
}
