//! How a command can end, and the exit code of each.

use std::process::ExitCode;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Exit codes; part of the client's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command line or a file is wrong.
    Usage = 2,
    /// The operation failed, or the daemon had an error of its own.
    Failed = 3,
    /// The wait timed out; the work goes on.
    TimedOut = 4,
    /// There is no such thing.
    NotFound = 5,
    /// It exists already, has changed meanwhile, or is in the wrong state.
    Conflict = 6,
    /// Not allowed.
    Auth = 7,
    /// The daemon can't be reached, or is overloaded.
    Unavailable = 8,
    /// The operation was cancelled.
    Cancelled = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or a file is wrong.
    #[error("{0}")]
    Usage(String),
    /// The daemon can't be reached.
    #[error("can't reach landlordd at {server}: {problem}; is it running? --server or LANDLORD_SERVER names another")]
    Unreachable {
        /// Address.
        server: String,
        /// Why.
        problem: String,
    },
    /// The daemon shows a certificate that is not taken.
    #[error(
        "the certificate of {server} is refused: {problem}; --ca-file names the CAs that it must be signed by, and the host in \
         --server must be a name that it holds"
    )]
    Untrusted {
        /// Address.
        server: String,
        /// Why.
        problem: String,
    },
    /// The issuer at which somebody logs in can't be reached.
    #[error("can't reach the issuer {issuer}: {problem}")]
    IssuerUnreachable {
        /// Issuer.
        issuer: String,
        /// Why.
        problem: String,
    },
    /// The daemon refused.
    #[error("{}", describe(.0))]
    Refused(Box<Status>),
    /// The daemon says that something would not be allowed.
    #[error("{0}")]
    Denied(String),
    /// A check of a tenant, or a test of a webhook, failed.
    #[error("{0}")]
    Check(String),
    /// The operation ended without success.
    #[error("{message}")]
    Operation {
        /// Its code.
        code: Code,
        /// What happened.
        message: String,
    },
    /// The wait is over, the work is not.
    #[error("{0}")]
    TimedOut(String),
    /// Nothing has that name.
    #[error("{0}")]
    NotFound(String),
    /// The output can't be written.
    #[error("can't write the output: {0}")]
    Output(#[from] std::io::Error),
    /// A response that can't be understood.
    #[error("the daemon's response can't be understood: {0}; is it of another version?")]
    Response(String),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Error {
    /// Its exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Denied(_) => Exit::Auth,
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::IssuerUnreachable { .. } => Exit::Unavailable,
            Self::Refused(status) => of_code(status.code()),
            Self::Operation { code: Code::Cancelled, .. } => Exit::Cancelled,
            // Another change took over.
            Self::Operation { code: Code::Aborted, .. } => Exit::Conflict,
            Self::Operation { .. } | Self::Check(_) | Self::Output(_) | Self::Response(_) => Exit::Failed,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::NotFound(_) => Exit::NotFound,
        }
    }
}

/// Whether a daemon that restarts can be behind it. landlordd itself never returns UNKNOWN or
/// CANCELLED to a question: a connection that broke in the middle does.
pub(crate) fn is_outage(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

/// The exit code of a refusal.
fn of_code(code: Code) -> Exit {
    match code {
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Exit::Conflict,
        Code::PermissionDenied | Code::Unauthenticated => Exit::Auth,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => Exit::Unavailable,
        Code::Cancelled => Exit::Cancelled,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Exit::Failed,
    }
}

/// The daemon's words; all field violations, one a line.
fn describe(status: &Status) -> String {
    let Some(request) = status.get_details_bad_request() else {
        return status.message().to_owned();
    };
    let lines: Vec<String> =
        request.field_violations.iter().map(|v| format!("  {}: {}", v.field, v.description)).collect();
    format!("the request is not valid:\n{}", lines.join("\n"))
}

/// An error with its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_exit_code() {
        let operation = |code| Error::Operation { code, message: String::new() };
        let refused = |code| Error::from(Status::new(code, ""));
        let cases = [
            (Error::Usage(String::new()), 2),
            (refused(Code::InvalidArgument), 2),
            (refused(Code::OutOfRange), 2),
            (operation(Code::ResourceExhausted), 3),
            (operation(Code::PermissionDenied), 3),
            (refused(Code::Internal), 3),
            (Error::TimedOut(String::new()), 4),
            (refused(Code::NotFound), 5),
            (Error::NotFound(String::new()), 5),
            (refused(Code::AlreadyExists), 6),
            (refused(Code::Aborted), 6),
            (refused(Code::FailedPrecondition), 6),
            (operation(Code::Aborted), 6),
            (refused(Code::PermissionDenied), 7),
            (refused(Code::Unauthenticated), 7),
            (refused(Code::Unavailable), 8),
            (Error::Unreachable { server: String::new(), problem: String::new() }, 8),
            (Error::Untrusted { server: String::new(), problem: String::new() }, 8),
            (operation(Code::Cancelled), 9),
        ];
        for (error, expected) in cases {
            assert_eq!(error.exit() as u8, expected, "{error:?}");
        }
    }
}
