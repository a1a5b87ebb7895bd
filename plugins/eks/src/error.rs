//! From an AWS response to the contract's typed error. The table says what a code means; this
//! module reads codes out of the SDK's and our own query responses, and keeps messages free of
//! what their source already says.

use std::time::Duration;

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use landlord_provider_api::{ErrorKind, ProviderError};
pub(crate) use landlord_provider_sdk::error::{Absent, Owned, chain, no_credentials, retry_after};
use landlord_provider_sdk::{
    error::{CHECK_ENDPOINT, CloudError, by_status},
    table,
};

use crate::{action::Action, error_table, error_words, xml::Element};

/// A call that failed.
pub(crate) type Error = landlord_provider_sdk::error::Error<ServiceError>;

/// Result of everything inside the plugin.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What a service reported.
#[derive(Debug, thiserror::Error)]
#[error("{} of {subject} failed: {message}", action.name)]
pub(crate) struct ServiceError {
    /// Which call.
    pub(crate) action: Action,
    /// Of what.
    pub(crate) subject: String,
    /// The service's code; empty when there was no response.
    pub(crate) code: String,
    /// The service's words.
    pub(crate) message: String,
    /// HTTP status; 0 when there was no response.
    pub(crate) status: u16,
    /// Retry-After.
    pub(crate) retry_after: Option<Duration>,
}

/// Turns an SDK error into ours: `.map_err(failed(action::CREATE_CLUSTER, name))`.
pub(crate) fn failed<E>(action: Action, subject: impl Into<String>) -> impl FnOnce(SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let subject = subject.into();
    move |error| {
        let raw = error.raw_response();
        let status = raw.map_or(0, |r| r.status().as_u16());
        let wait = raw.and_then(|r| r.headers().get("retry-after")).and_then(retry_after);
        let (code, message) = match &error {
            SdkError::ServiceError(context) => {
                let e = context.err();
                match e.code() {
                    Some(code) => (code.to_owned(), e.message().map_or_else(|| chain(e), str::to_owned)),
                    None => undocumented(context.raw()).unwrap_or_else(|| (String::new(), chain(e))),
                }
            }
            other => (no_response_code(other), chain(other)),
        };
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        Error::Service(Box::new(ServiceError { action, subject, code, message, status, retry_after: wait }))
    }
}

/// Code and words of a response whose shape the SDK does not read: Route 53 responds to a refused
/// batch with a root element of the error's own name,
/// <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>.
fn undocumented(raw: &HttpResponse) -> Option<(String, String)> {
    let root = Element::parse(std::str::from_utf8(raw.body().bytes()?).ok()?)?;
    let words: Vec<&str> =
        root.children("Messages").flat_map(|m| m.children("Message")).map(Element::own_text).collect();
    Some((root.name().to_owned(), words.join("; ")))
}

/// A code for errors without a response, where the cause says more than "no response".
fn no_response_code(error: &(dyn std::error::Error + 'static)) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = source {
        if e.is::<aws_credential_types::provider::error::CredentialsError>() {
            return "CredentialsUnavailable".to_owned();
        }
        source = e.source();
    }
    String::new()
}

impl CloudError for ServiceError {
    fn code(&self) -> &str {
        &self.code
    }

    fn is_absent(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ResourceNotFoundException"
                | "NotFoundException"
                | "NoSuchHostedZone"
                | "NoSuchEntity"
                | "LoadBalancerNotFound"
                | "AccessPointNotFound"
                | "TargetGroupNotFound"
                | "NatGatewayNotFound"
        ) || (self.action.service == "ec2" && self.code.ends_with(".NotFound"))
            || (self.action.service == "cloudformation" && self.message.contains("does not exist"))
    }

    fn is_busy(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ResourceInUseException"
                | "ResourceInUse"
                | "DependencyViolation"
                | "VolumeInUse"
                | "IncorrectState"
                | "InvalidGroup.InUse"
                | "InvalidNetworkInterface.InUse"
                | "OperationInProgressException"
                | "HostedZoneNotEmpty"
                | "PriorRequestNotComplete"
                | "CannotDelete"
        )
    }

    fn to_provider_error(&self) -> ProviderError {
        state(self)
    }
}

