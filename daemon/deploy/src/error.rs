//! What goes wrong in the deploy stage, and as which failure the engine sees it.

use std::path::PathBuf;

use landlord_core::{Chain, ErrorKind, Failure};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest piece of Helm's own words in a message; the end is where the cause stands.
const HELM_WORDS_MAX: usize = 600;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server refused or could not be reached, or something in the cluster stands in the way.
    #[error(transparent)]
    Kube(#[from] landlord_kube::Error),
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
        /// Requested.
        name: String,
        /// What there is.
        known: String,
    },
    /// Apps are wanted of a class that has none.
    #[error("the tenant's class names no stack")]
    NoStack,
    /// No such platform.
    #[error("there is no platform {name:?}; the platforms are: {known}")]
    UnknownPlatform {
        /// Requested.
        name: String,
        /// What there is.
        known: String,
    },
    /// No such release in the stack or platform.
    #[error("the stack or platform has no release {name:?}")]
    UnknownRelease {
        /// Requested.
        name: String,
    },
    /// No such app in the stack, asked for by whoever reads its lines.
    #[error("the stack has no app {name:?}; its apps are: {known}")]
    UnknownApp {
        /// Asked for.
        name: String,
        /// What there is.
        known: String,
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
    HelmIncompatible {
        /// The binary.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A chart is not the one that is pinned.
    #[error("chart {chart}: {problem}")]
    ChartDigest {
        /// Where it was taken from.
        chart: String,
        /// What it is instead.
        problem: String,
    },
    /// Helm ended with an error.
    #[error("helm {command} failed: {output}")]
    Helm {
        /// Subcommand and release.
        command: String,
        /// The end of what it reported.
        output: String,
    },
    /// A chart that can't be applied without Helm.
    #[error("the chart of release {release} can't be applied without Helm: {problem}")]
    Manifests {
        /// Whose chart.
        release: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The record of a release that is to go can't be read.
    #[error("ConfigMap {record} can't be read, and only it says what has to go")]
    Record {
        /// Namespace and name.
        record: String,
        /// The annotation by which the release's objects are known.
        mark: String,
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
    /// A revision that is kept can't be used.
    #[error("revision {name}: {problem}")]
    Revision {
        /// Which.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An environment names a revision that is damaged, or that the store has not.
    #[error("the revision {name} can't be used: {problem}")]
    RevisionUnusable {
        /// Name and revision.
        name: String,
        /// Why.
        problem: String,
    },
    /// An environment names a revision that this daemon has not read yet.
    #[error("the revision {name} is not loaded here yet")]
    RevisionNotLoaded {
        /// Name and revision.
        name: String,
    },
    /// A release that others still use.
    #[error("{what}")]
    InUse {
        /// The release, and what uses it.
        what: String,
    },
    /// No such credential in the stack.
    #[error("the stack has no credential {name:?}; it has: {known}")]
    UnknownCredential {
        /// Asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Its Secret is not there, or has not this key.
    #[error("the credential {name} was not made yet")]
    NoCredentialYet {
        /// Which.
        name: String,
    },
    /// The stack says of no way.
    #[error("the credential {name} can't be rotated: its app has no way to take another one")]
    NoRotation {
        /// Which.
        name: String,
    },
    /// The app did not take the new value.
    #[error("the app did not take a new {name}, and the one of before still works: {problem}")]
    NotRotated {
        /// Which.
        name: String,
        /// What was answered.
        problem: String,
    },
    /// The app was requested to take a new value, and was seen taking neither.
    #[error("whether the app took a new {name} is not known: {problem}")]
    RotationUnknown {
        /// Which.
        name: String,
        /// What was answered.
        problem: String,
    },
    /// The app was restarted with the new value and was not seen taking it.
    #[error("{name} has a new value, and its app was not seen taking it: {problem}")]
    RotationUnproved {
        /// Which.
        name: String,
        /// What was answered.
        problem: String,
    },
    /// Required of a tenant in a shared cluster.
    #[error("the whole cluster would be emptied, and it is shared with other tenants")]
    Shared,
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn helm(command: String, output: &str) -> Self {
        let text = output.trim();
        let skipped = text.chars().count().saturating_sub(HELM_WORDS_MAX);
        let output = text.chars().skip(skipped).collect();
        Self::Helm { command, output }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Kube(_)
            | Self::Revision { .. }
            | Self::RevisionUnusable { .. }
            | Self::HelmIncompatible { .. }
            | Self::File { .. }
            | Self::Shared => ErrorKind::Internal,
            Self::Stack { .. }
            | Self::UnknownStack { .. }
            | Self::NoStack
            | Self::UnknownPlatform { .. }
            | Self::UnknownRelease { .. }
            | Self::UnknownApp { .. }
            | Self::ForbiddenValue { .. }
            | Self::Manifests { .. }
            | Self::UnknownCredential { .. }
            | Self::ChartDigest { .. }
            | Self::NotForShared { .. } => ErrorKind::Invalid,
            Self::NoCredentialYet { .. } | Self::NoRotation { .. } | Self::NotRotated { .. } => ErrorKind::Conflict,
            Self::RotationUnknown { .. } | Self::RotationUnproved { .. } => ErrorKind::Transient,
            Self::Helm { output, .. } => helm_response(output).0,
            Self::HelmDeadline { .. } | Self::RevisionNotLoaded { .. } => ErrorKind::Transient,
            Self::Record { .. } | Self::InUse { .. } => ErrorKind::Conflict,
        }
    }

    fn remedy(&self) -> String {
        let remedy = match self {
            Self::Kube(_) => "",
            Self::Stack { .. } => "the operator corrects the stack's manifest, then retry",
            Self::UnknownStack { .. } | Self::UnknownRelease { .. } => {
                "the operator puts the stack back under deploy.stacks_dir, or the class names one that is there; then retry"
            }
            Self::ChartDigest { .. } => {
                "the operator finds out who changed it, or pins the digest of a chart that was reviewed (sha256sum of what helm pull \
                 writes); then retry"
            }
            Self::NoStack => "the operator names a stack in the class, for tenants that are ordered from then on",
            Self::UnknownPlatform { .. } => {
                "the operator puts the platform back where the configuration names it, or the class names one that is there; \
                 then retry"
            }
            Self::ForbiddenValue { .. } => "the customer corrects stack_values of the tenant",
            Self::NotForShared { .. } => {
                "the stack's author leaves that object out of the chart, or the customer orders a class with a cluster of \
                 its own"
            }
            Self::Manifests { .. } => {
                "the platform's author leaves that out, or has Helm deliver the release; then retry"
            }
            Self::Record { mark, .. } => {
                return format!(
                    "whoever operates the cluster restores the ConfigMap, or removes the objects with the annotation {mark} and \
                     then the ConfigMap; landlord tries again by itself"
                );
            }
            Self::Helm { output, .. } => return helm_response(output).1,
            Self::HelmDeadline { .. } => {
                "landlord tries again by itself; if it lasts, whoever operates the cluster finds out why its API server is \
                 slow"
            }
            Self::HelmIncompatible { .. } => "the operator installs the Helm that the message requests, then retry",
            Self::File { .. } => "the operator lets the daemon read and write that file, then retry",
            Self::Revision { .. } | Self::RevisionUnusable { .. } => {
                "the operator restores the store from a backup, or brings the tenant to the current revision"
            }
            Self::RevisionNotLoaded { .. } => {
                "landlord reads it by itself within seconds; if it lasts, see the daemon's log"
            }
            Self::UnknownCredential { .. } | Self::UnknownApp { .. } => "name one that the stack has",
            Self::NoCredentialYet { .. } => "wait until the tenant is READY",
            Self::InUse { .. } => {
                "whoever made what the message names removes it, or the class orders the part again; landlord tries again by itself"
            }
            Self::NoRotation { .. } => "change it in the app itself",
            Self::NotRotated { .. } => {
                "see the app's log; then rotate it again, which goes on with the value made already"
            }
            Self::RotationUnknown { .. } | Self::RotationUnproved { .. } => {
                "see the app's pods and log; then rotate it again with the same request_id"
            }
            Self::Shared => "this is a bug of landlord; report it with the daemon's log",
        };
        remedy.to_owned()
    }
}

/// Helm says what went wrong in words only: its own, or those of the API server. What is not recognised is tried again.
fn helm_response(output: &str) -> (ErrorKind, String) {
    const VALUES: &str =
        "the customer corrects stack_values of the tenant, or the operator the stack's values; then retry";
    const OTHER: &str =
        "whoever made the object that the message names removes it, or gives it to the release; then retry";
    const AGAIN: &str = "landlord tries again by itself; if it lasts, the operator reads Helm's message";
    const WORDS: [(&str, ErrorKind, &str); 6] = [
        ("values don't meet the specifications of the schema", ErrorKind::Invalid, VALUES),
        ("execution error at", ErrorKind::Invalid, VALUES),
        ("parse error", ErrorKind::Invalid, "the stack's author corrects the chart's template, then retry"),
        // A field that its kind does not have, or of another type.
        ("failed to create typed patch object", ErrorKind::Invalid, VALUES),
        ("cannot be imported into the current release", ErrorKind::NameTaken, OTHER),
        ("another operation", ErrorKind::Conflict, AGAIN),
    ];
    let own = WORDS.iter().find(|(word, ..)| output.contains(word));
    own.map(|(_, kind, remedy)| (*kind, (*remedy).to_owned()))
        .or_else(|| landlord_kube::error::of_message(output))
        .unwrap_or_else(|| (ErrorKind::Transient, AGAIN.to_owned()))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, remedy) = (error.kind(), error.remedy());
        if let Error::Kube(error) = error {
            return error.into();
        }
        Self::new(kind, Chain(&error).to_string()).with_remedy(remedy)
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
            ("the server has requested the client to provide credentials: Unauthorized", ErrorKind::Auth),
            ("Service \"a\" exists and cannot be imported into the current release", ErrorKind::NameTaken),
            (
                "admission webhook \"labels.example.com\" denied the request: you must provide labels",
                ErrorKind::Invalid,
            ),
        ];
        for (output, kind) in cases {
            let failure = Failure::from(Error::helm("upgrade x".into(), output));
            assert_eq!(failure.kind, kind, "{output}");
            assert!(!failure.remedy.is_empty() && !failure.remedy.contains("nothing to do"), "{failure:?}");
        }
    }

    #[test]
    fn a_long_output_keeps_its_end() {
        let output = format!("{}the cause", "noise ".repeat(1_000));
        let Error::Helm { output, .. } = Error::helm("upgrade x".into(), &output) else { panic!() };
        assert!(output.ends_with("the cause") && output.chars().count() <= HELM_WORDS_MAX);
    }
}
