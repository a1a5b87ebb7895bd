//! From a response of Google Cloud to the contract's typed error. The table says what a code means;
//! this module reads codes out of the SDK's errors, our own REST responses and failed operations,
//! and keeps messages free of what their source already says.

use std::time::Duration;

use landlord_provider_api::{ErrorKind, ProviderError};
pub(crate) use landlord_provider_sdk::error::{Absent, Owned, chain, no_credentials, retry_after};
use landlord_provider_sdk::{
    error::{CHECK_ENDPOINT, CloudError, by_status},
    table,
};
use serde_json::Value;

use crate::{action::Action, error_table};

/// A call that failed.
pub(crate) type Error = landlord_provider_sdk::error::Error<ServiceError>;

/// How GKE says that a network, or a range of one, is not there. It returns 400 `badRequest` as for every other mistake in a
/// request, with a request's id as its only detail, so that nothing but the words show it:
/// <https://github.com/terraform-google-modules/terraform-google-kubernetes-engine/issues/742>,
/// <https://github.com/googlecloudrobotics/core/issues/339>,
/// <https://github.com/fabianlee/gcp-gke-clusters-ingress/issues/2>.
const MISSES: [&str; 3] = ["does not exist", "has no network named", "not found in network"];

/// Whether a request was refused since the network `name`, which it names, or a range of it is not there.
pub(crate) fn misses_network(error: &Error, name: &str) -> bool {
    error.service().is_some_and(|error| {
        error.status == 400
            && error.has(&["badRequest", "INVALID_ARGUMENT", "invalid"])
            && MISSES.iter().any(|words| error.message.contains(words))
            && error.message.contains(name)
    })
}

/// Result of everything inside the plugin.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What a service reported.
#[derive(Debug, thiserror::Error)]
#[error("{} {} of {subject} failed: {message}", action.service, action.name)]
pub(crate) struct ServiceError {
    /// Which call.
    pub(crate) action: Action,
    /// Of what.
    pub(crate) subject: String,
    /// The service's codes, the most specific first: reasons, then the canonical code.
    pub(crate) codes: Vec<String>,
    /// The service's words.
    pub(crate) message: String,
    /// HTTP status; 0 when there was no response.
    pub(crate) status: u16,
    /// Retry-After, or the response's own RetryInfo.
    pub(crate) retry_after: Option<Duration>,
}

/// Turns an SDK error into ours: `.map_err(failed(action::CREATE_CLUSTER, name))`.
pub(crate) fn failed(
    action: Action,
    subject: impl Into<String>,
) -> impl FnOnce(google_cloud_gax::error::Error) -> Error {
    let subject = subject.into();
    move |error| {
        if let Some(stated) = stated_in(&error) {
            return stated;
        }
        let status = error.http_status_code().unwrap_or(0);
        let header = error.http_headers().and_then(|h| h.get("retry-after")).and_then(|v| v.to_str().ok());
        let mut response = ErrorBody { retry_after: header.and_then(retry_after), ..ErrorBody::default() };
        if let Some(reported) = error.status() {
            response.message.clone_from(&reported.message);
            for detail in &reported.details {
                response.read_detail(&serde_json::to_value(detail).unwrap_or_default());
            }
            if reported.code != google_cloud_gax::error::rpc::Code::Unknown {
                response.codes.push(reported.code.name().to_owned());
            }
        } else if let Some(payload) = error.http_payload() {
            response.read_body(payload);
        }
        if response.message.is_empty() {
            response.message = chain(&error);
        }
        response.into_error(action, subject, status)
    }
}

/// The contract's error inside an SDK error, when a token could not be had.
fn stated_in(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut source = Some(error);
    while let Some(e) = source {
        if let Some(stated) = e.downcast_ref::<ProviderError>() {
            return Some(stated.clone().into());
        }
        source = e.source();
    }
    None
}

