//! From a response of ARM or Entra to the contract's typed error. The table says what a code
//! means; this module reads codes out of the several shapes that ARM has for an error, and
//! keeps secrets and repetition out of messages.

use std::time::Duration;

use landlord_provider_api::{ErrorKind, ProviderError};
pub(crate) use landlord_provider_sdk::error::retry_after;
use landlord_provider_sdk::{
    error::{CHECK_ENDPOINT, CloudError, by_status},
    table,
};
use serde_json::Value;

use crate::{
    api::{self, Kind, Verb},
    error_table, error_words,
};

/// How deep `details` and `innererror` are followed; ARM nests two or three.
const DEPTH_MAX: usize = 5;
/// A message is cut here: some carry whole documents.
const MESSAGE_LEN_MAX: usize = 1_000;

/// A call that failed.
pub(crate) type Error = landlord_provider_sdk::error::Error<ServiceError>;

/// Result of everything inside the plugin.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What a service reported.
#[derive(Debug, thiserror::Error)]
#[error("{} of {} {subject} failed: {message}", verb_name(*verb), kind.name)]
pub(crate) struct ServiceError {
    /// What was called.
    pub(crate) kind: &'static Kind,
    /// What was done.
    pub(crate) verb: Verb,
    /// To what.
    pub(crate) subject: String,
    /// The service's code; empty when there was no response or none in it.
    pub(crate) code: String,
    /// The service's words.
    pub(crate) message: String,
    /// HTTP status; 0 when there was no response.
    pub(crate) status: u16,
    /// Retry-After.
    pub(crate) retry_after: Option<Duration>,
    /// Whether ARM itself, not the resource provider, throttled.
    pub(crate) by_arm: bool,
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Read => "a read",
        Verb::Write => "a write",
        Verb::Delete => "the deletion",
        Verb::Act => "an action",
    }
}

/// Code and words in an error document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ErrorBody {
    /// The most specific code.
    pub(crate) code: String,
    /// All words, each once.
    pub(crate) message: String,
}

/// Reads `{"error": {…}}`, a bare `{"code", "message"}`, and Entra's `{"error": "…",
/// "error_description": "…"}`.
pub(crate) fn read(document: &Value) -> ErrorBody {
    if let Some(text) = document["error"].as_str() {
        let description = document["error_description"].as_str().unwrap_or_default();
        return ErrorBody { code: aad_code(description).unwrap_or(text).to_owned(), message: cut(description) };
    }
    let root = if document["error"].is_object() { &document["error"] } else { document };
    let (mut codes, mut words) = (Vec::new(), Vec::new());
    collect(root, 0, &mut codes, &mut words);
    // The outermost code is often a mere frame ("the deployment failed"): the first one that
    // the table knows, from the inside out, is the most specific.
    let known = codes.iter().rev().find(|c| error_table::is_known(c)).or(codes.first());
    let mut message = String::new();
    for word in words {
        if !message.contains(&word) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&word);
        }
    }
    ErrorBody { code: known.cloned().unwrap_or_default(), message: cut(&message) }
}

