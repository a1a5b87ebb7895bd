//! The client of Azure Resource Manager: one call is one request, at most one repetition, a
//! typed response. It knows paths, conditions, errors, paging, and which hosts may see a token;
//! what is requested is the caller's affair.

use std::{fmt, sync::Arc, time::Duration};

use azure_core::{
    credentials::{AccessToken, TokenCredential},
    http::{
        Context, Method, Pipeline, PipelineSendOptions, RawResponse, Request, Url,
        headers::{CONTENT_TYPE, HeaderName},
        policies::{Policy, auth::BearerTokenAuthorizationPolicy},
    },
};
use landlord_provider_sdk::{attempts::repeat, error::RETRY_AFTER_MAX};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    api::{Kind, Verb},
    error::{self, Error, ErrorBody, Result, ServiceError},
    object::{Object, prune},
};

/// Repetitions beyond this are the daemon's, which sees all tenants of the subscription.
const ATTEMPTS: u32 = 2;
/// Attempts of a read that is throttled for a moment: a sweep of a dozen lists that started again with each throttled one
/// would make more calls, and under steady throttling never end.
const THROTTLED_READ_ATTEMPTS: u32 = 5;
/// Before the repetition: enough for a broken connection to be recreated.
const PAUSE: Duration = Duration::from_millis(250);
/// Throttled for no longer than this, a call is repeated here: a stage makes several calls, and
/// with half of them refused it would hardly ever get through. A longer wait is the daemon's.
const THROTTLED_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pages of one listing; past it the listing is broken, not long.
const PAGES_MAX: usize = 100;

/// The client of one credential scope.
pub(crate) struct Arm {
    base: Url,
    /// Origin of a simulator, whose own links may name it.
    simulator: Option<Url>,
    pipeline: Pipeline,
    credential: Arc<dyn TokenCredential>,
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum If<'a> {
    /// Nothing: an observation came before.
    Always,
    /// There is no such object (`If-None-Match: *`).
    Absent,
    /// The object is as it was read (`If-Match`).
    Unchanged(&'a str),
}

/// A response.
#[derive(Debug)]
pub(crate) struct ArmResponse {
    /// HTTP status, a success.
    pub(crate) status: u16,
    /// `Azure-AsyncOperation` or `Location`, as it came.
    pub(crate) operation: Option<String>,
    /// `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// Body without nulls; `Null` if there was none.
    pub(crate) document: Value,
}

impl ArmResponse {
    /// The object in it.
    pub(crate) fn object<P: DeserializeOwned + Default>(self, kind: &Kind) -> Result<Object<P>> {
        Object::read(self.document).map_err(|e| error::incomplete(kind, &format!("a readable form: {e}")))
    }
}

struct Call<'a> {
    kind: &'static Kind,
    verb: Verb,
    url: &'a Url,
    subject: &'a str,
    body: Option<&'a Value>,
    condition: If<'a>,
}

impl Arm {
    /// Builds the client. Makes no outside call.
    pub(crate) fn new(
        base: Url,
        simulator: Option<Url>,
        credential: Arc<dyn TokenCredential>,
        options: azure_core::http::ClientOptions,
    ) -> Self {
        let scope = format!("{}.default", base.as_str());
        let auth: Arc<dyn Policy> = Arc::new(BearerTokenAuthorizationPolicy::new(Arc::clone(&credential), [scope]));
        let pipeline = Pipeline::new(
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
            options,
            Vec::new(),
            vec![auth],
            None,
        );
        Self { base, simulator, pipeline, credential }
    }

    /// A token for something else than ARM.
    pub(crate) async fn token(&self, scope: &str) -> Result<AccessToken> {
        let failed = |e: &azure_core::Error| no_response(&crate::api::CLUSTER, Verb::Read, "an access token", e);
        self.credential.get_token(&[scope], None).await.map_err(|e| failed(&e))
    }

