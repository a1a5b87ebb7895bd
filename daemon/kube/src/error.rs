//! What goes wrong at an API server, and what the engine learns of it.
//!
//! API server errors are logged once, verbatim. Which kind they are is decided by one table, `RESPONSES`: by the status
//! code, and by words only where several causes share a code. The same words are recognised in the output of a program that
//! prints an API server's message without its code.

use kube::core::Status;
use landlord_core::{Chain, ErrorKind, Failure};

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
    /// An object that a record says is ours, whose mark somebody took off.
    #[error("{what} is landlord's by its record, and has its mark no longer")]
    Unmarked {
        /// The object.
        what: String,
        /// The annotation or label that it had.
        mark: String,
    },
    /// Something in the cluster never becomes as it should.
    #[error("{what}")]
    Stuck {
        /// The object, and for how long.
        what: String,
    },
    /// A service account whose token is requested does not exist yet.
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
    fn judged(&self) -> (ErrorKind, String) {
        let (kind, remedy) = match self {
            Self::Request { source, .. } => {
                return match &**source {
                    kube::Error::Api(status) => of_response(status),
                    error => of_connection(error),
                };
            }
            Self::Access { .. } => (ErrorKind::Auth, CHECK_IDENTITY),
            Self::NameTaken { .. } => {
                (ErrorKind::NameTaken, "whoever made that object removes or renames it, then retry")
            }
            Self::Unmarked { mark, .. } => {
                let remedy = format!(
                    "whoever operates the cluster puts {mark} back, or removes the object or renames it; landlord tries again by itself"
                );
                return (ErrorKind::Conflict, remedy);
            }
            Self::Stuck { .. } => (
                ErrorKind::Conflict,
                "whoever operates the cluster removes its finalizer if its controller is gone, or delete with force",
            ),
            Self::AccountMissing { .. } => (ErrorKind::Conflict, "wait until the tenant's stage `isolation` is done"),
            Self::Lacking { remedy, .. } => (ErrorKind::Transient, *remedy),
            Self::Manifest { .. } => {
                (ErrorKind::Invalid, "the operator corrects the custom resources that deploy.gateway_api_crds names")
            }
        };
        (kind, remedy.to_owned())
    }
}

/// For what passes, or is the cluster's operator's to see to.
const RETRIED: &str = "landlord tries again by itself; if it lasts, whoever operates the cluster finds out why its API server \
                       does not serve";
const CHECK_IDENTITY: &str =
    "whoever runs the cloud account lets the provider's identity administer the cluster, then retry";

/// What a response of an API server means.
struct Response {
    /// Status codes; the words decide among them. None: any.
    codes: &'static [u16],
    /// Part of the message; empty: any.
    words: &'static str,
    kind: ErrorKind,
    /// Who must do what; `{}` is what stands in quotes after the words.
    remedy: &'static str,
}

const fn response(codes: &'static [u16], words: &'static str, kind: ErrorKind, remedy: &'static str) -> Response {
    Response { codes, words, kind, remedy }
}