fn collect(part: &Value, depth: usize, codes: &mut Vec<String>, words: &mut Vec<String>) {
    if depth >= DEPTH_MAX {
        return;
    }
    let text = |key: &str| part[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    codes.extend(text("code"));
    words.extend(text("message"));
    for inner in ["innererror", "innerError"] {
        if part[inner].is_object() {
            collect(&part[inner], depth + 1, codes, words);
        }
    }
    for detail in part["details"].as_array().into_iter().flatten() {
        collect(detail, depth + 1, codes, words);
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LEN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `AADSTS7000215` of Entra's description.
fn aad_code(description: &str) -> Option<&str> {
    let start = description.find("AADSTS")?;
    let rest = &description[start..];
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// An error and its causes, each stated once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    cut(&landlord_provider_sdk::error::chain(error))
}

/// Whether a condition of the request (`If-None-Match`, `If-Match`) did not hold.
pub(crate) fn is_precondition(error: &Error) -> bool {
    error.service().is_some_and(|error| error.status == 412)
}

impl CloudError for ServiceError {
    fn code(&self) -> &str {
        &self.code
    }

    /// A 404 without a code is not of ARM's making.
    fn is_absent(&self) -> bool {
        self.status == 404 && !self.code.is_empty() && !self.code.starts_with("Subscription")
    }

    fn is_busy(&self) -> bool {
        self.status == 409
            || self.code.starts_with("InUse")
            || self.code.ends_with("InUse")
            || self.code.contains("CannotBeDeleted")
            || error_table::look_up(self.kind.service, &self.code).is_some_and(|f| f.0 == ErrorKind::Conflict)
    }

    fn to_provider_error(&self) -> ProviderError {
        state(self)
    }
}

fn state(error: &ServiceError) -> ProviderError {
    let (kind, remedy) = meaning(error.kind.service, &error.code, &error.message, error.status);
    let mut remedy = remedy.to_owned();
    if kind == ErrorKind::Auth
        && let Some(action) = missing_permission(&error.message)
    {
        remedy = format!(
            "allow {action} in the role of landlord's principal: put role-definition.json of this release in its place \
             (`az role definition update --role-definition role-definition.json`), then retry"
        );
    }
    if let Some(skew) = clock_skew(&error.code, &error.message) {
        remedy = skew;
    }
    let remedy = table::addressed(kind, &remedy);
    let mut stated = ProviderError::new(kind, error.to_string()).with_code(&error.code).with_remedy(remedy);
    stated.retry_after = error.retry_after;
    if kind == ErrorKind::Throttled {
        let bucket = if error.by_arm { api::arm_bucket(error.verb) } else { error.kind.bucket(error.verb) };
        stated = stated.with_bucket(bucket);
    }
    stated
}

/// Kind and remedy of an error, whenever it came: as a response, or as the end
/// of an operation (status 0 then).
pub(crate) fn meaning(service: &str, code: &str, message: &str, status: u16) -> (ErrorKind, &'static str) {
    // ARM's own 429 has no code of its own in some providers.
    if status == 429 {
        return (ErrorKind::Throttled, "");
    }
    if let Some(found) = error_words::by_words(code, message) {
        return found;
    }
    match error_table::look_up(service, code) {
        Some(found) => found,
        None if code.is_empty() && matches!(status, 400 | 404 | 405) => (ErrorKind::Internal, CHECK_ENDPOINT),
        None => (by_status(status), ""),
    }
}

/// The contract's error for an operation, or an object, that ended badly.
pub(crate) fn late(kind: &'static Kind, subject: &str, reported: &ErrorBody) -> ProviderError {
    let (mut meant, remedy) = meaning(kind.service, &reported.code, &reported.message, 0);
    // Nothing was ever requested that only needs to be requested again.
    if meant == ErrorKind::Conflict && reported.code.is_empty() {
        meant = ErrorKind::Transient;
    }
    let why = if reported.message.is_empty() { "Azure does not say why" } else { &reported.message };
    ProviderError::new(meant, format!("{} {subject} failed: {why}", kind.name))
        .with_code(&reported.code)
        .with_remedy(table::addressed(meant, remedy))
}

/// What to do about a token request whose time Entra ID refused: `AADSTS700024: Client assertion is not within its valid
/// time range. Current time: 2026-11-29T09:20:00.0000000Z, assertion valid from 2026-11-29T08:30:00.0000000Z, …`. `None`: its
/// time was right.
fn clock_skew(code: &str, message: &str) -> Option<String> {
    if code != "AADSTS700024" && !message.contains("AADSTS700024") {
        return None;
    }
    let after = |words: &str| {
        let rest = message.split(words).nth(1)?.trim_start();
        rest.split([',', ' ']).next().map(|time| time.trim_end_matches('.')).filter(|time| !time.is_empty())
    };
    Some(table::clock_skew(after("assertion valid from"), after("Current time:")))
}

/// The action in "… does not have authorization to perform action 'Microsoft.X/y/write' over scope …", or on what a request
/// refers to: "… does not have permission to perform action(s) 'Microsoft.X/y/join/action' on the linked scope(s) …".
pub(crate) fn missing_permission(message: &str) -> Option<&str> {
    let rest =
        ["to perform action '", "to perform action(s) '"].iter().find_map(|words| message.split(words).nth(1))?;
    let action = rest.split('\'').next()?;
    action.contains('/').then_some(action)
}

/// INVALID, for what the caller requested.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    landlord_provider_sdk::error::invalid(message).into()
}

/// CONFLICT, for what another stage or a person must do first.
pub(crate) fn conflict(message: impl Into<String>, remedy: impl Into<String>) -> Error {
    landlord_provider_sdk::error::conflict(message, remedy).into()
}

/// INTERNAL, for a response that lacks what its documentation promises.
pub(crate) fn incomplete(kind: &Kind, what: &str) -> Error {
    ProviderError::new(ErrorKind::Internal, format!("the response about a {} lacks {what}", kind.name)).into()
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorBody, ServiceError, late, missing_permission, read};
    use crate::api::{self, Kind, Verb};
    use landlord_provider_api::{ErrorKind, ProviderError};
    use serde_json::json;
    use std::time::Duration;

    fn stated(kind: &'static Kind, verb: Verb, code: &str, message: &str, status: u16) -> ProviderError {
        let error = ServiceError {
            kind,
            verb,
            subject: "x".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            status,
            retry_after: (status == 429).then_some(Duration::from_secs(7)),
            by_arm: code == "SubscriptionRequestsThrottled",
        };
        Error::Service(Box::new(error)).into()
    }

    #[test]
    fn vendors_words_become_kinds_and_remedies() {
        let skew = "AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-11-29T09:20:00.0000000Z, assertion valid from 2026-11-29T10:30:00.0000000Z, expiry time of assertion 2026-11-29T10:40:00.0000000Z.";
        let policy = "Resource 'x' was disallowed by policy. Policy identifiers: '[{\"policyAssignment\":{\"name\":\"tags\"}}]'.";
        let cases = [
            (
                "AADSTS700024",
                skew,
                401,
                "clock says 2026-11-29T10:30:00.0000000Z, the cloud's clock says 2026-11-29T09:20:00.0000000Z",
            ),
            ("RequestDisallowedByPolicy", policy, 403, "Azure Policy"),
            ("InvalidTemplateDeployment", policy, 400, "Azure Policy"),
        ];
        for (code, message, status, remedy) in cases {
            let error = stated(&api::CLUSTER, Verb::Write, code, message, status);
            assert_eq!(error.kind, ErrorKind::Auth, "{code}");
            assert!(error.remedy.contains(remedy), "{code}: {}", error.remedy);
        }
    }

    #[test]
    fn every_shape_of_an_error_is_read() {
        let cases = [
            (json!({ "error": { "code": "ResourceNotFound", "message": "m" } }), "ResourceNotFound", "m"),
            (json!({ "code": "BadRequest", "message": "m" }), "BadRequest", "m"),
            (
                json!({ "error": { "code": "DeploymentFailed", "message": "outer", "details": [{ "code": "SkuNotAvailable", "message": "inner" }] } }),
                "SkuNotAvailable",
                "outer: inner",
            ),
            (
                json!({ "error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret." }),
                "AADSTS7000215",
                "AADSTS7000215: Invalid client secret.",
            ),
            (json!("nonsense"), "", ""),
        ];
        for (document, code, message) in cases {
            assert_eq!(read(&document), ErrorBody { code: code.to_owned(), message: message.to_owned() }, "{document}");
        }
    }

    #[test]
    fn the_missing_permission_is_named() {
        let message = "The client 'x' does not have authorization to perform action 'Microsoft.Network/natGateways/write' over scope '/subscriptions/s'";
        assert_eq!(missing_permission(message), Some("Microsoft.Network/natGateways/write"));
        assert_eq!(missing_permission("no"), None);
        let error = stated(&api::NAT, Verb::Write, "AuthorizationFailed", message, 403);
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.remedy.contains("Microsoft.Network/natGateways/write"), "{}", error.remedy);
    }

    #[test]
    fn unknown_codes_follow_the_status() {
        for (status, kind) in [
            (500, ErrorKind::Transient),
            (429, ErrorKind::Throttled),
            (403, ErrorKind::Auth),
            (409, ErrorKind::Conflict),
            (0, ErrorKind::Transient),
            (418, ErrorKind::Invalid),
            (302, ErrorKind::Internal),
        ] {
            assert_eq!(stated(&api::CLUSTER, Verb::Read, "Novelty", "m", status).kind, kind, "{status}");
        }
    }

    #[test]
    fn throttling_names_the_bucket_of_whoever_throttled() {
        for (code, bucket) in [
            ("TooManyRequests", "aks/put-cluster"),
            ("SubscriptionRequestsThrottled", "arm/write"),
            ("", "aks/put-cluster"),
        ] {
            let error = stated(&api::CLUSTER, Verb::Write, code, "slow down", 429);
            assert_eq!((error.kind, error.bucket.as_str()), (ErrorKind::Throttled, bucket), "{code}");
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
    }

    #[test]
    fn an_endpoint_that_does_not_know_a_call_is_reported() {
        let error = stated(&api::CLUSTER, Verb::Read, "", "not found", 404);
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.remedy.contains("endpoint_override"));
    }

    #[test]
    fn a_late_failure_says_what_and_why() {
        let reported = ErrorBody { code: "QuotaExceeded".to_owned(), message: "Family DSv5 vCPUs".to_owned() };
        let error = late(&api::CLUSTER, "c", &reported);
        assert_eq!(error.kind, ErrorKind::Quota);
        assert!(error.message.contains("managedClusters c failed: Family DSv5 vCPUs"), "{error}");
        assert_eq!(late(&api::CLUSTER, "c", &ErrorBody::default()).kind, ErrorKind::Transient);
    }
}
