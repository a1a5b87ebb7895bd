//! What an API server's responses, and no response at all, mean for the daemon. Nothing here repeats
//! a secret: the credentials never reach an error.

use std::{error::Error as StdError, time::Duration};

use landlord_provider_api::{ErrorKind, ProviderError};
use landlord_provider_sdk::error::{by_status, chain};

/// Longest piece of a server's own words that is passed on.
const WORDS_MAX: usize = 400;
/// The bucket that all calls are charged to.
pub(crate) const BUCKET: &str = "kubernetes/all";

/// INVALID, with its remedy.
pub(crate) fn invalid(message: impl Into<String>, remedy: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message).with_remedy(remedy)
}

/// Says what was being done when a call failed.
pub(crate) fn during(action: &str) -> impl FnOnce(kube::Error) -> ProviderError + use<'_> {
    move |error| state(action, &error)
}

fn state(action: &str, error: &kube::Error) -> ProviderError {
    if let kube::Error::Api(status) = error {
        return responded(action, status);
    }
    if let Some(problem) = tls(error) {
        return untrusted(action, problem);
    }
    if let kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) = error {
        let message = format!("{action}: the response can't be read: {}", words(&chain(error)));
        return ProviderError::new(ErrorKind::Internal, message)
            .with_remedy("check that `server` of the kubeconfig is the API server itself, not a page in front of it");
    }
    let message = format!("{action}: the API server does not respond: {}", words(&chain(error)));
    if kept_in(error) {
        return ProviderError::new(ErrorKind::Invalid, message).with_remedy(
            "name the port of `server` in providers.NAME.sandbox.connect_ports: this process may connect to no other",
        );
    }
    ProviderError::new(ErrorKind::Transient, message)
        .with_remedy("check that `server` of the kubeconfig can be reached from the daemon's machine")
}

fn responded(action: &str, status: &kube::core::Status) -> ProviderError {
    let (kind, remedy) = match status.code {
        401 => (
            ErrorKind::Auth,
            "the API server does not know the kubeconfig's user: renew its token or client certificate",
        ),
        403 => (ErrorKind::Auth, "give the kubeconfig's user this right in the cluster (see the plugin's README)"),
        410 => (ErrorKind::Transient, ""),
        404 => (ErrorKind::Invalid, "check that `server` of the kubeconfig is a Kubernetes API server"),
        other => (by_status(other), ""),
    };
    let message = format!("{action}: the API server returns {}: {}", status.code, words(&status.message));
    let mut error = ProviderError::new(kind, message).with_code(&status.reason).with_remedy(remedy);
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if seconds > 0 {
        error = error.with_retry_after(Duration::from_secs(seconds.into()));
    }
    if kind == ErrorKind::Throttled { error.with_bucket(BUCKET) } else { error }
}

/// The other end is not who the kubeconfig says, or does not take us for who we say.
fn untrusted(action: &str, problem: &rustls::Error) -> ProviderError {
    use rustls::{CertificateError, Error};
    let (kind, remedy) = match problem {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => (
            ErrorKind::Invalid,
            "put the authority that signed the API server's certificate into certificate-authority-data, or find out who \
             responds in its place",
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (ErrorKind::Invalid, "use a host name in `server` that the API server's certificate is made for"),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            (ErrorKind::Transient, "renew the API server's certificate")
        }
        Error::InvalidCertificate(_) => (ErrorKind::Invalid, "renew the API server's certificate"),
        Error::AlertReceived(_) => {
            (ErrorKind::Auth, "the API server refuses the client certificate of the kubeconfig: renew it")
        }
        _ => (ErrorKind::Transient, "check that `server` of the kubeconfig speaks TLS"),
    };
    let message = format!("{action}: no trusted connection to the API server: {}", words(&problem.to_string()));
    ProviderError::new(kind, message).with_remedy(remedy)
}

/// The TLS error among the causes.
fn tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    cause(error, &|error| error.downcast_ref::<rustls::Error>())
}

/// Whether it is the process's sandbox that refused the connection. Of a connection nothing else returns it.
fn kept_in(error: &(dyn StdError + 'static)) -> bool {
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    cause(error, &|error| error.downcast_ref().filter(|error| refused(error))).is_some()
}

/// The first in a chain of causes that `wanted` knows. An `io::Error` does not count what it wraps among its sources.
fn cause<'a, T>(
    error: &'a (dyn StdError + 'static),
    wanted: &impl Fn(&'a (dyn StdError + 'static)) -> Option<&'a T>,
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = wanted(error) {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(wrapped) = wrapped {
            return cause(wrapped, wanted);
        }
        next = error.source();
    }
    None
}

fn words(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, retry_after_seconds: u32) -> kube::Error {
        let json = serde_json::json!({
            "kind": "Status", "code": code, "message": "m".repeat(1_000), "reason": "Because",
            "details": { "retryAfterSeconds": retry_after_seconds },
        });
        kube::Error::Api(Box::new(serde_json::from_value(json).unwrap()))
    }

    #[test]
    fn responses_have_a_kind_and_few_words() {
        let cases = [
            (401, ErrorKind::Auth),
            (403, ErrorKind::Auth),
            (404, ErrorKind::Invalid),
            (409, ErrorKind::Conflict),
            (410, ErrorKind::Transient),
            (422, ErrorKind::Invalid),
            (429, ErrorKind::Throttled),
            (503, ErrorKind::Transient),
        ];
        for (code, kind) in cases {
            let error = during("looking")(status(code, 7));
            assert_eq!(error.kind, kind, "{code}");
            assert!(error.message.starts_with("looking") && error.message.len() < 2 * WORDS_MAX);
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
            assert_eq!(error.bucket.is_empty(), kind != ErrorKind::Throttled);
        }
    }

    #[test]
    fn a_tls_error_is_found_inside_of_io_errors() {
        let inner = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = std::io::Error::other(std::io::Error::new(std::io::ErrorKind::InvalidData, inner));
        let error = during("looking")(kube::Error::Service(Box::new(wrapped)));
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.remedy.contains("certificate-authority-data"), "{error:?}");
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(during("looking")(kube::Error::Service(Box::new(refused))).kind, ErrorKind::Transient);
    }
}