/// The first row that fits. Rows with words come before the rest of their code. The messages are those of Kubernetes' own
/// sources and of <https://kubernetes.io/docs/reference/access-authn-authz/>.
#[rustfmt::skip]
const RESPONSES: &[Response] = &[
    // Admission webhooks choose their own code.
    response(&[], "denied the request", ErrorKind::Invalid,
        "whoever operates the admission webhook {} says what it demands and adapts it, or the stack's author changes the object; then retry"),
    response(&[500, 503, 504], "failed calling webhook", ErrorKind::Transient,
        "whoever operates the admission webhook {} makes it answer, or removes its configuration; landlord tries again by itself"),
    response(&[], "denied request", ErrorKind::Invalid,
        "whoever owns the admission policy {} adapts it, or the stack's author changes the object; then retry"),
    response(&[403], "violates PodSecurity", ErrorKind::Invalid,
        "the stack's author makes the pods comply with Pod Security {}, then retry"),
    // Quotas and limits of the namespace.
    response(&[403], "exceeded quota", ErrorKind::Quota,
        "the operator raises the namespace's quota (the class's quota), or the customer orders less; then retry"),
    response(&[403], "failed quota", ErrorKind::Invalid,
        "the stack's author gives every container the requests and limits that the quota counts, then retry"),
    // The quota was just made; it is counted in a moment.
    response(&[403], "status unknown for quota", ErrorKind::Transient, RETRIED),
    response(&[403], "usage per", ErrorKind::Invalid,
        "the stack's author brings requests and limits within the namespace's LimitRange, or the operator changes that; then retry"),
    // Volumes.
    response(&[403, 422], "storageclass that provisions the pvc must support resize", ErrorKind::Invalid,
        "whoever operates the cluster sets allowVolumeExpansion: true in the claim's StorageClass, then retry; or the order keeps its storage"),
    response(&[403, 422], "storageclass.storage.k8s.io", ErrorKind::Invalid,
        "whoever operates the cluster makes the StorageClass {}, or the stack names another one; then retry"),
    response(&[422], "spec is immutable after creation", ErrorKind::Invalid,
        "the stack's author takes the change of the claim back: only its size can grow; then retry"),
    response(&[422], "field is immutable", ErrorKind::Invalid,
        "the stack's author takes the change of that field back, or the operator deletes the object so that it is made again; then retry"),
    // A namespace on its way out refuses new objects; it is gone in a while.
    response(&[403, 409], "being terminated", ErrorKind::Conflict, RETRIED),
    // Rights.
    response(&[403], "is attempting to grant RBAC permissions not currently held", ErrorKind::Auth, CHECK_IDENTITY),
    response(&[401], "Unauthorized", ErrorKind::Auth, CHECK_IDENTITY),
    response(&[403], "is forbidden", ErrorKind::Auth, CHECK_IDENTITY),
    // Kinds that the cluster does not serve.
    response(&[404], "could not find the requested resource", ErrorKind::Conflict,
        "whoever operates the cluster installs the custom resource definitions of that kind, or the class leaves it out; landlord tries again by itself"),
    response(&[500], "database space exceeded", ErrorKind::Quota,
        "whoever operates the cluster frees space in its etcd, then retry"),
    response(&[500], "message larger than max", ErrorKind::Invalid,
        "the stack's author makes the object smaller, in the chart or in stack_values; then retry"),
    response(&[500], "conversion webhook", ErrorKind::Transient,
        "whoever operates the custom resources' conversion webhook makes it answer, or the cluster's operator removes them; landlord tries again by itself"),
    // From here on only the code decides.
    response(&[401, 403], "", ErrorKind::Auth, CHECK_IDENTITY),
    response(&[400, 413, 415, 422], "", ErrorKind::Invalid,
        "the stack's author corrects what the message names, in the chart or in stack_values; then retry"),
    response(&[409], "", ErrorKind::Conflict, RETRIED),
    response(&[405, 406], "", ErrorKind::Invalid,
        "the operator takes a Kubernetes version that landlord supports, for the cluster or of landlord; then retry"),
    response(&[429], "", ErrorKind::Throttled,
        "landlord tries again by itself; if it lasts, whoever operates the cluster finds out who keeps its API server busy"),
    response(&[], "", ErrorKind::Transient, RETRIED),
];

/// Words of errors below HTTP: the connection, and the certificates of both ends.
const CONNECTION: &[(&str, ErrorKind, &str)] = &[
    (
        "certificate not valid yet",
        ErrorKind::Auth,
        "the operator sets the clock of the daemon's machine (NTP): the API server's certificate begins later than it; then retry",
    ),
    (
        "certificate expired",
        ErrorKind::Auth,
        "whoever operates the cluster renews the API server's certificate, or the operator sets the clock of the daemon's \
         machine (NTP); then retry",
    ),
    (
        "UnknownIssuer",
        ErrorKind::Auth,
        "the operator gives the certificate authority that signed the API server's certificate, then retry",
    ),
];

