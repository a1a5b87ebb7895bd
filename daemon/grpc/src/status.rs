//! The only place that builds `tonic::Status`: every error has a code, an ErrorInfo with a reason for machines, and a
//! message that says what happened, to what, and what to do.

use std::collections::HashMap;

use landlord_core::{
    Failure, Violations,
    ports::{DOMAIN_REMEDY, StoreError},
};
use tonic::{Code, Status, codegen::http};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    error::Error,
    reason::{DOMAIN, Reason},
};

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        of(&error)
    }
}

/// An error as clients see it. What they can't mend is logged here, once.
pub(crate) fn of(error: &Error) -> Status {
    let message = error.to_string();
    match error {
        Error::Invalid(violations) => invalid(violations, message),
        Error::Store(error) => store(error, message),
        Error::Failure(failure) => of_failure(failure, message),
        Error::Unauthenticated(_) => status(Reason::Unauthenticated, message, &[]),
        Error::IssuerUnavailable(_) => status(Reason::IssuerUnavailable, message, &[]),
        Error::ProviderDown(_) => status(Reason::ProviderDown, message, &[]),
        Error::MoveNotSupported(_) => status(Reason::MoveNotSupported, message, &[]),
        Error::Unimplemented(_) => status(Reason::Unimplemented, message, &[]),
        Error::Stopping => status(Reason::DaemonStopping, message, &[]),
        Error::WatchTooSlow { resume_token } => {
            status(Reason::WatchTooSlow, message, &[("resume_token", resume_token)])
        }
        Error::LogsTooSlow => status(Reason::WatchTooSlow, message, &[]),
        Error::Reauthenticate => status(Reason::Reauthenticate, message, &[]),
        Error::LimitReached { retry_delay, .. } => {
            let mut details = ErrorDetails::with_retry_info(Some(*retry_delay));
            details.set_error_info(Reason::LimitReached.as_str(), DOMAIN, HashMap::<String, String>::new());
            Status::with_error_details(Reason::LimitReached.code(), message, details)
        }
        Error::Cancelled => status(Reason::Cancelled, message, &[]),
        Error::Superseded { by } => status(Reason::Superseded, message, &[("operation", &format!("operations/{by}"))]),
    }
}

fn status(reason: Reason, message: impl Into<String>, metadata: &[(&str, &str)]) -> Status {
    with_code(reason.code(), reason, message, metadata)
}

