//! One request of the API as the store sees it: who makes it, how a repetition of it is known, and how long anybody waits
//! for its response.

use std::{fmt, net::SocketAddr, str::FromStr, time::Instant};

use crate::{CustomerId, EnvironmentName, access::Principal};

/// Characters of a client's name, which it chooses.
const USER_AGENT_CHARS_MAX: usize = 200;

/// How a request came in: what is known of a client beside who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Via {
    /// Address, or `unix:UID`; empty: landlord itself.
    pub address: String,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Via {
    /// `user_agent`: as the client sent it.
    #[must_use]
    pub fn new(address: String, user_agent: &str) -> Self {
        let shown = user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX);
        Self { address, user_agent: shown.collect() }
    }
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// landlord itself: it orders a host cluster when all are full.
    Daemon,
    /// Somebody on the network who has not authenticated.
    Anonymous {
        /// Address; `None`: the transport does not say.
        address: Option<SocketAddr>,
    },
    /// Somebody who has authenticated.
    Principal(Principal),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon => f.write_str("landlord"),
            Self::Anonymous { address: Some(address) } => write!(f, "anonymous@{address}"),
            Self::Anonymous { address: None } => f.write_str("anonymous"),
            Self::Principal(principal) => principal.fmt(f),
        }
    }
}

/// A client's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// AIP-155 request id; `None`: every call is a new request.
    pub request_id: Option<uuid::Uuid>,
    /// SHA-256 of the canonical request, hex; a replay must carry the same.
    pub request_hash: String,
}

/// Among whose requests a request id is searched for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestScope {
    /// Requests about a customer's tenants.
    Customer(CustomerId),
    /// Requests about host clusters.
    HostClusters,
}

impl From<&EnvironmentName> for RequestScope {
    fn from(name: &EnvironmentName) -> Self {
        match name {
            EnvironmentName::Tenant(name) => Self::Customer(name.customer.clone()),
            EnvironmentName::HostCluster(_) => Self::HostClusters,
        }
    }
}

/// The trace that a request belongs to: a `traceparent` of W3C Trace Context, version 00.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// As in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

/// A `traceparent` that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no traceparent of W3C Trace Context")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('-').collect();
        let hex = |part: &str, chars: usize| {
            part.len() == chars && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let some = |part: &str| part.bytes().any(|b| b != b'0');
        match parts.as_slice() {
            ["00", trace, span, flags]
                if hex(trace, 32) && some(trace) && hex(span, 16) && some(span) && hex(flags, 2) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidTraceParent),
        }
    }
}

/// What is known of a request beside what it requests. Made once for each call of the API, and handed down to the
/// store's writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Who makes it.
    pub caller: Caller,
    /// By which way it came.
    pub via: Via,
    /// The rpc; empty: landlord does it by itself.
    pub rpc: &'static str,
    /// Its id as the client wrote it; empty: it has none.
    pub client_request_id: String,
    /// How a repetition of it is known.
    pub key: RequestKey,
    /// When nobody waits for the response any more; `None`: whenever it comes.
    pub deadline: Option<Instant>,
    /// The client's trace; `None`: it has none.
    pub trace: Option<TraceParent>,
}

impl RequestContext {
    /// Of what landlord does by itself: it has no id, no deadline and no trace.
    #[must_use]
    pub fn of_daemon() -> Self {
        Self {
            caller: Caller::Daemon,
            via: Via::default(),
            rpc: "",
            client_request_id: String::new(),
            key: RequestKey { request_id: None, request_hash: String::new() },
            deadline: None,
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_distinguished_from_other_text() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed: TraceParent = good.parse().unwrap();
        assert_eq!((parsed.as_str(), parsed.trace_id()), (good, "4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad}");
        }
    }
}