fn of_response(status: &Status) -> (ErrorKind, String) {
    let fits = |row: &&Response| {
        (row.codes.is_empty() || row.codes.contains(&status.code)) && status.message.contains(row.words)
    };
    RESPONSES
        .iter()
        .find(fits)
        .map_or((ErrorKind::Transient, RETRIED.to_owned()), |row| (row.kind, filled(row, &status.message)))
}

/// What an API server's message means that a program printed without the code: kind, and who must do what; `None`: not
/// recognised.
#[must_use]
pub fn of_message(text: &str) -> Option<(ErrorKind, String)> {
    let row = RESPONSES.iter().find(|row| !row.words.is_empty() && text.contains(row.words))?;
    Some((row.kind, filled(row, text)))
}

/// The remedy with the name that the message has in quotes, next to the words.
fn filled(row: &Response, message: &str) -> String {
    if !row.remedy.contains("{}") {
        return row.remedy.to_owned();
    }
    let at = message.find(row.words).unwrap_or_default();
    let (before, after) = message.split_at(at);
    let quoted = |text: &str| {
        let mut parts = text.split(['"', '\'']);
        let _ = parts.next();
        parts.next().map(str::to_owned)
    };
    // A webhook and a policy are named before the words, anything else after them.
    let subject = ["admission webhook ", "ValidatingAdmissionPolicy ", "MutatingAdmissionPolicy "];
    let named = subject.iter().find_map(|subject| before.rfind(subject).and_then(|at| quoted(&before[at..])));
    row.remedy.replace("{}", &named.or_else(|| quoted(after)).unwrap_or_else(|| "in the message".into()))
}