/// What an error's body says.
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    pub(crate) codes: Vec<String>,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl ErrorBody {
    /// Reads `{"error": {…}}` as all Google APIs send it, or OAuth's `{"error": "…"}`.
    pub(crate) fn read_body(&mut self, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &body["error"];
        if let Some(code) = error.as_str() {
            self.codes.push(code.to_owned());
            self.message = body["error_description"].as_str().unwrap_or(code).to_owned();
            return;
        }
        for detail in ["details", "errors"].iter().flat_map(|k| error[k].as_array()).flatten() {
            self.read_detail(detail);
        }
        if let Some(status) = error["status"].as_str() {
            self.codes.push(status.to_owned());
        }
        if let Some(message) = error["message"].as_str() {
            message.clone_into(&mut self.message);
        }
    }

    fn read_detail(&mut self, detail: &Value) {
        let reason = detail["reason"].as_str().filter(|r| !r.is_empty());
        // Compute Engine sends "forbidden" beside reasons that are more specific.
        match reason {
            Some("forbidden") | None => {}
            Some(reason) => self.codes.push(reason.to_owned()),
        }
        if let Some(delay) = detail["retryDelay"].as_str().and_then(|d| d.strip_suffix('s')?.parse().ok()) {
            self.retry_after = Duration::try_from_secs_f64(delay).ok();
        }
    }

    pub(crate) fn into_error(self, action: Action, subject: String, status: u16) -> Error {
        let Self { codes, message, retry_after } = self;
        Error::Service(Box::new(ServiceError { action, subject, codes, message, status, retry_after }))
    }
}

impl ServiceError {
    fn has(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|c| codes.contains(&c.as_str()))
    }
}

/// Whether the object exists already.
pub(crate) fn is_taken(error: &Error) -> bool {
    error.service().is_some_and(|e| e.has(&["ALREADY_EXISTS", "alreadyExists", "RESOURCE_ALREADY_EXISTS"]))
}

impl CloudError for ServiceError {
    fn code(&self) -> &str {
        self.codes.first().map_or("", String::as_str)
    }

    fn is_absent(&self) -> bool {
        // An endpoint that does not know the call returns 404 as well, but without Google's words.
        (self.status == 404 && !self.codes.is_empty()) || self.has(&["NOT_FOUND", "notFound", "RESOURCE_NOT_FOUND"])
    }

    fn is_busy(&self) -> bool {
        self.has(&[
            "resourceInUseByAnotherResource",
            "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
            "resourceNotReady",
            "RESOURCE_NOT_READY",
            "resourceIsBeingUsed",
            "operationInProgress",
            "containerNotEmpty",
            "CLUSTER_ALREADY_HAS_OPERATION",
        ]) || (self.has(&["FAILED_PRECONDITION", "ABORTED"]) && self.message.contains("operation"))
    }

    fn to_provider_error(&self) -> ProviderError {
        state(self)
    }
}

fn state(error: &ServiceError) -> ProviderError {
    let service = error.action.service;
    let found = error.codes.iter().find_map(|code| Some((code, error_table::look_up(service, code)?)));
    let (code, (mut kind, remedy)) = match found {
        Some((code, row)) => (code.clone(), row),
        None if error.codes.is_empty() && matches!(error.status, 404 | 405) => {
            (String::new(), (ErrorKind::Internal, CHECK_ENDPOINT))
        }
        None => (error.codes.first().cloned().unwrap_or_default(), (by_status(error.status), "")),
    };
    let mut remedy = remedy.to_owned();
    // GKE and Compute Engine return the codes of a lack of permission or of
    // throttling for a lack of quota; only the words show it.
    if kind != ErrorKind::Quota && is_about_quota(&error.message) {
        kind = ErrorKind::Quota;
    }
    if kind == ErrorKind::Quota {
        remedy = quota_remedy(&error.message);
    }
    // A cluster takes one change at a time: "incompatible operation".
    if kind == ErrorKind::Invalid && error.message.contains("incompatible operation") {
        kind = ErrorKind::Conflict;
    }
    if kind == ErrorKind::Auth
        && let Some(permission) = missing_permission(&error.message)
    {
        remedy = format!(
            "grant {permission} to landlord's identity: put iam-role.yaml of this release in the place of the project's custom role (`gcloud iam roles update landlord --project PROJECT --file iam-role.yaml`), then retry"
        );
    }
    if let Some((meant, by_words)) = table::by_words(error_table::WORDS, &code, &error.message) {
        kind = meant;
        by_words.clone_into(&mut remedy);
    }
    let remedy = table::addressed(kind, &remedy);
    let mut stated = ProviderError::new(kind, error.to_string()).with_code(code).with_remedy(remedy);
    stated.retry_after = error.retry_after;
    if kind == ErrorKind::Throttled {
        stated = stated.with_bucket(error.action.bucket());
    }
    stated
}

