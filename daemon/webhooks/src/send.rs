//! One request to a receiver, bounded in every direction.

use std::{
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use landlord_core::Timestamp;
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER},
    redirect::Policy,
};
use url::{Host, Url};

use crate::{
    address::{Allowed, Refused},
    error::Error,
    signature::{self, Secret},
};

/// CAs, as they were read.
#[derive(Debug, Clone)]
pub struct CaFile {
    /// Where.
    pub path: PathBuf,
    /// What is there, PEM.
    pub pem: Vec<u8>,
}

/// A receiver that does not accept by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of an answer, so that its connection can be used again; of a longer one the connection is closed.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Connections that are kept between requests: as many as are used at once.
const IDLE_MAX: usize = CONCURRENCY;
/// Requests to one receiver at the same moment, each for another tenant.
pub(crate) const CONCURRENCY: usize = 8;

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened, without the URL, which may hold a secret.
    pub(crate) message: String,
    /// HTTP status; `None`: none came.
    pub(crate) status: Option<u16>,
    /// How long the receiver wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: None, retry_after: None }
    }
}

/// What is asked of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) ca: Option<CaFile>,
    pub(crate) timeout: Duration,
    pub(crate) insecure: bool,
    pub(crate) allowed: Allowed,
}

/// Sends to one receiver.
#[derive(Debug)]
pub(crate) struct Sender {
    client: reqwest::Client,
    url: Url,
    allowed: Allowed,
}

impl Sender {
    /// Checks the target, and its CA.
    pub(crate) fn new(target: Target) -> Result<Self, Error> {
        check(&target)?;
        let Target { url, ca, timeout, insecure, allowed } = target;
        let mut client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!insecure)
            .http1_only()
            .pool_max_idle_per_host(IDLE_MAX)
            .dns_resolver(allowed.clone())
            .user_agent(concat!("landlordd/", env!("CARGO_PKG_VERSION")));
        if let Some(CaFile { path, pem }) = ca {
            let unusable =
                |error: reqwest::Error| Error::CaFile { path: path.display().to_string(), problem: error.to_string() };
            let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(unusable)?;
            client = client.tls_certs_only(found);
        }
        let client = client.build().map_err(Error::Client)?;
        Ok(Self { client, url, allowed })
    }

    /// Sends a body once; the HTTP status if it was taken. `now` goes into the signature; `traceparent`: the trace that it is part of.
    pub(crate) async fn send(
        &self,
        secrets: &[Secret],
        id: &str,
        now: Timestamp,
        (body, traceparent): (String, Option<String>),
    ) -> Result<u16, Failure> {
        let timestamp_secs = now.0.div_euclid(1_000);
        let signature = signature::sign(secrets, id, timestamp_secs, &body);
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_secs)
            .header("webhook-signature", signature)
            .body(body);
        if let Some(traceparent) = traceparent {
            request = request.header(landlord_trace::TRACEPARENT, traceparent);
        }
        let mut response = request.send().await.map_err(|error| Failure::new(chain(error)))?;
        // The resolver has seen to it already; a client that would connect elsewhere must not go unnoticed.
        if let Some(address) = response.remote_addr().filter(|address| !self.allowed.allows(address.ip())) {
            let refused = Refused { host: host(&self.url), addresses: address.ip().to_string() };
            tracing::error!(address = %address, "a webhook was connected to an address that is not allowed");
            return Err(Failure::new(refused.to_string()));
        }
        let status = response.status();
        if status.is_success() {
            let mut read = 0;
            // It is taken, whatever else is said.
            while let Ok(Some(chunk)) = response.chunk().await {
                read += chunk.len();
                if read > ANSWER_BYTES_MAX {
                    break;
                }
            }
            return Ok(status.as_u16());
        }
        let retry_after = retry_after(response.headers(), now);
        let remedy = match status {
            StatusCode::GONE => "; the receiver says that it is gone: remove the webhook if it is",
            status if status.is_redirection() => "; redirects are not followed: configure the address that it leads to",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                "; does the receiver know the secret?"
            }
            _ => "",
        };
        let message = format!("the receiver answered {status}{remedy}");
        Err(Failure { message, status: Some(status.as_u16()), retry_after })
    }
}

/// How long the receiver wants to be left alone (RFC 9110, 10.2.3): seconds, or until a date, which is by its clock if it shows
/// that. `now`: ours.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let ours = UNIX_EPOCH + Duration::from_millis(now.0.unsigned_abs());
    let theirs = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    Some(until.duration_since(theirs.unwrap_or(ours)).unwrap_or_default())
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// What a resolver is not asked about: addresses in the URL itself; and the scheme.
fn check(target: &Target) -> Result<(), Error> {
    let url = &target.url;
    match url.scheme() {
        "https" => {}
        "http" if target.insecure => {}
        "http" => return Err(Error::Insecure),
        other => return Err(Error::Scheme(other.to_owned())),
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(Error::Scheme(url.scheme().to_owned())),
    };
    if target.allowed.allows(address) {
        return Ok(());
    }
    Err(Error::Address(Refused { host: host(url), addresses: address.to_string() }.to_string()))
}

/// An error with its causes, without the URL.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let timeout = error.is_timeout();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    if timeout { format!("no answer in time: {text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_asks_in_seconds_or_until_a_date() {
        // 1994-11-06 08:49:37 UTC, and a minute before.
        let (date, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:48:37 GMT");
        let (at, later) = (Timestamp(784_111_777_000 - 30_000), Timestamp(784_111_777_000 + 1));
        for (asked, shown, now, expected) in [
            ("120", None, at, Some(120)),
            (date, None, at, Some(30)),
            (date, None, later, Some(0)),
            // Its clock differs from ours.
            (date, Some(before), later, Some(60)),
            (date, Some("nonsense"), at, Some(30)),
            ("soon", None, at, None),
            ("-1", None, at, None),
        ] {
            let mut headers = HeaderMap::from_iter([(RETRY_AFTER, asked.parse().unwrap())]);
            headers.extend(shown.map(|shown| (DATE, shown.parse().unwrap())));
            assert_eq!(retry_after(&headers, now).map(|wait| wait.as_secs()), expected, "{asked} {shown:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), at), None);
    }
}