fn with_code(code: Code, reason: Reason, message: impl Into<String>, metadata: &[(&str, &str)]) -> Status {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

fn invalid(violations: &Violations, message: String) -> Status {
    let reason = Reason::FieldViolations;
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, HashMap::<String, String>::new());
    for violation in &violations.0 {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    Status::with_error_details(reason.code(), message, details)
}

fn of_failure(failure: &Failure, message: String) -> Status {
    let metadata = [("code", failure.code.as_str()), ("remedy", failure.remedy.as_str())];
    status(Reason::Failure(failure.kind), message, &metadata)
}

fn store(error: &StoreError, message: String) -> Status {
    match error {
        StoreError::NotFound(name) => status(Reason::NotFound, message, &[("resource", name)]),
        StoreError::AlreadyExists(name) => status(Reason::AlreadyExists, message, &[("resource", name)]),
        StoreError::DomainTaken { domain, tenant, .. } => {
            let resource = tenant.as_deref().map(|tenant| ("resource", tenant));
            let metadata = [("domain", domain.as_str()), ("remedy", DOMAIN_REMEDY)].into_iter().chain(resource);
            status(Reason::DomainTaken, message, &metadata.collect::<Vec<_>>())
        }
        StoreError::EtagMismatch { name } => status(Reason::EtagMismatch, message, &[("resource", name)]),
        StoreError::RequestIdReused(id) => status(Reason::RequestIdReused, message, &[("request_id", id)]),
        StoreError::DeletionProtected(name) => status(Reason::DeletionProtected, message, &[("resource", name)]),
        StoreError::HostInUse { name, tenants } => {
            let metadata = [("resource", name.as_str()), ("tenants", tenants.as_str())];
            status(Reason::HostClusterInUse, message, &metadata)
        }
        StoreError::NotInContract { customer, violations } => {
            let metadata = HashMap::from([("resource".to_owned(), customer.clone())]);
            let mut details = ErrorDetails::with_error_info(Reason::NotInContract.as_str(), DOMAIN, metadata);
            for violation in violations {
                details.add_precondition_failure_violation(&violation.field, customer, &violation.description);
            }
            Status::with_error_details(Reason::NotInContract.code(), message, details)
        }
        StoreError::NoHostClusterCapacity(why) => {
            let metadata = [("why", why.as_str()), ("remedy", landlord_core::fleet::FULL_REMEDY)];
            status(Reason::NoHostClusterCapacity, message, &metadata)
        }
        StoreError::PermissionDenied { action, resource } => {
            status(Reason::PermissionDenied, message, &[("action", action), ("resource", resource)])
        }
        StoreError::FailedPrecondition(_) => status(Reason::FailedPrecondition, message, &[]),
        StoreError::InvalidArgument(_) => status(Reason::TokenOutOfRange, message, &[]),
        StoreError::FenceLost(_) | StoreError::Corrupt { .. } => {
            tracing::error!(error = message, "the store returned what can't be used");
            status(Reason::StoreUnreadable, "the daemon can't read its store; see its log", &[])
        }
        StoreError::Unavailable { source, .. } => {
            tracing::error!(error = message, source = %source, "the store is unavailable");
            status(Reason::StoreUnavailable, "the store is unavailable; try again", &[])
        }
    }
}

/// Errors that the transport finds before a service is called (a message too large, an unknown method, bytes that are no
/// message) get their ErrorInfo here; where traces are sent, every error gets the id of its request's as `RequestInfo.request_id`.
pub(crate) fn explain<B>(mut response: http::Response<B>) -> http::Response<B> {
    let Some(bare) = Status::from_header_map(response.headers()) else { return response };
    let trace = landlord_trace::present();
    let is_bare = bare.details().is_empty();
    if bare.code() == Code::Ok || !(is_bare || trace.is_some()) {
        return response;
    }
    let mut full = if is_bare { of_transport(&bare) } else { bare };
    if let Some(trace) = trace {
        let mut details = full.get_error_details();
        details.set_request_info(trace, "");
        let (code, message, metadata) = (full.code(), full.message().to_owned(), full.metadata().clone());
        full = Status::with_error_details_and_metadata(code, message, details, metadata);
    }
    // On failure the bare status stays, which is still a valid response.
    let _ = full.add_header(response.headers_mut());
    response
}

fn of_transport(bare: &Status) -> Status {
    let (reason, remedy) = transport_reason(bare.code(), bare.message());
    // Of the transport's own errors the code is kept: nothing is known of them.
    let code = if reason == Reason::Transport { bare.code() } else { reason.code() };
    with_code(code, reason, format!("{}{remedy}", bare.message()), &[])
}

/// What an error of the transport means, and its remedy. The transport's library distinguishes malformed messages from its own faults by
/// their words only.
fn transport_reason(code: Code, message: &str) -> (Reason, &'static str) {
    const MALFORMED: [&str; 2] = ["failed to decode Protobuf message", "Error decompressing"];
    match code {
        Code::OutOfRange | Code::ResourceExhausted => (Reason::MessageTooLarge, "; send a smaller message"),
        Code::Unimplemented if message.contains("compressed") => (Reason::UnknownCompression, "; use gzip, or none"),
        Code::Unimplemented => (Reason::UnknownMethod, "no such service or method; is the client of another version?"),
        Code::Internal if message.contains("recursion limit") => {
            (Reason::MalformedMessage, "; its values are nested too deeply")
        }
        Code::Internal if MALFORMED.iter().any(|words| message.contains(words)) => {
            (Reason::MalformedMessage, "; is the client of another version?")
        }
        _ => (Reason::Transport, ""),
    }
}