/// `Insufficient regional quota to satisfy request: resource "CPUS": …`, `Quota 'NETWORKS'
/// exceeded. Limit: 5.0 globally.`; not `Quota exceeded for quota metric 'Queries' and limit
/// 'Queries per minute'`, which is a rate.
fn is_about_quota(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    let lacks = lower.contains("insufficient regional quota")
        || lower.contains("insufficient project quota")
        || (lower.contains("quota '") && lower.contains("exceeded"));
    lacks && !lower.contains("per minute")
}

/// The quota's name in a message, as the console lists it.
fn quota_name(message: &str) -> Option<&str> {
    let after = |mark: &str, end: char| message.split(mark).nth(1).and_then(|rest| rest.split(end).next());
    after("Quota '", '\'').or_else(|| after("resource \"", '"')).or_else(|| after("quota metric '", '\''))
}

fn quota_remedy(message: &str) -> String {
    match quota_name(message) {
        Some(name) => format!(
            "ask for a higher quota {name} at IAM & Admin > Quotas in the Google Cloud console, or delete what is no longer needed, then retry"
        ),
        None => "ask for a higher quota (the message says of what) at IAM & Admin > Quotas in the Google Cloud console, or delete what is no longer needed, then retry".to_owned(),
    }
}

/// The permission in `Required 'compute.networks.create' permission for …` (Compute Engine),
/// `Required "container.clusters.create" permission(s) for …` (GKE), `Permission 'x.y.z' denied on …` (IAM).
fn missing_permission(message: &str) -> Option<&str> {
    let rest = ["Required ", "ermission "].iter().find_map(|words| message.split(words).nth(1))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let name = rest.split(quote).nth(1)?;
    name.contains('.').then_some(name)
}

/// INVALID, for what the caller requested.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    landlord_provider_sdk::error::invalid(message).into()
}

/// INVALID with a remedy, if `error` says that what was chosen does not exist.
pub(crate) fn not_chosen_well(error: Error, what: &str, remedy: &str) -> Error {
    if !error.is_absent() {
        return error;
    }
    ProviderError::new(ErrorKind::Invalid, format!("{what}: {error}")).with_remedy(remedy).into()
}

