//! What the caller of one rpc may do. Every rpc takes its ports from here, and so sees the store through [`Guard`].
//!
//! # Guarantees
//! - What the caller may not read is NOT_FOUND; what it may read but not do is PERMISSION_DENIED with the action's name.
//! - An rpc for which the layer in front has left no caller does nothing (UNAUTHENTICATED).

use std::sync::Arc;

use landlord_core::{
    access::{Action, Decision, Principal, Resource},
    ports::{Authorizer, Caller, StoreError},
};
use tonic::Extensions;

use crate::{error::Error, guard::Guard, ports::Ports};

/// The caller of one rpc, and what it does.
#[derive(Clone)]
pub(crate) struct Access {
    principal: Arc<Principal>,
    action: Action,
    authorizer: Arc<dyn Authorizer>,
}

impl Access {
    pub(crate) fn new(principal: Principal, action: Action, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { principal: Arc::new(principal), action, authorizer }
    }

    /// Of a request that the layer in front has let through.
    pub(crate) fn of(extensions: &Extensions) -> Result<Self, Error> {
        extensions.get::<Self>().cloned().ok_or_else(|| Error::Unauthenticated("no caller is known".into()))
    }

    /// Ports through which only what the caller may do can be done.
    pub(crate) fn guard(&self, ports: &Ports) -> Ports {
        Ports { store: Arc::new(Guard::new(ports.store.clone(), self.clone())), ..ports.clone() }
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// As the store knows it.
    pub(crate) fn caller(&self) -> Caller {
        Caller::Principal((*self.principal).clone())
    }

    /// The rpc's own action upon a resource.
    ///
    /// # Errors
    /// NOT_FOUND for what the caller may not read, else PERMISSION_DENIED.
    pub(crate) fn check(&self, resource: &Resource) -> Result<(), StoreError> {
        self.check_action(self.action_upon(resource), resource)
    }

    /// The same of another action.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn check_action(&self, action: Action, resource: &Resource) -> Result<(), StoreError> {
        if self.decide(action, resource).allowed {
            return Ok(());
        }
        let name = resource.name();
        if self.decide(resource.kind().read(), resource).allowed {
            return Err(StoreError::PermissionDenied { action: action.as_str(), resource: name });
        }
        Err(StoreError::NotFound(name))
    }

    /// Whether a list or watch shows a resource.
    pub(crate) fn shows(&self, resource: &Resource) -> bool {
        let (action, read) = (self.action_upon(resource), resource.kind().read());
        self.decide(action, resource).allowed && (action == read || self.decide(read, resource).allowed)
    }

    /// The rpc's own action, or what reading is for a resource that the rpc only looks up.
    fn action_upon(&self, resource: &Resource) -> Action {
        let kind = resource.kind();
        if self.action.kinds().contains(&kind) { self.action } else { kind.read() }
    }

    /// What is decided about an action. The log names the policies that decided.
    pub(crate) fn decide(&self, action: Action, resource: &Resource) -> Decision {
        let decision = self.authorizer.authorize(&self.principal, action, resource);
        tracing::debug!(
            principal = %self.principal,
            action = action.as_str(),
            resource = resource.name(),
            allowed = decision.allowed,
            policies = ?decision.policies,
            "access was decided"
        );
        decision
    }

    /// What would be decided about somebody else.
    pub(crate) fn decide_for(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        self.authorizer.authorize(principal, action, resource)
    }
}
