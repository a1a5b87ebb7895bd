//! What goes wrong in the deploy stage, and how the engine is told.

use std::path::PathBuf;

use kube::core::Status;
use landlord_core::{ErrorKind, Failure};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest piece of Helm's own words in a message; the end is where the cause stands.
const HELM_WORDS_MAX: usize = 600;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server refused or could not be reached.
    #[error("{action} failed")]
    Kube {
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
    /// The stack's manifest can't be used.
    #[error("stack manifest {}: {problem}", path.display())]
    Stack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No such stack.
    #[error("there is no stack {name:?}; the stacks are: {known}")]
    UnknownStack {
        /// Asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No such release in the stack.
    #[error("the stack has no release {name:?}")]
    UnknownRelease {
        /// Asked for.
        name: String,
    },
    /// A tenant's stack values that are not its to set.
    #[error("stack_values.{path} can't be set; a tenant may set: {allowed}")]
    ForbiddenValue {
        /// Dotted path.
        path: String,
        /// What may be set.
        allowed: String,
    },
    /// Helm can't be started, or is unfit.
    #[error("helm {}: {problem}", path.display())]
    HelmUnfit {
        /// The binary.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Helm ended with an error.
    #[error("helm {command} failed: {said}")]
    Helm {
        /// Subcommand and release.
        command: String,
        /// The end of what it said.
        said: String,
    },
    /// Helm did not end in time and was killed.
    #[error("helm {command} did not end within {deadline_s} s and was killed")]
    HelmDeadline {
        /// Subcommand and release.
        command: String,
        /// The time it had.
        deadline_s: u64,
    },
    /// A file of ours.
    #[error("can't {action} {}", path.display())]
    File {
        /// Verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something in the cluster never becomes as it should.
    #[error("{what}")]
    Stuck {
        /// The object, and for how long.
        what: String,
    },
    /// An object of a chart that a tenant on a shared cluster can't have.
    #[error("release {release} can't be deployed on a shared cluster: {object} {why}; nothing was applied")]
    NotForShared {
        /// Whose chart.
        release: String,
        /// Kind and name.
        object: String,
        /// What does not fit.
        why: String,
    },
    /// A host cluster can't be left while tenants' namespaces are there.
    #[error("{what}; without the host cluster's policies they would stand unfenced")]
    Occupied {
        /// Which.
        what: String,
    },
    /// Something shared has no room for one more tenant.
    #[error("{what}")]
    Full {
        /// What, and its bound.
        what: String,
    },
    /// The tenant's guardrails do not stand yet.
    #[error("{what}")]
    Unfenced {
        /// What is missing.
        what: String,
    },
    /// Asked of a tenant with its own cluster.
    #[error("the tenant has a cluster of its own, and no customer's account on it")]
    NotShared,
    /// The cluster lacks what the stack needs.
    #[error("{what}")]
    Lacking {
        /// What is lacking.
        what: String,
        /// What would mend it.
        remedy: &'static str,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn helm(command: String, output: &str) -> Self {
        let text = output.trim();
        let skipped = text.chars().count().saturating_sub(HELM_WORDS_MAX);
        let said = text.chars().skip(skipped).collect();
        Self::Helm { command, said }
    }

    /// What the API server said, if it answered.
    fn answer(&self) -> Option<&Status> {
        let Self::Kube { source, .. } = self else { return None };
        if let kube::Error::Api(status) = &**source { Some(status) } else { None }
    }

    /// How long the API server wants to be left alone.
    fn retry_after_s(&self) -> Option<u32> {
        self.answer()?.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    /// Whether the API server is about to serve a kind that it has just learned of; over in a second.
    pub(crate) fn is_initializing(&self) -> bool {
        self.answer().is_some_and(|status| status.code == 429 && status.message.contains("initializing"))
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Kube { source, .. } => kube_kind(source),
            Self::Access { .. } => ErrorKind::Auth,
            Self::NameTaken { .. } => ErrorKind::NameTaken,
            Self::Stack { .. }
            | Self::UnknownStack { .. }
            | Self::UnknownRelease { .. }
            | Self::ForbiddenValue { .. }
            | Self::NotForShared { .. }
            | Self::NotShared => ErrorKind::Invalid,
            Self::Full { .. } => ErrorKind::Capacity,
            Self::HelmUnfit { .. } | Self::File { .. } => ErrorKind::Internal,
            Self::Helm { said, .. } => helm_kind(said),
            Self::HelmDeadline { .. } | Self::Lacking { .. } => ErrorKind::Transient,
            Self::Stuck { .. } | Self::Unfenced { .. } | Self::Occupied { .. } => ErrorKind::Conflict,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Lacking { remedy, .. } => remedy,
            Self::NameTaken { .. } => "remove or rename that object, then retry",
            Self::ForbiddenValue { .. } => "correct stack_values of the tenant",
            Self::NotForShared { .. } => {
                "leave that object out of the chart, or order a class with a cluster of its own"
            }
            Self::Unfenced { .. } => "wait until the tenant's guardrails are done",
            Self::Occupied { .. } => {
                "remove these namespaces; they were left when their tenants were deleted with force"
            }
            Self::Full { .. } => {
                "bring the Gateway API 1.5 or newer along, or order the tenant anew on another host cluster; maxTenants of \
                 63 keeps a host cluster with an older one from taking more"
            }
            Self::NotShared => "ask for the operator's access",
            Self::Stuck { .. } => "remove its finalizer if its controller is gone, or delete with force",
            Self::Helm { .. } | Self::Stack { .. } if self.kind() == ErrorKind::Invalid => {
                "correct stack_values of the tenant, or the stack's values"
            }
            _ => match self.kind() {
                ErrorKind::Auth => "check that the provider's identity may administer the cluster",
                ErrorKind::Quota => "raise the quota of the namespace, or order less",
                ErrorKind::Transient => "nothing to do: it is tried again",
                _ => "",
            },
        }
    }
}

/// An API server's answer as a kind.
fn kube_kind(error: &kube::Error) -> ErrorKind {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 if status.message.contains("exceeded quota") => ErrorKind::Quota,
            // The quota was just made; it is counted in a moment.
            403 if status.message.contains("status unknown for quota") => ErrorKind::Transient,
            403 if ["denied request", "violates PodSecurity"].iter().any(|word| status.message.contains(word)) => {
                ErrorKind::Invalid
            }
            // A namespace on its way out refuses new objects; it is gone in a while.
            403 if status.message.contains("being terminated") => ErrorKind::Conflict,
            401 | 403 => ErrorKind::Auth,
            400 | 422 => ErrorKind::Invalid,
            409 => ErrorKind::Conflict,
            429 => ErrorKind::Throttled,
            _ => ErrorKind::Transient,
        },
        _ => ErrorKind::Transient,
    }
}

/// Helm says what went wrong in words only. What is not recognised is tried again.
fn helm_kind(said: &str) -> ErrorKind {
    const WORDS: [(&str, ErrorKind); 13] = [
        ("exceeded quota", ErrorKind::Quota),
        ("status unknown for quota", ErrorKind::Transient),
        ("denied request", ErrorKind::Invalid),
        ("violates PodSecurity", ErrorKind::Invalid),
        ("values don't meet the specifications of the schema", ErrorKind::Invalid),
        ("execution error at", ErrorKind::Invalid),
        ("parse error", ErrorKind::Invalid),
        // A field that its kind does not have, or of another type.
        ("failed to create typed patch object", ErrorKind::Invalid),
        ("being terminated", ErrorKind::Conflict),
        ("Unauthorized", ErrorKind::Auth),
        ("is forbidden", ErrorKind::Auth),
        ("cannot be imported into the current release", ErrorKind::NameTaken),
        ("another operation", ErrorKind::Conflict),
    ];
    WORDS.iter().find(|(word, _)| said.contains(word)).map_or(ErrorKind::Transient, |(_, kind)| *kind)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(error.kind(), message(&error));
        failure.retry_after_ms = error.retry_after_s().map(|seconds| u64::from(seconds) * 1_000);
        match error.remedy() {
            "" => failure,
            remedy => failure.with_remedy(remedy),
        }
    }
}