/// INTERNAL, for a response that lacks what its documentation promises.
pub(crate) fn incomplete(action: Action, what: &str) -> Error {
    let message = format!("the response to {} {} lacks {what}", action.service, action.name);
    ProviderError::new(ErrorKind::Internal, message).into()
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorBody, misses_network};
    use crate::action::{self, Action};
    use landlord_provider_api::{ErrorKind, ProviderError};
    use std::time::Duration;

    fn stated(action: Action, status: u16, body: &str) -> ProviderError {
        let mut response = ErrorBody::default();
        response.read_body(body.as_bytes());
        response.into_error(action, "x".to_owned(), status).into()
    }

    #[test]
    fn a_network_that_gke_does_not_see_is_distinguished_from_other_mistakes() {
        let misses = |status: u16, message: &str| {
            let body =
                serde_json::json!({ "error": { "code": status, "message": message, "status": "INVALID_ARGUMENT" } });
            let mut response = ErrorBody::default();
            response.read_body(body.to_string().as_bytes());
            misses_network(&response.into_error(action::CREATE_CLUSTER, "x".to_owned(), status), "landlord-1")
        };
        assert!(misses(400, "\n\t(1) network \"landlord-1\" does not exist."));
        assert!(misses(400, "Project \"acme\" has no network named \"landlord-1\"."));
        assert!(misses(400, "Pod secondary range \"pods\" not found in network \"…/landlord-1\", subnetwork \"x\"."));
        assert!(!misses(400, "Network \"other\" does not exist."));
        assert!(!misses(400, "Subnetwork \"landlord-1\" is too small."));
        assert!(!misses(404, "Network \"landlord-1\" does not exist."));
    }

    #[test]
    fn vendors_words_become_kinds_and_remedies() {
        let cases = [
            (
                412,
                "Constraint constraints/compute.vmExternalIpAccess violated for project acme.",
                "FAILED_PRECONDITION",
                "administrator of the Google Cloud organization",
            ),
            (
                403,
                "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x",
                "PERMISSION_DENIED",
                "VPC Service Controls",
            ),
            (
                400,
                "Cloud KMS key projects/p/cryptoKeys/k/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.",
                "FAILED_PRECONDITION",
                "owner of the Cloud KMS key",
            ),
        ];
        for (status, message, code, remedy) in cases {
            let body = serde_json::json!({ "error": { "code": status, "message": message, "status": code } });
            let error = stated(action::CREATE_CLUSTER, status, &body.to_string());
            assert_eq!(error.kind, ErrorKind::Auth, "{message}");
            assert!(error.remedy.contains(remedy), "{message}: {}", error.remedy);
        }
        let skew = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
        let body = serde_json::json!({ "error": "invalid_grant", "error_description": skew });
        assert_eq!(stated(action::TOKEN, 400, &body.to_string()).remedy, crate::error_table::CLOCK);
    }

    #[test]
    fn throttling_comes_in_two_forms_and_names_its_bucket() {
        let old = r#"{"error":{"code":403,"message":"Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com'","errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}"#;
        let error = stated(action::GET_NETWORK, 403, old);
        assert_eq!((error.kind, error.bucket.as_str()), (ErrorKind::Throttled, "compute/read"), "{error}");
        let new = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}]}}"#;
        let error = stated(action::CREATE_CLUSTER, 429, new);
        assert_eq!((error.kind, error.bucket.as_str()), (ErrorKind::Throttled, "container/mutate"), "{error}");
        assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_quota_is_named_whatever_its_code() {
        let compute = r#"{"error":{"code":403,"message":"Quota 'NETWORKS' exceeded.  Limit: 5.0 globally.","errors":[{"reason":"quotaExceeded"}]}}"#;
        let gke = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '12.0' and is short '4.0'."}}"#;
        for (action, body, name) in
            [(action::INSERT_NETWORK, compute, "NETWORKS"), (action::CREATE_CLUSTER, gke, "CPUS")]
        {
            let error = stated(action, 403, body);
            assert_eq!(error.kind, ErrorKind::Quota, "{error}");
            assert!(error.remedy.contains(&format!("quota {name} ")), "{}", error.remedy);
        }
    }

    #[test]
    fn the_missing_permission_is_named() {
        let compute = r#"{"error":{"code":403,"message":"Required 'compute.networks.create' permission for 'projects/p/global/networks/n'","errors":[{"reason":"forbidden"}]}}"#;
        let gke = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"Required \"container.clusters.create\" permission(s) for \"projects/p\"."}}"#;
        for (action, body, name) in [
            (action::INSERT_NETWORK, compute, "compute.networks.create"),
            (action::CREATE_CLUSTER, gke, "container.clusters.create"),
        ] {
            let error = stated(action, 403, body);
            assert_eq!(error.kind, ErrorKind::Auth, "{error}");
            assert!(error.remedy.contains(name), "{}", error.remedy);
        }
    }

    #[test]
    fn a_cluster_that_works_on_something_else_is_a_conflict() {
        for (status, code) in [(400, "FAILED_PRECONDITION"), (400, "INVALID_ARGUMENT"), (409, "ABORTED")] {
            let body = format!(
                r#"{{"error":{{"code":{status},"status":"{code}","message":"Cluster is running incompatible operation operation-1."}}}}"#
            );
            assert_eq!(stated(action::UPDATE_CLUSTER, status, &body).kind, ErrorKind::Conflict, "{code}");
        }
    }

    #[test]
    fn unknown_codes_follow_the_status() {
        let cases = [
            (500, ErrorKind::Transient),
            (429, ErrorKind::Throttled),
            (403, ErrorKind::Auth),
            (409, ErrorKind::Conflict),
            (0, ErrorKind::Transient),
            (418, ErrorKind::Invalid),
            (302, ErrorKind::Internal),
        ];
        for (status, kind) in cases {
            let body = r#"{"error":{"message":"m","errors":[{"reason":"novelty"}]}}"#;
            assert_eq!(stated(action::GET_NETWORK, status, body).kind, kind, "{status}");
        }
    }

    #[test]
    fn absent_needs_googles_own_words() {
        let error = |body: &str| {
            let mut response = ErrorBody::default();
            response.read_body(body.as_bytes());
            response.into_error(action::GET_NETWORK, "x".to_owned(), 404)
        };
        assert!(error(r#"{"error":{"code":404,"message":"m","errors":[{"reason":"notFound"}]}}"#).is_absent());
        let foreign = error("<html>not here</html>");
        assert!(!foreign.is_absent());
        assert_eq!(ProviderError::from(foreign).kind, ErrorKind::Internal);
        assert!(matches!(error("{}"), Error::Service(_)));
    }

    #[test]
    fn an_oauth_refusal_is_an_auth_error() {
        let error =
            stated(action::TOKEN, 400, r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#);
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Auth, "invalid_grant"), "{error}");
    }
}
