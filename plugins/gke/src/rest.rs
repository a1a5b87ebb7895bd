//! Calls of Google's REST APIs, for what the SDK's crates do not do well: all of Compute Engine,
//! and the policies of zones. Knows tokens, attempts and errors; what is requested is the caller's
//! affair.

use std::time::Duration;

use http::Method;
use landlord_provider_sdk::attempts::repeat;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    action::Action,
    error::{Error, ErrorBody, Result, ServiceError, chain, incomplete, retry_after},
    token::Tokens,
};

/// A read is repeated once when nobody responded; a change never is, the next observation decides.
const READ_ATTEMPTS: u32 = 2;
/// A throttled read is repeated so often: a sweep of a dozen lists that started again with each throttled one would make
/// more calls, and under steady throttling never end.
const THROTTLED_ATTEMPTS: u32 = 5;
/// Before the first repetition of a throttled read; doubles with each. A call lasts at most a second longer by it.
const THROTTLED_PAUSE: Duration = Duration::from_millis(60);

/// A client of one service.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    tokens: Tokens,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) action: Action,
    pub(crate) method: Method,
    /// Below the service's address.
    pub(crate) path: String,
    /// Query parameters.
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a Value>,
    /// What errors call the object.
    pub(crate) subject: &'a str,
}

impl Rest {
    /// A client of the service at `base`, or of whatever stands in for all services.
    pub(crate) fn new(http: &reqwest::Client, base: &str, endpoint: Option<&str>, tokens: &Tokens) -> Self {
        Self { http: http.clone(), base: endpoint.unwrap_or(base).to_owned(), tokens: tokens.clone() }
    }

    /// Makes a call and reads its response.
    pub(crate) async fn call<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T> {
        let read = ask.method == Method::GET;
        let (mut silent, mut throttled) = (0, 0);
        let again = |error: &Error, _| match error.service() {
            Some(e) if read && e.status == 0 && silent + 1 < READ_ATTEMPTS => {
                silent += 1;
                Some(Duration::ZERO)
            }
            Some(e) if read && is_throttled(e) && throttled + 1 < THROTTLED_ATTEMPTS => {
                throttled += 1;
                Some(THROTTLED_PAUSE * 2_u32.pow(throttled - 1))
            }
            _ => None,
        };
        repeat(|| self.once(&ask), again).await
    }

    async fn once<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T> {
        let fail = |response: ErrorBody, status: u16| response.into_error(ask.action, ask.subject.to_owned(), status);
        let silent =
            |e: reqwest::Error| fail(ErrorBody { message: chain(&e.without_url()), ..ErrorBody::default() }, 0);
        let header = self.tokens.header().await?;
        let url = reqwest::Url::parse_with_params(&format!("{}{}", self.base, ask.path), ask.query)
            .map_err(|e| fail(ErrorBody { message: chain(&e), ..ErrorBody::default() }, 400))?;
        let mut request = self.http.request(ask.method.clone(), url).header(http::header::AUTHORIZATION, header);
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(silent)?;
        let status = response.status();
        let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(retry_after);
        let body = response.bytes().await.map_err(silent)?;
        if status.is_success() {
            let unreadable = |e| incomplete(ask.action, &format!("a readable body ({e})"));
            return serde_json::from_slice(&body).map_err(unreadable);
        }
        let mut response =
            ErrorBody { retry_after: wait, message: format!("HTTP status {status}"), ..ErrorBody::default() };
        response.read_body(&body);
        Err(fail(response, status.as_u16()))
    }
}

/// Throttled, and not with a Retry-After of longer than a moment.
fn is_throttled(error: &ServiceError) -> bool {
    let reported = error.status == 429 || error.codes.iter().any(|code| code == "rateLimitExceeded");
    reported && error.retry_after.is_none_or(|wait| wait <= Duration::from_secs(1))
}