/// The error and its causes. Of an API server's answer only its message: as it prints itself, it is there three times.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    if let Some(status) = error.answer() {
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
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for Result<T, kube::Error> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Kube { action: action(), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_helm_become_kinds() {
        let cases = [
            ("Error: values don't meet the specifications of the schema(s)", ErrorKind::Invalid),
            ("pods \"x\" is forbidden: exceeded quota: compute", ErrorKind::Quota),
            (
                "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema",
                ErrorKind::Invalid,
            ),
            ("Get \"https://…\": dial tcp: connection refused", ErrorKind::Transient),
            ("the server has asked for the client to provide credentials: Unauthorized", ErrorKind::Auth),
            ("Service \"a\" exists and cannot be imported into the current release", ErrorKind::NameTaken),
        ];
        for (said, kind) in cases {
            assert_eq!(Failure::from(Error::helm("upgrade x".into(), said)).kind, kind, "{said}");
        }
    }

    #[test]
    fn a_long_output_keeps_its_end() {
        let output = format!("{}the cause", "noise ".repeat(1_000));
        let Error::Helm { said, .. } = Error::helm("upgrade x".into(), &output) else { panic!() };
        assert!(said.ends_with("the cause") && said.chars().count() <= HELM_WORDS_MAX);
    }

    #[test]
    fn an_answer_is_told_once_and_its_demand_kept() {
        let status = serde_json::json!({
            "status": "Failure", "code": 429, "reason": "TooManyRequests", "message": "storage is (re)initializing",
            "details": { "retryAfterSeconds": 2 },
        });
        let source = Box::new(kube::Error::Api(serde_json::from_value(status).unwrap()));
        let failure = Failure::from(Error::Kube { action: "listing routes".into(), source });
        let expected = "THROTTLED: listing routes failed: storage is (re)initializing (429 TooManyRequests)";
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.retry_after_ms, Some(2_000));
    }
}
