//! The issuer: where its pages are, and requests to it (RFC 6749, 7636, 8628).

use std::{fmt, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use super::options::{Login, Tokens, refused};
use crate::{
    error::{Error, chain},
    user_files::read,
};

/// One request to the issuer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest response.
const BYTES_MAX: usize = 256 * 1024;

/// An issuer whose discovery document was fetched.
pub(super) struct Issuer {
    name: String,
    client: reqwest::Client,
    authorize: Url,
    token: Url,
    device: Option<Url>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

/// Where somebody logs in on another device.
#[derive(Deserialize)]
pub(super) struct Device {
    pub(super) device_code: String,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    /// Seconds between two questions.
    pub(super) interval: Option<u64>,
}

/// Why it gives nothing.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    /// Word for machines.
    pub(super) error: String,
    error_description: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error_description.as_ref().unwrap_or(&self.error))
    }
}

impl Issuer {
    /// Fetches an issuer's discovery document.
    pub(super) async fn discover(login: &Login) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Usage(format!("issuer {}: {problem}", login.issuer));
        let parsed = safe(&login.issuer).map_err(wrong)?;
        let mut client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("landlord/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &login.ca_file {
            let certificates = reqwest::Certificate::from_pem_bundle(&read("--issuer-ca-file", path)?);
            client = client.tls_certs_only(certificates.map_err(|error| wrong(chain(&error)))?);
        }
        let client = client.build().map_err(|error| wrong(chain(&error)))?;
        let url = format!("{}/.well-known/openid-configuration", login.issuer.trim_end_matches('/'));
        let mut issuer =
            Self { name: login.issuer.clone(), client, authorize: parsed.clone(), token: parsed, device: None };
        let (_, bytes) = issuer.response(issuer.client.get(&url)).await?;
        let found: Discovery = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("{url} is no description of an issuer: {error}")))?;
        if found.issuer != login.issuer {
            return Err(wrong(format!("{url} is of the issuer {:?}", found.issuer)));
        }
        issuer.authorize = safe(&found.authorization_endpoint).map_err(wrong)?;
        issuer.token = safe(&found.token_endpoint).map_err(wrong)?;
        issuer.device = found.device_authorization_endpoint.and_then(|url| safe(&url).ok());
        Ok(issuer)
    }

    /// The page on which somebody logs in.
    pub(super) fn authorize_url(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.authorize.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    /// Requests tokens.
    pub(super) async fn tokens(&self, form: &[(&str, &str)]) -> Result<Result<Tokens, Refusal>, Error> {
        self.post(self.token.clone(), form).await
    }

    /// Queries the issuer's page where somebody can log in on another device.
    pub(super) async fn device(&self, form: &[(&str, &str)]) -> Result<Device, Error> {
        let url = self.device.clone().ok_or_else(|| refused("it has no login for devices; log in without --device"))?;
        self.post(url, form).await?.map_err(refused)
    }

    async fn post<T: DeserializeOwned>(&self, url: Url, form: &[(&str, &str)]) -> Result<Result<T, Refusal>, Error> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(url).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (is_success, bytes) = self.response(request).await?;
        // What the issuer returns holds secrets, and is not repeated.
        let strange = || self.unreachable("its response is none of OAuth 2.0".into());
        if is_success {
            serde_json::from_slice(&bytes).map(Ok).map_err(|_| strange())
        } else {
            serde_json::from_slice(&bytes).map(Err).map_err(|_| strange())
        }
    }

    /// Whether a request was successful, and the response's body.
    async fn response(&self, request: reqwest::RequestBuilder) -> Result<(bool, Vec<u8>), Error> {
        let failed = |error: reqwest::Error| self.unreachable(chain(&error));
        let mut response = request.send().await.map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > BYTES_MAX {
                return Err(self.unreachable(format!("its response is larger than {BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((response.status().is_success(), bytes))
    }

    fn unreachable(&self, problem: String) -> Error {
        Error::IssuerUnreachable { issuer: self.name.clone(), problem }
    }
}

/// https, or this machine.
fn safe(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match parsed.scheme() {
        "https" => Ok(parsed),
        "http" if local => Ok(parsed),
        _ => Err(format!("{url} must be https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_sent_over_tls() {
        for fine in ["https://login.example.com/realm", "http://127.0.0.1:8080", "http://[::1]:8080/x"] {
            safe(fine).unwrap();
        }
        for bad in ["http://login.example.com", "http://127.0.0.1.evil.example", "login.example.com", "file:///x", ""] {
            assert!(safe(bad).is_err(), "{bad}");
        }
    }
}
