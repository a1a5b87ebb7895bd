//! What goes wrong at an API server, and what the engine learns of it.
//!
//! API server errors are logged once, verbatim. Which kind they are is decided by one table, `RESPONSES`: by the status
//! code, and by words only where several causes share a code. The same words are recognised in the output of a program that
//! prints an API server's message without its code.

use kube::core::Status;
use landlord_core::{ErrorKind, Failure};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server refused, or could not be reached.
    #[error("{action} failed")]
    Request {
        /// What was being done, to what.
        action: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The access that the provider gave can't be used.
    #[error("the access to the cluster is unusable: {problem}")]
    Access {
        /// What is wrong with it.
        problem: String,
    },
    /// An object of our name without our marker.
    #[error("{what} exists and does not belong to this tenant; remove or rename it")]
    NameTaken {
        /// The object.
        what: String,
    },
    /// Something in the cluster never becomes as it should.
    #[error("{what}")]
    Stuck {
        /// The object, and for how long.
        what: String,
    },
    /// A service account whose token is asked for does not exist yet.
    #[error("the account {account} does not exist yet")]
    AccountMissing {
        /// `namespace/name`.
        account: String,
    },
    /// The cluster lacks what is needed of it.
    #[error("{what}")]
    Lacking {
        /// What is lacking.
        what: String,
        /// Who must do what.
        remedy: &'static str,
    },
    /// Custom resources that can't be read.
    #[error("{problem}")]
    Manifest {
        /// What is wrong with them.
        problem: String,
    },
}

impl Error {
    /// What the API server responded, if it did.
    fn response(&self) -> Option<&Status> {
        let Self::Request { source, .. } = self else { return None };
        if let kube::Error::Api(status) = &**source { Some(status) } else { None }
    }

    /// How long the API server wants to be left alone, seconds.
    fn retry_after_s(&self) -> Option<u32> {
        self.response()?.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    /// Whether the API server is about to serve a kind that it has just learned of; over in a second.
    #[must_use]
    pub fn is_initializing(&self) -> bool {
        self.response().is_some_and(|status| status.code == 429 && status.message.contains("initializing"))
    }

    /// Kind and remedy.
    fn judged(&self) -> (ErrorKind, &'static str) {
        match self {
            Self::Request { source, .. } => match &**source {
                kube::Error::Api(status) => of_response(status),
                _ => (ErrorKind::Transient, RETRIED),
            },
            Self::Access { .. } => (ErrorKind::Auth, CHECK_IDENTITY),
            Self::NameTaken { .. } => (ErrorKind::NameTaken, "remove or rename that object, then retry"),
            Self::Stuck { .. } => {
                (ErrorKind::Conflict, "remove its finalizer if its controller is gone, or delete with force")
            }
            Self::AccountMissing { .. } => (ErrorKind::Conflict, "wait until the tenant's stage `isolation` is done"),
            Self::Lacking { remedy, .. } => (ErrorKind::Transient, remedy),
            Self::Manifest { .. } => (ErrorKind::Invalid, ""),
        }
    }
}

const RETRIED: &str = "nothing to do: it is tried again";
const CHECK_IDENTITY: &str = "check that the provider's identity may administer the cluster";
const RAISE_QUOTA: &str = "raise the quota of the namespace, or order less";

/// What a response of an API server means.
struct Response {
    /// Status codes; the words decide among them.
    codes: &'static [u16],
    /// Part of the message; empty: any.
    words: &'static str,
    kind: ErrorKind,
    remedy: &'static str,
}

const fn response(codes: &'static [u16], words: &'static str, kind: ErrorKind, remedy: &'static str) -> Response {
    Response { codes, words, kind, remedy }
}

/// The first row that fits. Rows with words come before the rest of their code.
const RESPONSES: [Response; 12] = [
    response(&[403], "exceeded quota", ErrorKind::Quota, RAISE_QUOTA),
    // The quota was just made; it is counted in a moment.
    response(&[403], "status unknown for quota", ErrorKind::Transient, RETRIED),
    response(&[403], "denied request", ErrorKind::Invalid, ""),
    response(&[403], "violates PodSecurity", ErrorKind::Invalid, ""),
    // A namespace on its way out refuses new objects; it is gone in a while.
    response(&[403], "being terminated", ErrorKind::Conflict, ""),
    response(&[401], "Unauthorized", ErrorKind::Auth, CHECK_IDENTITY),
    response(&[403], "is forbidden", ErrorKind::Auth, CHECK_IDENTITY),
    // From here on the code alone tells.
    response(&[401, 403], "", ErrorKind::Auth, CHECK_IDENTITY),
    response(&[400, 422], "", ErrorKind::Invalid, ""),
    response(&[409], "", ErrorKind::Conflict, ""),
    response(&[429], "", ErrorKind::Throttled, ""),
    response(&[], "", ErrorKind::Transient, RETRIED),
];

fn of_response(status: &Status) -> (ErrorKind, &'static str) {
    let fits = |row: &&Response| {
        (row.codes.is_empty() || row.codes.contains(&status.code)) && status.message.contains(row.words)
    };
    RESPONSES.iter().find(fits).map_or((ErrorKind::Transient, RETRIED), |row| (row.kind, row.remedy))
}

/// The kind of an API server's message that a program printed without the code; `None`: not recognised.
#[must_use]
pub fn kind_of_message(text: &str) -> Option<ErrorKind> {
    RESPONSES.iter().find(|row| !row.words.is_empty() && text.contains(row.words)).map(|row| row.kind)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, remedy) = error.judged();
        let mut failure = Self::new(kind, message(&error));
        failure.retry_after_ms = error.retry_after_s().map(|seconds| u64::from(seconds) * 1_000);
        if remedy.is_empty() { failure } else { failure.with_remedy(remedy) }
    }
}