fn of_connection(error: &kube::Error) -> (ErrorKind, String) {
    let text = Chain(error).to_string();
    let row = CONNECTION.iter().find(|(words, ..)| text.contains(words));
    row.map_or((ErrorKind::Transient, RETRIED.to_owned()), |(_, kind, remedy)| (*kind, (*remedy).to_owned()))
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
    match error.response() {
        Some(status) => format!("{error}: {} ({} {})", status.message, status.code, status.reason),
        None => Chain(error).to_string(),
    }
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

    /// `metav1.StatusReason` with its code: <https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go>.
    #[test]
    fn every_reason_of_kubernetes_says_who_must_do_what() {
        let reasons: [(u16, &str); 19] = [
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (404, "NotFound"),
            (409, "AlreadyExists"),
            (409, "Conflict"),
            (410, "Gone"),
            (410, "Expired"),
            (422, "Invalid"),
            (500, "ServerTimeout"),
            (500, "StoreReadError"),
            (504, "Timeout"),
            (429, "TooManyRequests"),
            (400, "BadRequest"),
            (405, "MethodNotAllowed"),
            (406, "NotAcceptable"),
            (413, "RequestEntityTooLarge"),
            (415, "UnsupportedMediaType"),
            (500, "InternalError"),
            (503, "ServiceUnavailable"),
        ];
        for (code, reason) in reasons {
            let status = serde_json::json!({ "status": "Failure", "code": code, "reason": reason, "message": "x" });
            let source = Box::new(kube::Error::Api(serde_json::from_value(status).unwrap()));
            let failure = Failure::from(Error::Request { action: "x".into(), source });
            let persons = ["whoever", "operator", "author"];
            assert!(persons.iter().any(|person| failure.remedy.contains(person)), "{reason}: {}", failure.remedy);
        }
    }

    #[test]
    fn a_response_becomes_a_kind_by_its_code_and_else_by_its_words() {
        // Code, message, kind, part of the remedy.
        let cases = [
            (
                403,
                r#"pods "a" is forbidden: exceeded quota: landlord, requested: pods=1, used: pods=10, limited: pods=10"#,
                ErrorKind::Quota,
                "the operator raises",
            ),
            (
                403,
                r#"pods "a" is forbidden: failed quota: landlord: must specify limits.memory for: c"#,
                ErrorKind::Invalid,
                "requests and limits",
            ),
            (
                403,
                r#"pods "a" is forbidden: status unknown for quota: landlord, resources: pods"#,
                ErrorKind::Transient,
                "again by itself",
            ),
            (
                403,
                r#"pods "a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi"#,
                ErrorKind::Invalid,
                "LimitRange",
            ),
            (
                403,
                "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'no-host' with binding 'b' denied request: no",
                ErrorKind::Invalid,
                "admission policy no-host",
            ),
            (
                403,
                r#"admission webhook "labels.example.com" denied the request: you must provide labels: {"team"}"#,
                ErrorKind::Invalid,
                "admission webhook labels.example.com",
            ),
            (
                400,
                r#"admission webhook "labels.example.com" denied the request: you must provide labels"#,
                ErrorKind::Invalid,
                "admission webhook labels.example.com",
            ),
            (
                500,
                r#"Internal error occurred: failed calling webhook "mutate.example.com": Post "https://x": dial tcp"#,
                ErrorKind::Transient,
                "admission webhook mutate.example.com",
            ),
            (
                403,
                r#"pods "a" is forbidden: violates PodSecurity "restricted:v1.34": allowPrivilegeEscalation != false"#,
                ErrorKind::Invalid,
                "Pod Security restricted:v1.34",
            ),
            (
                403,
                r#"persistentvolumeclaims "data" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"#,
                ErrorKind::Invalid,
                "allowVolumeExpansion",
            ),
            (
                422,
                r#"PersistentVolumeClaim "a" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests"#,
                ErrorKind::Invalid,
                "only its size can grow",
            ),
            (
                403,
                "unable to create new content in namespace a because it is being terminated",
                ErrorKind::Conflict,
                "",
            ),
            (403, r#"pods is forbidden: User "a" cannot list resource "pods""#, ErrorKind::Auth, "identity"),
            (401, "Unauthorized", ErrorKind::Auth, "identity"),
            (400, "bad", ErrorKind::Invalid, "stack's author"),
            (
                404,
                "the server could not find the requested resource",
                ErrorKind::Conflict,
                "custom resource definitions",
            ),
            (422, r#"Deployment.apps "a" is invalid"#, ErrorKind::Invalid, "stack's author"),
            (409, "the object has been modified", ErrorKind::Conflict, "again by itself"),
            (429, "too many requests", ErrorKind::Throttled, "whoever operates"),
            (405, "the server does not allow this method on the requested resource", ErrorKind::Invalid, "version"),
            (
                500,
                "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097279 vs. 2097152)",
                ErrorKind::Invalid,
                "smaller",
            ),
            (
                500,
                "conversion webhook for example.com/v1, Kind=A failed: Post \"https://x\": dial tcp",
                ErrorKind::Transient,
                "conversion webhook",
            ),
            (
                403,
                r#"persistentvolumeclaims "data" is forbidden: exceeded quota: storage, requested: fast.storageclass.storage.k8s.io/requests.storage=20Gi, used: 0, limited: 10Gi"#,
                ErrorKind::Quota,
                "the operator raises",
            ),
            (
                403,
                r#"persistentvolumeclaims "data" is forbidden: maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 20Gi"#,
                ErrorKind::Invalid,
                "LimitRange",
            ),
            (
                403,
                r#"pods "a" is forbidden: error looking up service account a/b: serviceaccount "b" not found"#,
                ErrorKind::Auth,
                "",
            ),
            (500, "etcdserver: request timed out", ErrorKind::Transient, "again by itself"),
            (500, "etcdserver: mvcc: database space exceeded", ErrorKind::Quota, "etcd"),
            (503, "the server is currently unable to handle the request", ErrorKind::Transient, "again by itself"),
        ];
        for (code, message, kind, remedy) in cases {
            let status = serde_json::json!({ "status": "Failure", "code": code, "reason": "", "message": message });
            let source = Box::new(kube::Error::Api(serde_json::from_value(status).unwrap()));
            let failure = Failure::from(Error::Request { action: "x".into(), source });
            assert_eq!(failure.kind, kind, "{code} {message}");
            assert!(failure.remedy.contains(remedy), "{code} {message}: {}", failure.remedy);
        }
    }
}
