//! From a cloud's error to the contract's. A plugin keeps an error as the cloud gave it ([`CloudError`]) for as long as it
//! may still mean "absent" or "busy", and turns it into a [`ProviderError`] at the end.

use std::{error::Error as StdError, time::Duration};

use landlord_provider_api::{ErrorKind, ProviderError};

/// Longest wait that a cloud's `Retry-After` is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// The remedy of a credential that is missing, expired or broken.
pub const RENEW_CREDENTIALS: &str = "renew or correct the credentials of this credential scope, then retry";
/// The remedy where the response shows that no cloud responded.
pub const CHECK_ENDPOINT: &str = "check endpoint_override: whatever responds there does not know this call";

/// An error as one cloud gives it.
pub trait CloudError: StdError {
    /// The cloud's code; empty without one.
    fn code(&self) -> &str;

    /// Whether it says that the object does not exist.
    fn is_absent(&self) -> bool;

    /// Whether it says that something still uses the object or works on it.
    fn is_busy(&self) -> bool;

    /// The contract's error: kind, message, code, remedy, wait, bucket.
    fn to_provider_error(&self) -> ProviderError;
}

/// A call that failed, before it is decided what that means for the daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error<C: CloudError> {
    /// The cloud returned an error, or did not respond.
    #[error("{0}")]
    Service(Box<C>),
    /// Already the contract's.
    #[error(transparent)]
    Stated(#[from] ProviderError),
}

impl<C: CloudError> Error<C> {
    /// The cloud's code.
    pub fn code(&self) -> &str {
        match self {
            Self::Service(error) => error.code(),
            Self::Stated(error) => &error.code,
        }
    }

    /// The cloud's own error.
    pub fn service(&self) -> Option<&C> {
        match self {
            Self::Service(error) => Some(error),
            Self::Stated(_) => None,
        }
    }

    /// Whether the object does not exist.
    pub fn is_absent(&self) -> bool {
        self.service().is_some_and(C::is_absent)
    }

    /// Whether something still uses the object or works on it.
    pub fn is_busy(&self) -> bool {
        self.service().is_some_and(C::is_busy)
    }

    /// Whether it is NAME_TAKEN.
    fn is_name_taken(&self) -> bool {
        matches!(self, Self::Stated(error) if error.kind == ErrorKind::NameTaken)
    }
}

impl<C: CloudError> From<Error<C>> for ProviderError {
    fn from(error: Error<C>) -> Self {
        match error {
            Error::Stated(stated) => stated,
            Error::Service(error) => error.to_provider_error(),
        }
    }
}

/// `Ok(None)` for what does not exist.
pub trait Absent<T, C: CloudError> {
    /// `Ok(None)` for what does not exist.
    ///
    /// # Errors
    /// Every other error.
    fn or_absent(self) -> Result<Option<T>, Error<C>>;
}

impl<T, C: CloudError> Absent<T, C> for Result<T, Error<C>> {
    fn or_absent(self) -> Result<Option<T>, Error<C>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `Ok(None)` for what is not owned by this tenant: a deletion leaves it alone.
pub trait Owned<T, C: CloudError> {
    /// `Ok(None)` instead of NAME_TAKEN.
    ///
    /// # Errors
    /// Every other error.
    fn if_owned(self) -> Result<Option<T>, Error<C>>;
}

impl<T, C: CloudError> Owned<T, C> for Result<Option<T>, Error<C>> {
    fn if_owned(self) -> Self {
        match self {
            Err(error) if error.is_name_taken() => Ok(None),
            found => found,
        }
    }
}

/// An error and its causes, each stated once.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// What a code without a row of its own means, by the HTTP status; 0: no response came.
#[must_use]
pub fn by_status(status: u16) -> ErrorKind {
    match status {
        0 | 408 | 500..=599 => ErrorKind::Transient,
        401 | 403 => ErrorKind::Auth,
        429 => ErrorKind::Throttled,
        404 | 409 | 412 | 423 => ErrorKind::Conflict,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    }
}

/// `Retry-After` in seconds, up to [`RETRY_AFTER_MAX`]; `None` for a date, which no cloud sends.
#[must_use]
pub fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// INVALID, for what the caller requested.
pub fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

/// CONFLICT, for what another stage or a person must do first.
pub fn conflict(message: impl Into<String>, remedy: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Conflict, message).with_remedy(remedy)
}

/// AUTH: there are no credentials to make a call with.
#[must_use]
pub fn no_credentials(what: &str, error: &(dyn StdError + 'static)) -> ProviderError {
    ProviderError::new(ErrorKind::Auth, format!("{what}: {}", chain(error)))
        .with_code("CredentialsUnavailable")
        .with_remedy(RENEW_CREDENTIALS)
}

#[cfg(test)]
mod tests {
    use super::{Absent as _, CloudError, Error, Owned as _, RETRY_AFTER_MAX, by_status, chain, retry_after};
    use landlord_provider_api::{ErrorKind, ProviderError};
    use std::time::Duration;

    #[derive(Debug, thiserror::Error)]
    #[error("refused with {0}")]
    struct Refused(&'static str);

    impl CloudError for Refused {
        fn code(&self) -> &str {
            self.0
        }
        fn is_absent(&self) -> bool {
            self.0 == "NotFound"
        }
        fn is_busy(&self) -> bool {
            self.0 == "InUse"
        }
        fn to_provider_error(&self) -> ProviderError {
            ProviderError::new(ErrorKind::Conflict, self.to_string()).with_code(self.0)
        }
    }

    fn refused(code: &'static str) -> Error<Refused> {
        Error::Service(Box::new(Refused(code)))
    }

    #[test]
    fn absent_and_foreign_objects_are_none() {
        assert!(matches!(Err::<u8, _>(refused("NotFound")).or_absent(), Ok(None)));
        assert!(matches!(Ok::<_, Error<Refused>>(1).or_absent(), Ok(Some(1))));
        assert!(Err::<u8, _>(refused("InUse")).or_absent().is_err_and(|error| error.is_busy()));
        let taken = Error::<Refused>::from(ProviderError::new(ErrorKind::NameTaken, "theirs"));
        assert!(matches!(Err::<Option<u8>, _>(taken).if_owned(), Ok(None)));
        assert!(Err::<Option<u8>, _>(refused("NotFound")).if_owned().is_err());
        assert_eq!(ProviderError::from(refused("InUse")).code, "InUse");
    }

    #[test]
    fn an_unknown_code_follows_the_status() {
        let cases = [
            (500, ErrorKind::Transient),
            (429, ErrorKind::Throttled),
            (403, ErrorKind::Auth),
            (409, ErrorKind::Conflict),
            (423, ErrorKind::Conflict),
            (0, ErrorKind::Transient),
            (418, ErrorKind::Invalid),
            (302, ErrorKind::Internal),
        ];
        for (status, kind) in cases {
            assert_eq!(by_status(status), kind, "{status}");
        }
    }

    #[test]
    fn a_wait_is_bounded() {
        assert_eq!(retry_after(" 17 "), Some(Duration::from_secs(17)));
        assert_eq!(retry_after("999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_cause_is_not_repeated() {
        let inner = std::io::Error::other("reset");
        assert_eq!(chain(&std::io::Error::other(inner)), "reset");
        let error = refused("NotFound");
        assert_eq!(chain(&error), "refused with NotFound");
    }
}