/// The error and its causes. Of an API server's response only its message: as it prints itself, it is there three times.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    if let Some(status) = error.response() {
        return format!("{message}: {} ({} {})", status.message, status.code, status.reason);
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

/// Says what was being done when the API server failed.
pub trait Doing<T> {
    /// Names the action.
    ///
    /// # Errors
    /// [`Error::Request`] with the action and the error.
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for Result<T, kube::Error> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Request { action: action(), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_reported_once_and_keeps_its_retry_after() {
        let status = serde_json::json!({
            "status": "Failure", "code": 429, "reason": "TooManyRequests", "message": "storage is (re)initializing",
            "details": { "retryAfterSeconds": 2 },
        });
        let source = Box::new(kube::Error::Api(serde_json::from_value(status).unwrap()));
        let failure = Failure::from(Error::Request { action: "listing routes".into(), source });
        let expected = "THROTTLED: listing routes failed: storage is (re)initializing (429 TooManyRequests)";
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.retry_after_ms, Some(2_000));
    }

    #[test]
    fn a_response_becomes_a_kind_by_its_code_and_else_by_its_words() {
        let cases = [
            (403, "pods \"a\" is forbidden: exceeded quota: landlord", ErrorKind::Quota),
            (403, "pods \"a\" is forbidden: status unknown for quota: landlord", ErrorKind::Transient),
            (
                403,
                "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no",
                ErrorKind::Invalid,
            ),
            (403, "pods \"a\" is forbidden: violates PodSecurity \"restricted:v1.34\"", ErrorKind::Invalid),
            (403, "unable to create new content in namespace a because it is being terminated", ErrorKind::Conflict),
            (403, "pods is forbidden: User \"a\" cannot list resource \"pods\"", ErrorKind::Auth),
            (401, "Unauthorized", ErrorKind::Auth),
            (400, "bad", ErrorKind::Invalid),
            (422, "Deployment.apps \"a\" is invalid", ErrorKind::Invalid),
            (409, "the object has been modified", ErrorKind::Conflict),
            (429, "too many requests", ErrorKind::Throttled),
            (500, "etcdserver: request timed out", ErrorKind::Transient),
            (503, "the server is currently unable to handle the request", ErrorKind::Transient),
        ];
        for (code, message, kind) in cases {
            let status = serde_json::json!({ "status": "Failure", "code": code, "reason": "", "message": message });
            let source = Box::new(kube::Error::Api(serde_json::from_value(status).unwrap()));
            let failure = Failure::from(Error::Request { action: "x".into(), source });
            assert_eq!(failure.kind, kind, "{code} {message}");
        }
    }
}
