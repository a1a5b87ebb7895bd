//! Signed calls of AWS's query protocol, for the few calls of EC2 and of the classic load
//! balancers that the plugin needs. The SDK of EC2 alone would take minutes and gigabytes to
//! compile. Knows signing, paging and errors; what is asked is the caller's affair.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use landlord_provider_sdk::attempts::repeat;

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

impl Query {
    /// Makes a call and gives the answer's root element.
    pub(crate) async fn call(&self, action: Action, version: &str, subject: &str, params: &Params) -> Result<Element> {
        let again = |error: &Error, made| {
            let is_worth_it = error.service().is_some_and(is_worth_repeating);
            (made < ATTEMPTS && is_worth_it).then_some(PAUSE)
        };
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
            let answer = self.call(action, EC2, &subject_of(filters), &params).await?;
            found.extend(answer.children(set).flat_map(|s| s.children("item")).cloned());
            let next = answer.text("nextToken");
            if next.is_empty() {
                return Ok(found);
            }
            params.clone_from(&base);
            params.push(("NextToken".to_owned(), next.to_owned()));
        }
        Err(error::incomplete(action, "a last page"))
    }

    async fn once(&self, action: Action, version: &str, subject: &str, params: &Params) -> Result<Element> {
        let fail = |code: &str, message: String, status: u16| {
            Error::Service(Box::new(ServiceError {
                action,
                subject: subject.to_owned(),
                code: code.to_owned(),
                message,
                status,
                retry_after: None,
            }))
        };
        let body = encode(action.name, version, params);
        let credentials = self
            .credentials
            .provide_credentials()
            .await
            .map_err(|e| fail("CredentialsUnavailable", error::chain(&e), 0))?;
        let request = self.signed(action, body, credentials).map_err(|e| fail("", e, 400))?;
        let response = self.http.execute(request).await.map_err(|e| fail("", error::chain(&e), 0))?;
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
        let retry_after = wait.and_then(error::retry_after);
        let text = response.text().await.map_err(|e| fail("", error::chain(&e), 0))?;
        let root = Element::parse(&text);
        if (200..300).contains(&status) {
            return root.ok_or_else(|| error::incomplete(action, "well-formed XML"));
        }
        let detail = root.as_ref().and_then(|r| r.find("Error"));
        let code = detail.map_or("", |d| d.text("Code"));
        let message = detail.map_or_else(|| format!("HTTP status {status}"), |d| d.text("Message").to_owned());
        Err(match fail(code, message, status) {
            Error::Service(e) => Error::Service(Box::new(ServiceError { retry_after, ..*e })),
            other => other,
        })
    }

    fn signed(
        &self,
        action: Action,
        body: String,
        credentials: aws_credential_types::Credentials,
    ) -> std::result::Result<reqwest::Request, String> {
        let said = |e: &(dyn std::error::Error + 'static)| error::chain(e);
        let service = action.service;
        let url = match &self.endpoint {
            Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
            None => format!("https://{service}.{}.{}/", self.region, self.suffix),
        };
        let url: url::Url = url.parse().map_err(|e: url::ParseError| said(&e))?;
        let host = host_header(&url);
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        let identity = credentials.into();
        let signing = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| said(&e))?
            .into();
        let signable = SignableRequest::new(
            "POST",
            url.as_str(),
            [("host", host.as_str()), ("content-type", content_type)].into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(|e| said(&e))?;
        let (instructions, _) = sign(signable, &signing).map_err(|e| said(&e))?.into_parts();
        let mut request = self.http.post(url).header("content-type", content_type);
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        request.body(body).build().map_err(|e| said(&e))
    }
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
