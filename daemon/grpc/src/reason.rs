//! The reasons of ErrorInfo: words for machines, one table.

use landlord_core::ErrorKind;
use tonic::Code;

/// Domain of every ErrorInfo.
pub(crate) const DOMAIN: &str = "landlord.dev";

/// Why a call or an operation failed, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    FieldViolations,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    AlreadyExists,
    DomainTaken,
    EtagMismatch,
    RequestIdReused,
    DeletionProtected,
    HostClusterInUse,
    NoHostClusterCapacity,
    FailedPrecondition,
    TokenOutOfRange,
    StoreUnavailable,
    StoreUnreadable,
    ProviderDown,
    MoveNotSupported,
    Unimplemented,
    DaemonStopping,
    WatchTooSlow,
    Reauthenticate,
    LimitReached,
    Cancelled,
    Superseded,
    MessageTooLarge,
    MalformedMessage,
    UnknownCompression,
    UnknownMethod,
    Transport,
    /// A failure of a provider, a cluster or an app.
    Failure(ErrorKind),
}

impl Reason {
    /// As in ErrorInfo.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::FieldViolations => "FIELD_VIOLATIONS",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::DomainTaken => "DOMAIN_TAKEN",
            Self::EtagMismatch => "ETAG_MISMATCH",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::DeletionProtected => "DELETION_PROTECTED",
            Self::HostClusterInUse => "HOST_CLUSTER_IN_USE",
            Self::NoHostClusterCapacity => "NO_HOST_CLUSTER_CAPACITY",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::TokenOutOfRange => "TOKEN_OUT_OF_RANGE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::StoreUnreadable => "INTERNAL",
            Self::ProviderDown => "PROVIDER_DOWN",
            Self::MoveNotSupported => "MOVE_NOT_SUPPORTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::DaemonStopping => "DAEMON_STOPPING",
            Self::WatchTooSlow => "WATCH_TOO_SLOW",
            Self::Reauthenticate => "REAUTHENTICATE",
            Self::LimitReached => "LIMIT_REACHED",
            Self::Cancelled => "CANCELLED",
            Self::Superseded => "SUPERSEDED",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::MalformedMessage => "MALFORMED_MESSAGE",
            Self::UnknownCompression => "UNKNOWN_COMPRESSION",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::Transport => "TRANSPORT",
            Self::Failure(kind) => kind.as_str(),
        }
    }

    /// The status code that goes with it.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::FieldViolations | Self::RequestIdReused | Self::MalformedMessage => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists | Self::DomainTaken => Code::AlreadyExists,
            Self::EtagMismatch | Self::WatchTooSlow | Self::Superseded => Code::Aborted,
            Self::DeletionProtected
            | Self::HostClusterInUse
            | Self::FailedPrecondition
            | Self::ProviderDown
            | Self::MoveNotSupported => Code::FailedPrecondition,
            Self::NoHostClusterCapacity | Self::LimitReached | Self::MessageTooLarge => Code::ResourceExhausted,
            Self::TokenOutOfRange => Code::OutOfRange,
            Self::StoreUnavailable | Self::DaemonStopping | Self::Reauthenticate => Code::Unavailable,
            Self::StoreUnreadable | Self::Transport => Code::Internal,
            Self::Unimplemented | Self::UnknownMethod | Self::UnknownCompression => Code::Unimplemented,
            Self::Cancelled => Code::Cancelled,
            Self::Failure(kind) => match kind {
                ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Capacity => Code::Unavailable,
                ErrorKind::Quota => Code::ResourceExhausted,
                ErrorKind::Auth => Code::PermissionDenied,
                ErrorKind::Invalid => Code::InvalidArgument,
                ErrorKind::Conflict => Code::FailedPrecondition,
                ErrorKind::NameTaken => Code::AlreadyExists,
                ErrorKind::Internal => Code::Internal,
            },
        }
    }
}
