//! The issuer: where its pages are, and requests to it.

use std::time::Duration;

use oauth2::{AuthUrl, DeviceAuthorizationUrl, HttpRequest, HttpResponse, TokenUrl, http, url::Url};
use serde::Deserialize;

use super::Login;
use crate::{connection::read, error::Error};

/// One request to the issuer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest response.
const BYTES_MAX: usize = 256 * 1024;

/// An issuer that was asked where its pages are.
pub(super) struct Issuer {
    client: reqwest::Client,
    pub(super) authorize_url: AuthUrl,
    pub(super) token_url: TokenUrl,
    pub(super) device_url: Option<DeviceAuthorizationUrl>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Response(#[from] http::Error),
}

/// An error with its sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl Issuer {
    /// Asks an issuer where its pages are.
    pub(super) async fn discover(login: &Login) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Usage(format!("issuer {}: {problem}", login.issuer));
        let unreachable = |problem: String| Error::Unreachable { server: login.issuer.clone(), problem };
        safe(&login.issuer).map_err(wrong)?;
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
        let response = client.get(&url).send().await.map_err(|error| unreachable(chain(&error)))?;
        let bytes = bounded(response).await.map_err(|error| unreachable(chain(&error)))?;
        let found: Discovery = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("{url} is no description of an issuer: {error}")))?;
        if found.issuer != login.issuer {
            return Err(wrong(format!("{url} is of the issuer {:?}", found.issuer)));
        }
        for url in [&found.authorization_endpoint, &found.token_endpoint] {
            safe(url).map_err(wrong)?;
        }
        let device = found.device_authorization_endpoint.filter(|url| safe(url).is_ok());
        let malformed = |error: oauth2::url::ParseError| wrong(error.to_string());
        Ok(Self {
            client,
            authorize_url: AuthUrl::new(found.authorization_endpoint).map_err(malformed)?,
            token_url: TokenUrl::new(found.token_endpoint).map_err(malformed)?,
            device_url: device.map(DeviceAuthorizationUrl::new).transpose().map_err(malformed)?,
        })
    }

    /// Sends a request of the protocol.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SendError> {
        let response = self.client.execute(request.try_into()?).await?;
        let mut answer = http::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        Ok(answer.body(bounded(response).await?)?)
    }
}

async fn bounded(mut response: reqwest::Response) -> Result<Vec<u8>, SendError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// https, or this machine.
fn safe(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if local => Ok(()),
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
