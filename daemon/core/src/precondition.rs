//! Which version of an environment a request is for.

use crate::{DesiredState, Environment, Owner, Placement, State};

/// What must be true of an environment when a request changes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It is the version with this etag (AIP-154), which the client saw.
    Etag(String),
    /// It is ordered as it was, and in the same state. What the engine records meanwhile replaces nothing that a client
    /// ordered, so it is no reason to merge or to decide again.
    SameOrder(Box<Order>),
}

/// What a merge and a decision of the policies depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    owner: Owner,
    placement: Placement,
    desired_state: DesiredState,
    state: State,
}

impl From<&Environment> for Order {
    fn from(environment: &Environment) -> Self {
        Self {
            owner: environment.owner.clone(),
            placement: environment.placement.clone(),
            desired_state: environment.desired_state,
            state: environment.status.state,
        }
    }
}

impl Precondition {
    /// Of a request; without an etag every version will do.
    #[must_use]
    pub fn of_etag(etag: &str) -> Self {
        if etag.is_empty() { Self::None } else { Self::Etag(etag.to_owned()) }
    }

    /// That nobody ordered anything else since `environment` was read.
    #[must_use]
    pub fn same_order(environment: &Environment) -> Self {
        Self::SameOrder(Box::new(environment.into()))
    }

    /// Whether it is true of `environment`.
    #[must_use]
    pub fn holds(&self, environment: &Environment) -> bool {
        match self {
            Self::None => true,
            Self::Etag(etag) => *etag == environment.etag,
            Self::SameOrder(order) => **order == environment.into(),
        }
    }
}
