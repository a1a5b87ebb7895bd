//! One request of the API as the store sees it: who makes it, by which way, and how a repetition of it is known.

use std::{fmt, net::SocketAddr};

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
}

impl RequestContext {
    /// Of what landlord does by itself: it has no id.
    #[must_use]
    pub fn of_daemon() -> Self {
        Self {
            caller: Caller::Daemon,
            via: Via::default(),
            rpc: "",
            client_request_id: String::new(),
            key: RequestKey { request_id: None, request_hash: String::new() },
        }
    }
}
