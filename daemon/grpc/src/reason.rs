//! The reasons of ErrorInfo: words for machines, one table.

use landlord_core::ErrorKind;
use tonic::Code;

/// Domain of every ErrorInfo.
pub(crate) const DOMAIN: &str = "landlord.dev";

/// One table: each reason, its word, the status code that goes with it.
macro_rules! reasons {
    ($($variant:ident $word:literal $code:ident,)+) => {
        /// Why a call or an operation failed, for machines. `proto/REASONS.md` says of each when it comes and what to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($variant,)+
            /// A failure of a provider, a cluster or an app.
            Failure(ErrorKind),
        }

        impl Reason {
            /// As in ErrorInfo.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Failure(kind) => kind.as_str(),
                }
            }

            /// The status code that goes with it.
            pub(crate) fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code::$code,)+
                    Self::Failure(kind) => failure_code(kind),
                }
            }
        }

        /// All but the failures.
        #[cfg(test)]
        const OWN: &[Reason] = &[$(Reason::$variant,)+];
    };
}

reasons! {
    FieldViolations "FIELD_VIOLATIONS" InvalidArgument,
    Unauthenticated "UNAUTHENTICATED" Unauthenticated,
    IssuerUnavailable "ISSUER_UNAVAILABLE" Unavailable,
    PermissionDenied "PERMISSION_DENIED" PermissionDenied,
    NotFound "NOT_FOUND" NotFound,
    AlreadyExists "ALREADY_EXISTS" AlreadyExists,
    DomainTaken "DOMAIN_TAKEN" AlreadyExists,
    EtagMismatch "ETAG_MISMATCH" Aborted,
    RequestIdReused "REQUEST_ID_REUSED" InvalidArgument,
    DeletionProtected "DELETION_PROTECTED" FailedPrecondition,
    HostClusterInUse "HOST_CLUSTER_IN_USE" FailedPrecondition,
    NotInContract "NOT_IN_CONTRACT" FailedPrecondition,
    NoHostClusterCapacity "NO_HOST_CLUSTER_CAPACITY" ResourceExhausted,
    FailedPrecondition "FAILED_PRECONDITION" FailedPrecondition,
    TokenOutOfRange "TOKEN_OUT_OF_RANGE" OutOfRange,
    StoreUnavailable "STORE_UNAVAILABLE" Unavailable,
    StoreUnreadable "INTERNAL" Internal,
    ProviderDown "PROVIDER_DOWN" FailedPrecondition,
    MoveNotSupported "MOVE_NOT_SUPPORTED" FailedPrecondition,
    Unimplemented "UNIMPLEMENTED" Unimplemented,
    DaemonStopping "DAEMON_STOPPING" Unavailable,
    WatchTooSlow "WATCH_TOO_SLOW" Aborted,
    Reauthenticate "REAUTHENTICATE" Unavailable,
    LimitReached "LIMIT_REACHED" ResourceExhausted,
    Cancelled "CANCELLED" Cancelled,
    Superseded "SUPERSEDED" Aborted,
    MessageTooLarge "MESSAGE_TOO_LARGE" ResourceExhausted,
    MalformedMessage "MALFORMED_MESSAGE" InvalidArgument,
    UnknownCompression "UNKNOWN_COMPRESSION" Unimplemented,
    UnknownMethod "UNKNOWN_METHOD" Unimplemented,
    Transport "TRANSPORT" Internal,
}

/// The status code of a failure of a provider, a cluster or an app.
fn failure_code(kind: ErrorKind) -> Code {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All kinds, one after another: a new one does not compile until it is here.
    fn next(kind: ErrorKind) -> Option<ErrorKind> {
        Some(match kind {
            ErrorKind::Throttled => ErrorKind::Quota,
            ErrorKind::Quota => ErrorKind::Auth,
            ErrorKind::Auth => ErrorKind::Invalid,
            ErrorKind::Invalid => ErrorKind::Conflict,
            ErrorKind::Conflict => ErrorKind::Capacity,
            ErrorKind::Capacity => ErrorKind::Transient,
            ErrorKind::Transient => ErrorKind::NameTaken,
            ErrorKind::NameTaken => ErrorKind::Internal,
            ErrorKind::Internal => return None,
        })
    }

    /// `INVALID_ARGUMENT` of `InvalidArgument`.
    fn word(code: Code) -> String {
        let mut word = String::new();
        for (index, c) in format!("{code:?}").chars().enumerate() {
            if c.is_ascii_uppercase() && index > 0 {
                word.push('_');
            }
            word.push(c.to_ascii_uppercase());
        }
        word
    }

    #[test]
    fn the_documented_reasons_are_the_codes() {
        let text = include_str!("../../../proto/REASONS.md");
        let table = text.split("## Events").next().unwrap();
        let documented: BTreeSet<(String, String)> = table
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
            })
            .collect();
        let failures = std::iter::successors(Some(ErrorKind::Throttled), |kind| next(*kind)).map(Reason::Failure);
        let known: BTreeSet<(String, String)> = OWN
            .iter()
            .copied()
            .chain(failures)
            .map(|reason| (reason.as_str().to_owned(), word(reason.code())))
            .collect();
        assert_eq!(documented, known);
    }
}
