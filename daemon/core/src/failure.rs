//! Failures as the daemon keeps, shows and acts on them. The kind decides the retry rule.

use std::{error::Error, fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use landlord_provider_api::{ErrorKind, ProviderError};

/// A failure in a form that can be stored and shown. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", kind.as_str())]
pub struct Failure {
    /// Decides the retry rule.
    #[serde(with = "kind_text")]
    pub kind: ErrorKind,
    /// What happened, to what.
    pub message: String,
    /// The cloud's own error code; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Its remedy; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// A hard demand to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Exhausted rate bucket; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
}

impl Failure {
    /// A failure of `kind` that says what happened, to what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ProviderError::new(kind, message).into()
    }

    /// Adds its remedy.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The demanded wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
            code: error.code,
            remedy: error.remedy,
            retry_after_ms: error.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            bucket: error.bucket,
        }
    }
}

/// An error with its sources, in one line, and each cause once: libraries name a cause in their own text and give it as the source as well.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        f.write_str(&text)
    }
}

/// The stored spelling of a kind is its API name.
mod kind_text {
    use super::ErrorKind;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const KINDS: [ErrorKind; 9] = [
        ErrorKind::Throttled,
        ErrorKind::Quota,
        ErrorKind::Auth,
        ErrorKind::Invalid,
        ErrorKind::Conflict,
        ErrorKind::Capacity,
        ErrorKind::Transient,
        ErrorKind::NameTaken,
        ErrorKind::Internal,
    ];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(kind: &ErrorKind, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<ErrorKind, D::Error> {
        let text = String::deserialize(d)?;
        KINDS
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| D::Error::custom(format!("unknown error kind {text:?}")))
    }
}