fn state(error: &ServiceError) -> ProviderError {
    let service = error.action.service;
    let (mut kind, remedy) = match error_table::look_up(service, &error.code) {
        Some(found) => found,
        None if error.code.is_empty() && matches!(error.status, 400 | 404 | 405) => {
            (ErrorKind::Internal, CHECK_ENDPOINT)
        }
        None => (by_status(error.status), ""),
    };
    let mut remedy = remedy.to_owned();
    // IAM needs some seconds to spread a role that CloudFormation has just made.
    if error.code == "InvalidParameterException" && error.message.contains("could not be assumed") {
        kind = ErrorKind::Transient;
        "the role has not spread through IAM yet, or its trust policy was changed".clone_into(&mut remedy);
    }
    // CloudFormation has no code of its own for a stack that is busy.
    let busy = ["_IN_PROGRESS state and can not be updated", "cannot be deleted while in status"];
    if error.code == "ValidationError" && busy.iter().any(|words| error.message.contains(words)) {
        kind = ErrorKind::Conflict;
    }
    if error.message.contains("Rate exceeded") || error.message.contains("Rate limit exceeded") {
        kind = ErrorKind::Throttled;
    }
    if kind == ErrorKind::Auth
        && let Some(action) = missing_permission(&error.message)
    {
        remedy = allow(action);
    }
    if let Some((meant, by_words)) = table::by_words(error_words::WORDS, &error.code, &error.message) {
        kind = meant;
        by_words.clone_into(&mut remedy);
    }
    if let Some(skew) = clock_skew(&error.code, &error.message) {
        kind = ErrorKind::Auth;
        remedy = skew;
    }
    let remedy = table::addressed(kind, &remedy);
    let mut stated = ProviderError::new(kind, error.to_string()).with_code(&error.code).with_remedy(remedy);
    stated.retry_after = error.retry_after;
    if kind == ErrorKind::Throttled {
        stated = stated.with_bucket(error.action.bucket());
    }
    stated
}

/// What to do about a request whose time AWS refused: `Signature expired: 20261129T083000Z is now earlier than
/// 20261129T091500Z (20261129T092000Z - 5 min.)`, `Signature not yet current: 20261129T103000Z is still later than …`. The
/// first time is ours, the one in brackets is theirs. `None`: its time was right.
fn clock_skew(code: &str, message: &str) -> Option<String> {
    let words = ["Signature expired", "Signature not yet current", "is now earlier than", "is still later than"];
    let by_code = matches!(code, "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed");
    if !by_code && !words.iter().any(|words| message.contains(words)) {
        return None;
    }
    let times: Vec<String> = message.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(readable_time).collect();
    let theirs = if times.len() > 1 { times.last() } else { None };
    Some(table::clock_skew(times.first().map(String::as_str), theirs.map(String::as_str)))
}

/// `2026-11-29T08:30:00Z` of `20261129T083000Z`.
fn readable_time(word: &str) -> Option<String> {
    let is_time = word.len() == 16 && word.as_bytes()[8] == b'T' && word.ends_with('Z');
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_time || !digits(&word[..8]) || !digits(&word[9..15]) {
        return None;
    }
    let at = |from: usize, to: usize| &word[from..to];
    Some(format!("{}-{}-{}T{}:{}:{}Z", at(0, 4), at(4, 6), at(6, 8), at(9, 11), at(11, 13), at(13, 15)))
}

/// What to do about an action that the policy lacks.
pub(crate) fn allow(action: &str) -> String {
    format!(
        "allow {action} in the IAM policy of landlord's role: put iam-policy.json of this release in its place \
         (`aws iam create-policy-version --set-as-default --policy-document file://iam-policy.json --policy-arn …`), then retry"
    )
}

/// The action in "… is not authorized to perform: eks:CreateCluster on resource: …".
pub(crate) fn missing_permission(message: &str) -> Option<&str> {
    let rest = message.split("not authorized to perform: ").nth(1)?;
    let action = rest.split(|c: char| c.is_whitespace() || c == ',').next()?;
    let action = action.trim_end_matches('.');
    action.contains(':').then_some(action)
}

/// INVALID, for what the caller requested.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    landlord_provider_sdk::error::invalid(message).into()
}

/// INTERNAL, for a response that lacks what its documentation promises.
pub(crate) fn incomplete(action: Action, what: &str) -> Error {
    ProviderError::new(ErrorKind::Internal, format!("the response to {} lacks {what}", action.name)).into()
}

