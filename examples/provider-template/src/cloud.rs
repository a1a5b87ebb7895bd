//! The client of Nimbus. Knows its paths, its objects and its errors, and nothing of tenants.

use std::{collections::BTreeMap, time::Duration};

use landlord_provider_api::{ErrorKind, ProviderError};
use landlord_provider_sdk::error::{by_status, chain, retry_after};
use reqwest::{Method, header::RETRY_AFTER};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Well within the daemon's deadline for a call, which may make two of these.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The one limit of Nimbus's API, as `describe` names it.
pub(crate) const BUCKET: &str = "nimbus/api";

pub(crate) type Result<T> = std::result::Result<T, ProviderError>;

/// An object as Nimbus shows it; `state` is `CREATING`, `READY` or `DELETING`, and, of the API with ids, `FAILED` (with
/// `code` and `message` of its `failure`) or `GONE`.
#[derive(Deserialize)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) collection: String,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) spec: Value,
    pub(crate) state: String,
    pub(crate) failure: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) items: Vec<Object>,
    pub(crate) next: String,
}

/// One project with one credential.
pub(crate) struct Cloud {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Cloud {
    pub(crate) fn new(project: &str, token: String) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
        let http = http.map_err(|error| ProviderError::new(ErrorKind::Internal, format!("no HTTP client: {error}")))?;
        Ok(Self { http, base: project.to_owned(), token })
    }

    pub(crate) async fn list(&self, labels: &[(&str, &str)], page: &str) -> Result<Page> {
        let pairs = labels.iter().map(|(key, value)| ("label", format!("{key}={value}")));
        let pairs = pairs.chain([("page", page.to_owned())]);
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.call(Method::GET, &format!("objects?{query}"), None).await
    }

    /// One attempt: the daemon repeats, since it alone sees all tenants of the account. What is absent is no
    /// error for a caller that takes an `Option`.
    pub(crate) async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T> {
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let failed = |kind, why: String| ProviderError::new(kind, format!("{what}: {why}"));
        let unanswered = |error: reqwest::Error| failed(ErrorKind::Transient, chain(&error.without_url()));
        let request = self.http.request(method.clone(), format!("{}/{path}", self.base)).bearer_auth(&self.token);
        // Where Nimbus wants no body it ignores one.
        let response = request.json(&body).send().await.map_err(unanswered)?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let text = response.text().await.map_err(unanswered)?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|error| failed(ErrorKind::Internal, error.to_string()));
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let (code, message) = (problem["code"].as_str().unwrap_or_default(), problem["message"].as_str());
        if code == "not_found"
            && let Ok(none) = serde_json::from_str("null")
        {
            return Ok(none);
        }
        let (kind, remedy) = kind_of(status.as_u16(), code);
        let mut error = failed(kind, message.unwrap_or(status.as_str()).to_owned()).with_code(code).with_remedy(remedy);
        error.retry_after = wait;
        Err(if kind == ErrorKind::Throttled { error.with_bucket(BUCKET) } else { error })
    }
}

/// The most consequential lines of a provider: which error is repeated, and which fails the stage with what remedy.
pub(crate) fn kind_of(status: u16, code: &str) -> (ErrorKind, &'static str) {
    match (status, code) {
        (403, "quota") => {
            (ErrorKind::Quota, "ask Nimbus to raise the project's quota that the message names; then retry")
        }
        (401 | 403, _) => (ErrorKind::Auth, "give the credential a token of this project with the role editor"),
        (409, "exists") => (ErrorKind::NameTaken, "find out who made this object, and remove or rename it; then retry"),
        (503, "no_capacity") => (ErrorKind::Capacity, "wait, or choose another machine size or region"),
        (400 | 422, _) => (ErrorKind::Invalid, "correct the class's parameters"),
        (other, _) => (by_status(other), ""),
    }
}
