//! Signed calls of AWS's query protocol and of JSON 1.1, for the few calls of EC2, the classic load
//! balancers and CloudWatch Logs that the plugin needs. The SDK of EC2 alone would take minutes and gigabytes to
//! compile. Knows signing, paging and errors; what is requested is the caller's affair.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use landlord_provider_sdk::attempts::repeat;

use serde_json::Value;

use crate::{
    action::Action,
    error::{self, Error, Result, ServiceError},
    xml::Element,
};

/// As the SDK's clients are set: one repetition inside the plugin, all others by the daemon.
const ATTEMPTS: u32 = 2;
/// Before the repetition: enough for a token or two of EC2's bucket.
const PAUSE: Duration = Duration::from_millis(250);
/// Version of the EC2 API.
pub(crate) const EC2: &str = "2016-11-15";
/// Version of the API of classic load balancers.
pub(crate) const CLASSIC_BALANCERS: &str = "2012-06-01";
/// Pages of one listing; past it the listing is broken, not long.
const PAGES_MAX: usize = 200;

/// Parameters of a call.
pub(crate) type Params = Vec<(String, String)>;

/// A client for one Region.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) http: reqwest::Client,
    pub(crate) credentials: SharedCredentialsProvider,
    pub(crate) region: String,
    pub(crate) suffix: &'static str,
    pub(crate) endpoint: Option<String>,
}

/// The wait before a repetition; `None`: there is none.
fn again(error: &Error, made: u32) -> Option<Duration> {
    let is_worth_it = error.service().is_some_and(is_worth_repeating);
    (made < ATTEMPTS && is_worth_it).then_some(PAUSE)
}

impl Query {
    /// Makes a call and gives the response's root element.
    pub(crate) async fn call(&self, action: Action, version: &str, subject: &str, params: &Params) -> Result<Element> {
        repeat(|| self.once(action, version, subject, params), again).await
    }

    /// A Describe call of EC2 with filters, all pages: the items of `set`.
    pub(crate) async fn describe(
        &self,
        action: Action,
        set: &str,
        filters: &[(&str, &[String])],
    ) -> Result<Vec<Element>> {
        let mut base = Params::new();
        for (i, (name, values)) in filters.iter().enumerate() {
            base.push((format!("Filter.{}.Name", i + 1), (*name).to_owned()));
            for (j, value) in values.iter().enumerate() {
                base.push((format!("Filter.{}.Value.{}", i + 1, j + 1), value.clone()));
            }
        }
        let mut found = Vec::new();
        let mut params = base.clone();
        for _ in 0..PAGES_MAX {
            let response = self.call(action, EC2, &subject_of(filters), &params).await?;
            found.extend(response.children(set).flat_map(|s| s.children("item")).cloned());
            let next = response.text("nextToken");
            if next.is_empty() {
                return Ok(found);
            }
            params.clone_from(&base);
            params.push(("NextToken".to_owned(), next.to_owned()));
        }
        Err(error::incomplete(action, "a last page"))
    }

    /// A call of a service that speaks JSON 1.1; `target` is its name and version in the header of that name.
    pub(crate) async fn json(&self, action: Action, target: &str, subject: &str, body: &Value) -> Result<Value> {
        let target = format!("{target}.{}", action.name);
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let once = || async {
            let (failure, text) = self.send(action, subject, body.to_string(), &headers).await?;
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            let Some(failure) = failure else { return Ok(document) };
            let part = |keys: [&str; 2]| keys.iter().find_map(|key| document[*key].as_str()).unwrap_or_default();
            let code = part(["__type", "code"]).rsplit('#').next().unwrap_or_default().to_owned();
            Err(with_words(failure, code, part(["message", "Message"])))
        };
        repeat(once, again).await
    }

    async fn once(&self, action: Action, version: &str, subject: &str, params: &Params) -> Result<Element> {
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let (failure, text) = self.send(action, subject, encode(action.name, version, params), &headers).await?;
        let root = Element::parse(&text);
        let Some(failure) = failure else {
            return root.ok_or_else(|| error::incomplete(action, "well-formed XML"));
        };
        let detail = root.as_ref().and_then(|r| r.find("Error"));
        let part = |name: &str| detail.map_or("", |d| d.text(name));
        Err(with_words(failure, part("Code").to_owned(), part("Message")))
    }

    /// Sends a signed request: what is known of the failure, if it is one, and the body.
    async fn send(
        &self,
        action: Action,
        subject: &str,
        body: String,
        headers: &[(&str, &str)],
    ) -> Result<(Option<Box<ServiceError>>, String)> {
        let failure = |code: &str, message: String, status: u16| {
            let (subject, code) = (subject.to_owned(), code.to_owned());
            Box::new(ServiceError { action, subject, code, message, status, retry_after: None })
        };
        let fail = |code: &str, message: String, status: u16| Error::Service(failure(code, message, status));
        let credentials = self
            .credentials
            .provide_credentials()
            .await
            .map_err(|e| fail("CredentialsUnavailable", error::chain(&e), 0))?;
        let request = self.signed(action, body, headers, credentials).map_err(|e| fail("", e, 400))?;
        let response = self.http.execute(request).await.map_err(|e| fail("", error::chain(&e), 0))?;
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
        let retry_after = wait.and_then(error::retry_after);
        let text = response.text().await.map_err(|e| fail("", error::chain(&e), 0))?;
        if (200..300).contains(&status) {
            return Ok((None, text));
        }
        let failed = ServiceError { retry_after, ..*failure("", format!("HTTP status {status}"), status) };
        Ok((Some(Box::new(failed)), text))
    }

    fn signed(
        &self,
        action: Action,
        body: String,
        headers: &[(&str, &str)],
        credentials: aws_credential_types::Credentials,
    ) -> std::result::Result<reqwest::Request, String> {
        let reported = |e: &(dyn std::error::Error + 'static)| error::chain(e);
        let service = action.service;
        let url = match &self.endpoint {
            Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
            None => format!("https://{service}.{}.{}/", self.region, self.suffix),
        };
        let url: url::Url = url.parse().map_err(|e: url::ParseError| reported(&e))?;
        let host = host_header(&url);
        let identity = credentials.into();
        let signing = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| reported(&e))?
            .into();
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            headers.iter().copied().chain([("host", host.as_str())]),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(|e| reported(&e))?;
        let (instructions, _) = sign(signable, &signing).map_err(|e| reported(&e))?.into_parts();
        let mut request = self.http.post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        request.body(body).build().map_err(|e| reported(&e))
    }
}

/// A failure with the code and words of its response, if that has any.
fn with_words(mut failure: Box<ServiceError>, code: String, message: &str) -> Error {
    failure.code = code;
    if !message.is_empty() {
        message.clone_into(&mut failure.message);
    }
    Error::Service(failure)
}

/// The Host header as an HTTP/1.1 client sends it: the port only if it is not the scheme's own.
fn host_header(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn subject_of(filters: &[(&str, &[String])]) -> String {
    filters.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect::<Vec<_>>().join(" ")
}

fn is_worth_repeating(error: &ServiceError) -> bool {
    let throttled = matches!(error.code.as_str(), "RequestLimitExceeded" | "Throttling" | "ThrottlingException");
    throttled || matches!(error.status, 0 | 500..=599)
}

fn encode(action: &str, version: &str, params: &Params) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", version)
        .extend_pairs(params)
        .finish()
}

/// `Prefix.1`, `Prefix.2`, …
pub(crate) fn list(prefix: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Params {
    values.into_iter().enumerate().map(|(i, v)| (format!("{prefix}.{}", i + 1), v.into())).collect()
}