    /// Inspects an object; `None` if it does not exist.
    pub(crate) async fn get<P: DeserializeOwned + Default>(
        &self,
        kind: &'static Kind,
        id: &str,
    ) -> Result<Option<Object<P>>> {
        let url = self.url(kind, id);
        match self
            .call(Call { kind, verb: Verb::Read, url: &url, subject: id, body: None, condition: If::Always })
            .await
        {
            Ok(response) => response.object(kind).map(Some),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object as a whole.
    pub(crate) async fn put(
        &self,
        kind: &'static Kind,
        id: &str,
        body: &Value,
        condition: If<'_>,
    ) -> Result<ArmResponse> {
        let url = self.url(kind, id);
        self.call(Call { kind, verb: Verb::Write, url: &url, subject: id, body: Some(body), condition }).await
    }

    /// Requests the deletion of an object; `None` if it does not exist.
    pub(crate) async fn delete(&self, kind: &'static Kind, id: &str) -> Result<Option<ArmResponse>> {
        let url = self.url(kind, id);
        let call = Call { kind, verb: Verb::Delete, url: &url, subject: id, body: None, condition: If::Always };
        match self.call(call).await {
            // 204: there was nothing to delete.
            Ok(response) => Ok((response.status != 204).then_some(response)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The type's POST action.
    pub(crate) async fn act(&self, kind: &'static Kind, id: &str) -> Result<Value> {
        let url = self.url(kind, &format!("{id}/{}", kind.action));
        let call = Call { kind, verb: Verb::Act, url: &url, subject: id, body: None, condition: If::Always };
        Ok(self.call(call).await?.document)
    }

    /// All pages of a listing; empty if what holds the list does not exist.
    pub(crate) async fn list<P: DeserializeOwned + Default>(
        &self,
        kind: &'static Kind,
        path: &str,
        filter: Option<&str>,
    ) -> Result<Vec<Object<P>>> {
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            let (page, next) = self.page(kind, path, filter, &token).await?;
            found.extend(page);
            if next.is_empty() {
                return Ok(found);
            }
            token = next;
        }
        Err(error::incomplete(kind, "a last page"))
    }

    /// One page of a listing, and the token of the next one; empty at the end. Of the link to
    /// the next page only its token is taken, so that no foreign URL is ever followed.
    pub(crate) async fn page<P: DeserializeOwned + Default>(
        &self,
        kind: &'static Kind,
        path: &str,
        filter: Option<&str>,
        token: &str,
    ) -> Result<(Vec<Object<P>>, String)> {
        let mut url = self.url(kind, path);
        if let Some(filter) = filter {
            url.query_pairs_mut().append_pair("$filter", filter);
        }
        if !token.is_empty() {
            url.query_pairs_mut().append_pair("$skiptoken", token);
        }
        let call = Call { kind, verb: Verb::Read, url: &url, subject: path, body: None, condition: If::Always };
        let document = match self.call(call).await {
            Ok(response) => response.document,
            Err(error) if error.is_absent() => return Ok((Vec::new(), String::new())),
            Err(error) => return Err(error),
        };
        let mut objects = Vec::new();
        for item in document["value"].as_array().into_iter().flatten() {
            let object = Object::read(item.clone());
            objects.push(object.map_err(|e| error::incomplete(kind, &format!("a readable list: {e}")))?);
        }
        Ok((objects, next_token(document["nextLink"].as_str().unwrap_or_default())))
    }

    /// Reads a URL that ARM gave for the state of an operation.
    pub(crate) async fn ask(&self, kind: &'static Kind, url: &Url) -> Result<ArmResponse> {
        self.call(Call { kind, verb: Verb::Read, url, subject: url.path(), body: None, condition: If::Always }).await
    }

    /// The URL if it is ARM's own: it will be called with our token. `None` for every other host.
    pub(crate) fn own(&self, text: &str) -> Option<Url> {
        let url: Url = text.parse().ok()?;
        let (host, own) = (url.host_str()?, self.base.host_str()?);
        let inside = host.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if url.scheme() == "https" && inside && url.port().is_none() && url.username().is_empty() {
            return Some(url);
        }
        let simulator = self.simulator.as_ref()?;
        if url.origin() != simulator.origin() {
            return None;
        }
        let mut moved = self.base.clone();
        moved.set_path(url.path());
        moved.set_query(url.query());
        Some(moved)
    }

    fn url(&self, kind: &Kind, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.query_pairs_mut().append_pair("api-version", kind.version);
        url
    }

    async fn call(&self, call: Call<'_>) -> Result<ArmResponse> {
        debug_assert!(call.kind.verbs.contains(&call.verb), "{:?} is not listed for {}", call.verb, call.kind.name);
        let again = |error: &Error, made| error.service().filter(|e| made < attempts(call.verb, e)).and_then(pause);
        repeat(|| self.once(&call), again).await
    }

    async fn once(&self, call: &Call<'_>) -> Result<ArmResponse> {
        let method = match call.verb {
            Verb::Read => Method::Get,
            Verb::Write => Method::Put,
            Verb::Delete => Method::Delete,
            Verb::Act => Method::Post,
        };
        let mut request = Request::new(call.url.clone(), method);
        request.insert_header("accept", "application/json");
        match call.condition {
            If::Always => {}
            If::Absent => request.insert_header("if-none-match", "*"),
            If::Unchanged(etag) => request.insert_header("if-match", etag.to_owned()),
        }
        if let Some(body) = call.body {
            request.insert_header(CONTENT_TYPE, "application/json");
            request.set_body(body.to_string().into_bytes());
        }
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let response = self.pipeline.send(&Context::new(), &mut request, Some(options)).await;
        let response = response.map_err(|e| no_response(call.kind, call.verb, call.subject, &e))?;
        read(call, &response)
    }
}

fn header(response: &RawResponse, name: &'static str) -> Option<String> {
    response.headers().get_optional_str(&HeaderName::from_static(name)).map(str::to_owned)
}

fn read(call: &Call<'_>, response: &RawResponse) -> Result<ArmResponse> {
    let status = u16::from(response.status());
    let retry_after = retry_after(response);
    let mut document = serde_json::from_slice(response.body().as_ref()).unwrap_or(Value::Null);
    prune(&mut document);
    if (200..300).contains(&status) {
        let operation = header(response, "azure-asyncoperation").or_else(|| header(response, "location"));
        return Ok(ArmResponse { status, operation, retry_after, document });
    }
    let ErrorBody { code, message } = error::read(&document);
    let by_arm =
        code == "SubscriptionRequestsThrottled" || header(response, "x-ms-failure-cause").as_deref() == Some("gateway");
    let message = if message.is_empty() { format!("HTTP status {status}") } else { message };
    let subject = call.subject.to_owned();
    Err(Error::Service(Box::new(ServiceError {
        kind: call.kind,
        verb: call.verb,
        subject,
        code,
        message,
        status,
        retry_after,
        by_arm,
    })))
}

/// A demand to wait: some services say it in milliseconds too, which is then meant.
fn retry_after(response: &RawResponse) -> Option<Duration> {
    let millis = header(response, "x-ms-retry-after-ms").or_else(|| header(response, "retry-after-ms"));
    let millis = millis.and_then(|v| v.trim().parse().ok()).map(Duration::from_millis);
    millis
        .or_else(|| header(response, "retry-after").and_then(|v| error::retry_after(&v)))
        .map(|w| w.min(RETRY_AFTER_MAX))
}

/// How often a call is made at most, given how it failed.
fn attempts(verb: Verb, error: &ServiceError) -> u32 {
    if verb == Verb::Read && error.status == 429 { THROTTLED_READ_ATTEMPTS } else { ATTEMPTS }
}

/// How long to wait before a repetition: after a broken connection, a passing fault, or a
/// throttle that is over in a moment. `None`: not to be repeated here.
fn pause(error: &ServiceError) -> Option<Duration> {
    match (error.status, error.retry_after) {
        (429, Some(wait)) if wait <= THROTTLED_PAUSE_MAX => Some(wait),
        (0, None) if error.code.is_empty() => Some(PAUSE),
        (408 | 500 | 502..=504, None) => Some(PAUSE),
        _ => None,
    }
}

/// An error of the SDK: no response, or no token to ask with.
fn no_response(kind: &'static Kind, verb: Verb, subject: &str, error: &azure_core::Error) -> Error {
    use azure_core::error::ErrorKind as Sdk;
    let (mut code, mut status, mut retry_after) = (String::new(), 0, None);
    let mut cause = Some(error);
    while let Some(e) = cause {
        match e.kind() {
            // Kept unless an inner error is more specific.
            Sdk::Credential if code.is_empty() => "CredentialsUnavailable".clone_into(&mut code),
            Sdk::HttpResponse { status: of, raw_response, .. } => {
                status = u16::from(*of);
                if let Some(raw) = raw_response {
                    let reported = error::read(&serde_json::from_slice(raw.body().as_ref()).unwrap_or(Value::Null));
                    if !reported.code.is_empty() {
                        code = reported.code;
                    }
                    retry_after = self::retry_after(raw);
                }
            }
            // Entra was not reached: that is no reason to doubt the credentials.
            Sdk::Io | Sdk::Connection => code.clear(),
            _ => {}
        }
        cause = std::error::Error::source(e).and_then(|s| s.downcast_ref::<azure_core::Error>());
    }
    if status >= 500 || status == 429 {
        code.clear();
    }
    let message = error::chain(error);
    let subject = subject.to_owned();
    Error::Service(Box::new(ServiceError { kind, verb, subject, code, message, status, retry_after, by_arm: false }))
}

fn next_token(link: &str) -> String {
    let Ok(url) = link.parse::<Url>() else { return String::new() };
    let mut pairs = url.query_pairs();
    pairs.find(|(k, _)| k.eq_ignore_ascii_case("$skiptoken")).map(|(_, v)| v.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Arm, next_token};
    use crate::{credentials, transport::Wire};

    fn arm(simulator: Option<&str>) -> Arm {
        let wire = Wire::new(None).expect("a client");
        let scope = credentials::Scope::parse(br#"{"kind":"access_token","token":"t"}"#).expect("a scope");
        let credential = scope.credential(&wire, &crate::config::Cloud::Public).expect("a credential");
        let simulator = simulator.map(|s| s.parse().expect("a URL"));
        Arm::new("https://management.azure.com".parse().expect("a URL"), simulator, credential, wire.options())
    }

    #[test]
    fn only_arms_own_hosts_are_followed() {
        let real = arm(None);
        for good in ["https://management.azure.com/x?y=z", "https://westeurope.management.azure.com/x"] {
            assert_eq!(real.own(good).map(|u| u.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "http://management.azure.com/x",
            "https://management.azure.com.evil.example/x",
            "https://evilmanagement.azure.com/x",
            "https://user@management.azure.com/x",
            "https://management.azure.com:8443/x",
            "http://127.0.0.1:4566/x",
            "/relative",
            "",
        ] {
            assert_eq!(real.own(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_simulators_own_links_are_brought_home() {
        let simulated = arm(Some("http://127.0.0.1:4566"));
        let moved = simulated.own("http://127.0.0.1:4566/a/b?c=d").expect("followed");
        assert_eq!(moved.as_str(), "https://management.azure.com/a/b?c=d");
        assert_eq!(simulated.own("http://127.0.0.1:4567/a"), None);
    }

    #[test]
    fn only_the_token_of_a_next_link_is_taken() {
        assert_eq!(next_token("https://evil.example/x?%24skipToken=a%3Db&other=1"), "a=b");
        assert_eq!(next_token(""), "");
    }
}
