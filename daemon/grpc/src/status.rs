//! The only place that builds `tonic::Status`: every error has a code, an ErrorInfo with a
//! reason for machines, and a message that says what happened, to what, and what to do.

use std::collections::HashMap;

use landlord_core::{
    ErrorKind, Failure, OperationId, Violations,
    ids::InvalidName,
    ports::{DOMAIN_REMEDY, StoreError},
};
use tonic::{Code, Status, codegen::http};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Domain of every ErrorInfo.
pub(crate) const DOMAIN: &str = "landlord.dev";

fn status(code: Code, reason: &str, message: impl Into<String>, metadata: &[(&str, &str)]) -> Status {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

/// All violations of a request at once.
pub(crate) fn invalid(violations: &Violations) -> Status {
    let mut details = ErrorDetails::with_error_info("FIELD_VIOLATIONS", DOMAIN, HashMap::<String, String>::new());
    for violation in &violations.0 {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    Status::with_error_details(Code::InvalidArgument, format!("invalid request: {violations}"), details)
}

/// One violation.
pub(crate) fn invalid_field(field: &str, description: impl Into<String>) -> Status {
    let violation = landlord_core::Violation { field: field.into(), description: description.into() };
    invalid(&Violations(vec![violation]))
}

/// A name that does not parse.
pub(crate) fn invalid_name(field: &str, error: &InvalidName) -> Status {
    invalid_field(field, error.to_string())
}

/// A method or feature that is not there.
pub(crate) fn unimplemented(what: &str) -> Status {
    status(Code::Unimplemented, "UNIMPLEMENTED", what, &[])
}

/// The daemon stops: streams end, and go on with the next one.
pub(crate) fn stopping() -> Status {
    let message = "the daemon is stopping; watch again with the last resume_token";
    status(Code::Unavailable, "DAEMON_STOPPING", message, &[])
}

/// A watch whose client takes its messages too slowly ends; it goes on with the next one.
pub(crate) fn watch_too_slow(position: i64) -> Status {
    let token = position.to_string();
    let message = "the client takes no messages of this watch; watch again with the last resume_token";
    status(Code::Aborted, "WATCH_TOO_SLOW", message, &[("resume_token", &token)])
}

/// The plugin that would build it is not up.
pub(crate) fn provider_down(message: &str) -> Status {
    status(Code::FailedPrecondition, "PROVIDER_DOWN", message, &[])
}

/// A move that was asked for.
pub(crate) fn move_not_supported(message: &str) -> Status {
    status(Code::FailedPrecondition, "MOVE_NOT_SUPPORTED", message, &[])
}

/// How a cancelled operation ends.
pub(crate) fn cancelled() -> Status {
    status(Code::Cancelled, "CANCELLED", "cancelled: a create is unwound, anything else stopped where it was", &[])
}

/// How an operation ends that another took over.
pub(crate) fn superseded(by: &OperationId) -> Status {
    let by = format!("operations/{by}");
    status(Code::Aborted, "SUPERSEDED", format!("{by} took over; wait for that one"), &[("operation", &by)])
}

/// Errors that the transport finds before a service is asked (a message too large, an unknown
/// method, bytes that are no message) get their ErrorInfo here.
pub(crate) fn explain<B>(mut response: http::Response<B>) -> http::Response<B> {
    let Some(bare) = Status::from_header_map(response.headers()) else { return response };
    if bare.code() == Code::Ok || !bare.details().is_empty() {
        return response;
    }
    let (reason, remedy) = match bare.code() {
        Code::OutOfRange => ("MESSAGE_TOO_LARGE", "; send a smaller message"),
        Code::Unimplemented => ("UNKNOWN_METHOD", "no such service or method; is the client of another version?"),
        _ => ("TRANSPORT", ""),
    };
    let full = status(bare.code(), reason, format!("{}{remedy}", bare.message()), &[]);
    // On failure the bare status stays, which is still a valid answer.
    let _ = full.add_header(response.headers_mut());
    response
}

/// A store's error as clients see it. What they can't mend is logged here, once.
pub(crate) fn store(error: &StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::NotFound(name) => status(Code::NotFound, "NOT_FOUND", message, &[("resource", name)]),
        StoreError::AlreadyExists(name) => {
            status(Code::AlreadyExists, "ALREADY_EXISTS", message, &[("resource", name)])
        }
        StoreError::DomainTaken { domain, tenant, .. } => {
            let resource = tenant.as_deref().map(|tenant| ("resource", tenant));
            let metadata = [("domain", domain.as_str()), ("remedy", DOMAIN_REMEDY)].into_iter().chain(resource);
            status(Code::AlreadyExists, "DOMAIN_TAKEN", message, &metadata.collect::<Vec<_>>())
        }
        StoreError::EtagMismatch { name } => status(Code::Aborted, "ETAG_MISMATCH", message, &[("resource", name)]),
        StoreError::RequestIdReused(id) => {
            status(Code::InvalidArgument, "REQUEST_ID_REUSED", message, &[("request_id", id)])
        }
        StoreError::DeletionProtected(name) => {
            status(Code::FailedPrecondition, "DELETION_PROTECTED", message, &[("resource", name)])
        }
        StoreError::HostInUse { name, tenants } => {
            let metadata = [("resource", name.as_str()), ("tenants", tenants.as_str())];
            status(Code::FailedPrecondition, "HOST_CLUSTER_IN_USE", message, &metadata)
        }
        StoreError::NoHostClusterCapacity(why) => {
            let metadata = [("why", why.as_str()), ("remedy", landlord_core::fleet::FULL_REMEDY)];
            status(Code::ResourceExhausted, "NO_HOST_CLUSTER_CAPACITY", message, &metadata)
        }
        StoreError::FailedPrecondition(_) => status(Code::FailedPrecondition, "FAILED_PRECONDITION", message, &[]),
        StoreError::InvalidArgument(_) => status(Code::OutOfRange, "TOKEN_OUT_OF_RANGE", message, &[]),
        StoreError::FenceLost(_) | StoreError::Corrupt { .. } => {
            tracing::error!(error = message, "the store gave an answer that can't be used");
            status(Code::Internal, "INTERNAL", "the daemon can't read its store; see its log", &[])
        }
        StoreError::Unavailable { source, .. } => {
            tracing::error!(error = message, source = %source, "the store is unavailable");
            status(Code::Unavailable, "STORE_UNAVAILABLE", "the store is unavailable; try again", &[])
        }
    }
}

/// Code of a failure, also of one that ended an operation.
pub(crate) fn failure_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Capacity => Code::Unavailable,
        ErrorKind::Quota => Code::ResourceExhausted,
        ErrorKind::Auth => Code::PermissionDenied,
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::Conflict => Code::FailedPrecondition,
        ErrorKind::NameTaken => Code::AlreadyExists,
        ErrorKind::Internal => Code::Internal,
    }
}

/// A failure of the daemon's other parts, with its remedy.
pub(crate) fn failure(failure: &Failure) -> Status {
    let metadata = [("code", failure.code.as_str()), ("remedy", failure.remedy.as_str())];
    let message = if failure.remedy.is_empty() {
        failure.message.clone()
    } else {
        format!("{}; {}", failure.message, failure.remedy)
    };
    status(failure_code(failure.kind), failure.kind.as_str(), message, &metadata)
}
