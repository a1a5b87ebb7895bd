//! The check of `endpoint_override`. Requests carry credentials, so it must be TLS or stay on this machine.

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use url::{Host, Url};

/// Whether an override may have a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The cloud's paths follow its own.
    Allowed,
    /// The cloud's paths begin at the root.
    Refused,
}

/// The override of a request; `None` without one.
///
/// # Errors
/// INVALID for anything but `https`, or `http` with a loopback address.
pub fn check(request: &v1::ConfigureRequest, path: Path) -> Result<Option<Url>, ProviderError> {
    let text = request.endpoint_override.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let remedy = match path {
        Path::Allowed => "use an https URL, or http with a loopback address",
        Path::Refused => "use an https URL without a path, or http with a loopback address",
    };
    let invalid = |why: &str| {
        ProviderError::new(ErrorKind::Invalid, format!("endpoint_override {text:?} {why}")).with_remedy(remedy)
    };
    let url: Url = text.parse().map_err(|_| invalid("is not a URL"))?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if path == Path::Refused && (url.path() != "/" || url.query().is_some()) {
        return Err(invalid("has a path"));
    }
    match url.scheme() {
        "https" => Ok(Some(url)),
        "http" if is_loopback => Ok(Some(url)),
        "http" => Err(invalid("is not encrypted and not on this machine")),
        _ => Err(invalid("is neither http nor https")),
    }
}

/// A URL without its last slash, for clients that append paths to a text.
#[must_use]
pub fn base(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Path, base, check};
    use landlord_provider_api::v1::ConfigureRequest;

    #[test]
    fn plain_http_is_for_loopback_only() {
        let checked = |text: &str, path| {
            check(&ConfigureRequest { endpoint_override: text.to_owned(), ..ConfigureRequest::default() }, path)
        };
        assert_eq!(checked("", Path::Allowed).expect("none"), None);
        for path in [Path::Allowed, Path::Refused] {
            let url = checked("http://127.0.0.1:4566/", path).expect("loopback").expect("an override");
            assert_eq!(base(&url), "http://127.0.0.1:4566");
            assert!(checked("https://cloud.internal", path).is_ok());
            for bad in ["http://cloud.internal", "ftp://127.0.0.1", "nonsense"] {
                assert!(checked(bad, path).is_err(), "{bad}");
            }
        }
        assert!(checked("https://cloud.internal/path", Path::Allowed).is_ok());
        assert!(checked("https://cloud.internal/path", Path::Refused).is_err());
    }
}
