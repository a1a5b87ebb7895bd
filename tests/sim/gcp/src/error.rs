//! Errors as Google words them: HTTP status, reason, canonical status.
//!
//! <https://cloud.google.com/apis/design/errors>; Compute's reasons:
//! <https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-api-errors>. An [`ApiError`]'s code is the
//! reason (`notFound`), which is also the journal's outcome.

use cloudsim_core::call::ApiError;
use serde_json::json;

/// 404.
pub(crate) fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new("notFound", message).status(404)
}

/// 404 in Compute's words.
#[must_use]
pub(crate) fn no_resource(id: &str) -> ApiError {
    not_found(format!("The resource '{id}' was not found"))
}

/// 409 for what is taken.
pub(crate) fn exists(message: impl Into<String>) -> ApiError {
    ApiError::new("alreadyExists", message).status(409)
}

/// 400 for a bad value.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("badRequest", message)
}

/// 400 for a bad field of a Compute resource.
#[must_use]
pub(crate) fn invalid_field(field: &str, value: &str, why: &str) -> ApiError {
    ApiError::new("invalid", format!("Invalid value for field '{field}': '{value}'. {why}"))
}

/// 400 for a missing field of a Compute resource.
#[must_use]
pub(crate) fn required(field: &str) -> ApiError {
    ApiError::new("required", format!("Required field 'resource.{field}' not specified"))
}

/// 400 for a state that does not allow the call.
pub(crate) fn precondition(message: impl Into<String>) -> ApiError {
    ApiError::new("failedPrecondition", message)
}

/// 400 while Compute still works on something.
#[must_use]
pub(crate) fn not_ready(id: &str) -> ApiError {
    ApiError::new("resourceNotReady", format!("The resource '{id}' is not ready"))
}

/// 400 for what others use.
#[must_use]
pub(crate) fn in_use(word: &str, id: &str, user: &str) -> ApiError {
    let message = format!("The {word} resource '{id}' is already being used by '{user}'");
    ApiError::new("resourceInUseByAnotherResource", message)
}

/// 403 for a used-up quota of Compute.
#[must_use]
pub(crate) fn quota(metric: &str, limit: u64, place: &str) -> ApiError {
    let message = format!("Quota '{metric}' exceeded.  Limit: {limit}.0 {place}.");
    ApiError::new("quotaExceeded", message).status(403).field("domain", "usageLimits")
}

/// 403 for a missing permission.
pub(crate) fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new("forbidden", message).status(403)
}

/// 412 for a fingerprint or etag that is not the present one.
pub(crate) fn condition(message: impl Into<String>) -> ApiError {
    ApiError::new("conditionNotMet", message).status(412)
}

/// 401.
#[must_use]
pub(crate) fn unauthenticated(service: &str, reason: &str) -> ApiError {
    let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                   other valid authentication credential. See \
                   https://developers.google.com/identity/sign-in/web/devconsole-project.";
    ApiError::new("authError", message).status(401).field("details", error_info(reason, service, json!({})))
}

/// The `details` of an error with one ErrorInfo.
#[must_use]
pub(crate) fn error_info(reason: &str, service: &str, metadata: serde_json::Value) -> serde_json::Value {
    let mut metadata = metadata;
    metadata["service"] = json!(format!("{service}.googleapis.com"));
    json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
             "domain": "googleapis.com", "metadata": metadata }])
}

/// The canonical status of an HTTP status and reason.
#[must_use]
pub(crate) fn canonical(error: &ApiError) -> String {
    if error.code.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        return error.code.clone();
    }
    let by_reason = match error.code.as_str() {
        "failedPrecondition" | "containerNotEmpty" | "resourceNotReady" => Some("FAILED_PRECONDITION"),
        _ => None,
    };
    let by_status = match error.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        412 => "FAILED_PRECONDITION",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    by_reason.unwrap_or(by_status).to_owned()
}

/// The reason of an error whose code is a canonical status, as a fault rule may give it.
#[must_use]
pub(crate) fn reason(code: &str) -> &str {
    match code {
        "INVALID_ARGUMENT" => "badRequest",
        "UNAUTHENTICATED" => "authError",
        "PERMISSION_DENIED" => "forbidden",
        "NOT_FOUND" => "notFound",
        "ALREADY_EXISTS" => "alreadyExists",
        "FAILED_PRECONDITION" => "failedPrecondition",
        "RESOURCE_EXHAUSTED" => "rateLimitExceeded",
        "INTERNAL" | "UNAVAILABLE" => "backendError",
        other => other,
    }
}
