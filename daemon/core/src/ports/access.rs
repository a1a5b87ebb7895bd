//! Ports to those who know the callers, and what they may do.

use async_trait::async_trait;

use super::Peer;
use crate::access::{Action, Decision, Principal, Resource};

/// A caller that could not be identified. The text holds no secret, and does not reveal which part of a token was right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// What it shows does not hold.
    #[error("{0}")]
    Refused(String),
    /// What it shows can't be checked now: whoever vouches for it is away. The same may hold in a moment.
    #[error("{0}")]
    Unavailable(String),
}

/// Knows the callers.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Who calls: by the bearer token if there is one (a bad one is never overlooked), else by the certificate, else by the
    /// local user.
    async fn authenticate(&self, peer: &Peer, bearer: Option<&str>) -> Result<Principal, Unauthenticated>;
}

/// Knows what callers may do. Responds at once.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether `principal` may do this. What nothing allows is denied.
    fn authorize(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision;
}