#[cfg(test)]
mod tests {
    use super::{Error, ServiceError, missing_permission};
    use crate::action::{self, Action};
    use landlord_provider_api::{ErrorKind, ProviderError};
    use std::time::Duration;

    fn stated(action: Action, code: &str, message: &str, status: u16) -> ProviderError {
        let error = ServiceError {
            action,
            subject: "x".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            status,
            retry_after: (status == 503).then_some(Duration::from_secs(7)),
        };
        Error::Service(Box::new(error)).into()
    }

    #[test]
    fn the_missing_permission_is_named() {
        let message = "User: arn:aws:sts::1:assumed-role/landlord/x is not authorized to perform: eks:CreateCluster on resource: arn:aws:eks:x";
        assert_eq!(missing_permission(message), Some("eks:CreateCluster"));
        assert_eq!(missing_permission("no"), None);
        let error = stated(action::CREATE_CLUSTER, "AccessDeniedException", message, 403);
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.remedy.contains("eks:CreateCluster"), "{}", error.remedy);
    }

    #[test]
    fn vendors_words_become_kinds_and_remedies() {
        let denied = "User: arn:aws:iam::1:user/x is not authorized to perform: eks:CreateCluster on resource: arn:aws:eks:x with an explicit deny in a service control policy";
        let expired =
            "Signature expired: 20261129T083000Z is now earlier than 20261129T091500Z (20261129T092000Z - 5 min.)";
        let early = "Signature not yet current: 20261129T103000Z is still later than 20261129T092500Z (20261129T092000Z + 5 min.)";
        let kms = "arn:aws:kms:eu-central-1:1:key/x is pending deletion.";
        let cases = [
            ("AccessDeniedException", denied, 403, "administrator of the AWS organization"),
            (
                "SignatureDoesNotMatch",
                expired,
                403,
                "clock says 2026-11-29T08:30:00Z, the cloud's clock says 2026-11-29T09:20:00Z",
            ),
            (
                "InvalidSignatureException",
                early,
                403,
                "clock says 2026-11-29T10:30:00Z, the cloud's clock says 2026-11-29T09:20:00Z",
            ),
            ("RequestExpired", "Request has expired.", 400, "sets the clock"),
            ("InvalidRequestException", kms, 400, "owner of the KMS key"),
            ("AuthFailure", "AWS was not able to validate the provided access credentials", 401, "opt-in"),
            ("OptInRequired", "You are not subscribed to this service.", 401, "account's administrator"),
        ];
        for (code, message, status, remedy) in cases {
            let error = stated(action::CREATE_CLUSTER, code, message, status);
            assert_eq!(error.kind, ErrorKind::Auth, "{code}");
            assert!(error.remedy.contains(remedy), "{code}: {}", error.remedy);
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
            assert_eq!(stated(action::CREATE_CLUSTER, "Novelty", "m", status).kind, kind, "{status}");
        }
    }

    #[test]
    fn throttling_names_its_bucket_and_keeps_retry_after() {
        let error = stated(action::DESCRIBE_STACKS, "Throttling", "Rate exceeded", 503);
        assert_eq!((error.kind, error.bucket.as_str()), (ErrorKind::Throttled, "cloudformation/read"));
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_role_that_has_not_spread_yet_is_transient() {
        let message =
            "Role with arn: x, could not be assumed because it does not exist or the trusted entity is not correct";
        assert_eq!(
            stated(action::CREATE_CLUSTER, "InvalidParameterException", message, 400).kind,
            ErrorKind::Transient
        );
        assert_eq!(stated(action::CREATE_CLUSTER, "InvalidParameterException", "other", 400).kind, ErrorKind::Invalid);
    }

    #[test]
    fn a_busy_stack_is_a_conflict() {
        let message = "Stack:arn:x is in UPDATE_IN_PROGRESS state and can not be updated.";
        assert_eq!(stated(action::UPDATE_STACK, "ValidationError", message, 400).kind, ErrorKind::Conflict);
        assert_eq!(stated(action::UPDATE_STACK, "ValidationError", "other", 400).kind, ErrorKind::Invalid);
    }

    #[test]
    fn an_endpoint_that_does_not_know_a_call_is_reported() {
        let error = stated(action::CREATE_ADDON, "", "not found", 404);
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.remedy.contains("endpoint_override"));
    }
}
