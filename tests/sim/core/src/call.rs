//! A request as the services see it, and what they respond. Protocol-neutral: parsing and encoding are the clouds' own.

use crate::{clock::Micros, http::Raw, object::Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Form or query parameters, flat, as the query protocol sends them.
#[derive(Debug, Clone, Default)]
pub struct Params(pub BTreeMap<String, String>);

impl Params {
    /// From `a=b&c=d`.
    #[must_use]
    pub fn parse(encoded: &str) -> Self {
        Self(url::form_urlencoded::parse(encoded.as_bytes()).into_owned().collect())
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The value of `key`, empty if absent.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// The structures `prefix.1.*`, `prefix.2.*`, …; the empty key holds a bare `prefix.N`.
    #[must_use]
    pub fn items(&self, prefix: &str) -> Vec<Self> {
        let mut items: BTreeMap<u32, Self> = BTreeMap::new();
        let start = format!("{prefix}.");
        for (key, value) in self.0.range(start.clone()..) {
            let Some(rest) = key.strip_prefix(&start) else {
                break;
            };
            let (index, field) = rest.split_once('.').unwrap_or((rest, ""));
            if let Ok(index) = index.parse() {
                items.entry(index).or_default().0.insert(field.to_owned(), value.clone());
            }
        }
        items.into_values().collect()
    }

    /// The scalars `prefix.1`, `prefix.2`, ….
    #[must_use]
    pub fn values(&self, prefix: &str) -> Vec<String> {
        self.items(prefix).iter().filter_map(|i| i.get("").map(str::to_owned)).collect()
    }

    /// Tags given as `prefix.N.Key` and `prefix.N.Value`.
    #[must_use]
    pub fn tags(&self, prefix: &str) -> Tags {
        self.items(prefix).iter().map(|t| (t.text("Key").to_owned(), t.text("Value").to_owned())).collect()
    }
}

/// Who calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Caller {
    /// Their account.
    pub account: String,
    /// `arn:aws:iam::…:user/…` or `arn:aws:sts::…:assumed-role/…`.
    pub arn: String,
    /// As GetCallerIdentity gives it.
    pub user_id: String,
    /// The access key that signed.
    pub access_key: String,
    /// What the request showed, as its cloud shows it: an access key's id, a bearer token.
    pub credential: String,
}

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The signing name of the service.
    pub service: String,
    /// The operation.
    pub action: String,
    /// The Region of the credential scope; `global` for IAM and Route 53.
    pub region: String,
    /// Who calls.
    pub caller: Caller,
    /// Unique id given back to the caller.
    pub request_id: String,
    /// HTTP method.
    pub method: String,
    /// Decoded path segments.
    pub path: Vec<String>,
    /// Path variables in the order of the route.
    pub vars: Vec<String>,
    /// The query string, and for the query protocol the form as well.
    pub params: Params,
    /// The query string as sent, for keys that repeat.
    pub query: String,
    /// The body if it is JSON.
    pub json: Value,
    /// The body as text.
    pub body: String,
    /// `X-Amz-Target`.
    pub target: String,
    /// Headers by lower-case name, where the protocol inspects more than the signature.
    pub headers: BTreeMap<String, String>,
}

impl Call {
    /// What a request shows in every cloud's protocol. Which operation it is, and who calls, is yet to be read.
    #[must_use]
    pub fn of(request_id: String, raw: &Raw) -> Self {
        Self {
            request_id,
            method: raw.method.clone(),
            path: raw.path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect(),
            params: Params::parse(&raw.query),
            query: raw.query.clone(),
            body: String::from_utf8_lossy(&raw.body).into_owned(),
            ..Self::default()
        }
    }

    /// Path variable `index`.
    #[must_use]
    pub fn var(&self, index: usize) -> &str {
        self.vars.get(index).map_or("", String::as_str)
    }

    /// The idempotency token, whatever the service calls it.
    #[must_use]
    pub fn client_token(&self) -> Option<String> {
        let json = ["clientRequestToken", "ClientToken"].iter().find_map(|k| self.json.get(*k)?.as_str());
        let form = ["ClientRequestToken", "ClientToken", "requestId"].iter().find_map(|k| self.params.get(k));
        json.or(form).map(str::to_owned)
    }

    /// A JSON text field, empty if absent.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.json.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A segment of a path, where a plus sign is itself.
fn decoded(segment: &str) -> String {
    let pair = format!("x={}", segment.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A successful response.
#[derive(Debug)]
pub enum Reply {
    /// JSON with a status.
    Json(u16, Value),
    /// The inner part of a query-protocol result.
    Query(String),
    /// A whole XML document with status and extra headers.
    Xml(u16, String, Vec<(&'static str, String)>),
    /// JSON with status and extra headers; `null` is an empty body.
    Headed(u16, Value, Vec<(&'static str, String)>),
}

/// An error as the service words it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The error code.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
    /// Further fields of the JSON shape.
    pub fields: Box<serde_json::Map<String, Value>>,
}

impl ApiError {
    /// An error with status 400.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status: 400, message: message.into(), fields: Box::default() }
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a further JSON field.
    #[must_use]
    pub fn field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }
}

/// What a services' handler gives back.
pub type Result<T = Reply> = std::result::Result<T, ApiError>;

/// The instant before which an object must have been made to be visible, for eventually consistent reads.
pub type Horizon = Option<Micros>;
