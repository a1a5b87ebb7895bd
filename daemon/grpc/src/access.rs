//! What the caller of one rpc may do. Every rpc takes its ports from here, and so sees the store through [`Guard`](crate::guard::Guard).
//!
//! # Guarantees
//! - What the caller may not read is NOT_FOUND; what it may read but not do is PERMISSION_DENIED with the action's name.
//! - An rpc for which the layer in front has left no caller does nothing (UNAUTHENTICATED).

use std::sync::Arc;

use landlord_core::{
    Candidate, EnvironmentName, Level,
    access::{Action, ActionGroup, Decision, EnvironmentAttributes, Principal, Resource},
    audit::{AuditRecord, Author, Outcome},
    ports::{Authorizer, Caller, StoreError, TenantStore, Via},
};
use tokio::time::Instant;
use tonic::Extensions;

use crate::{attributes::Attributes, denials::Denials, error::Error, limits::Granted};

/// The caller of one rpc, and what it does.
#[derive(Clone)]
pub(crate) struct Access {
    principal: Arc<Principal>,
    action: Action,
    authorizer: Arc<dyn Authorizer>,
    attributes: Attributes,
    granted: Granted,
    call: Call,
}

/// One call, as the layer in front has seen it.
#[derive(Clone)]
pub(crate) struct Call {
    /// Until when its principal counts as authenticated.
    pub(crate) ends: Instant,
    /// By which way it came.
    pub(crate) via: Arc<Via>,
    /// Where its denial is noted.
    pub(crate) denials: Arc<Denials>,
}

impl Access {
    pub(crate) fn new(
        principal: Principal,
        action: Action,
        authorizer: Arc<dyn Authorizer>,
        attributes: Attributes,
        (granted, call): (Granted, Call),
    ) -> Self {
        Self { principal: Arc::new(principal), action, authorizer, attributes, granted, call }
    }

    /// Of a request that the layer in front has let through.
    pub(crate) fn of(extensions: &Extensions) -> Result<Self, Error> {
        extensions.get::<Self>().cloned().ok_or_else(|| Error::Unauthenticated("no caller is known".into()))
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether orders are counted at all.
    pub(crate) fn counts_creates(&self) -> bool {
        self.granted.limiter.limits_creates()
    }

    /// Counts an order of the caller's.
    ///
    /// # Errors
    /// It has ordered too much lately.
    pub(crate) fn count_create(&self) -> Result<(), Error> {
        self.granted.limiter.create(&self.principal)
    }

    /// When it must authenticate again.
    pub(crate) fn ends(&self) -> Instant {
        self.call.ends
    }

    /// By which way the call came.
    pub(crate) fn via(&self) -> &Via {
        &self.call.via
    }

    /// What the audit log keeps of this call and a resource.
    pub(crate) fn record(&self, action: Action, resource: &Resource, outcome: Outcome) -> AuditRecord {
        let author = Author {
            principal: self.principal.name.clone(),
            method: self.principal.method.as_str().into(),
            address: self.call.via.address.clone(),
            user_agent: self.call.via.user_agent.clone(),
            action: action.as_str().into(),
            ..Author::default()
        };
        AuditRecord::new(author, resource.name(), resource.customer(), outcome)
    }

    /// What is known of environments, a few seconds old at most.
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
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
        Err(self.refusal(action, resource))
    }

    /// Whether the caller may read a resource, whatever its rpc does.
    pub(crate) fn reads(&self, resource: &Resource) -> bool {
        self.decide(resource.kind().read(), resource).allowed
    }

    /// What a refusal says: whoever may not read the resource does not learn that it is there.
    pub(crate) fn refusal(&self, action: Action, resource: &Resource) -> StoreError {
        let name = resource.name();
        self.call.denials.note(self.record(action, resource, Outcome::Denied));
        if self.reads(resource) {
            return StoreError::PermissionDenied { action: action.as_str(), resource: name };
        }
        StoreError::NotFound(name)
    }

    /// Whether a list or watch shows a resource.
    pub(crate) fn shows(&self, resource: &Resource) -> bool {
        let action = self.action_upon(resource);
        self.decide(action, resource).allowed && (action == resource.kind().read() || self.reads(resource))
    }

    /// Whether the caller may know of a host cluster.
    pub(crate) fn shows_candidate(&self, candidate: &Candidate) -> bool {
        let attributes = EnvironmentAttributes {
            class: candidate.class.to_string(),
            level: Level::Cluster.as_str().into(),
            provider: candidate.provider.to_string(),
            region: candidate.region.clone(),
            state: candidate.state.as_str().into(),
            labels: candidate.labels.clone(),
        };
        let name = EnvironmentName::from(candidate.host.id.clone());
        self.shows(&Resource::Environment { name, attributes: Some(attributes) })
    }

    /// Why no host cluster has room, as the caller may read it.
    pub(crate) fn capacity_message(&self, candidates: &[Candidate], why: String) -> String {
        let all = candidates.iter().all(|candidate| self.shows_candidate(candidate));
        if all { why } else { "no host cluster has room for the tenant".into() }
    }

    /// The same as a refusal.
    pub(crate) async fn no_capacity(&self, store: &dyn TenantStore, why: String) -> StoreError {
        match store.candidates(None).await {
            Ok(candidates) => StoreError::NoHostClusterCapacity(self.capacity_message(&candidates, why)),
            Err(error) => error,
        }
    }

    /// The rpc's own action, or what reading is for a resource that the rpc only looks up.
    fn action_upon(&self, resource: &Resource) -> Action {
        let kind = resource.kind();
        if self.action.kinds().contains(&kind) { self.action } else { kind.read() }
    }

    /// What is decided about an action. The log names the policies that decided.
    pub(crate) fn decide(&self, action: Action, resource: &Resource) -> Decision {
        let decision = self.authorizer.authorize(&self.principal, action, resource);
        // Changes are few and matter; whoever is refused decides how often that is.
        if decision.allowed && matches!(action.group(), ActionGroup::Operate | ActionGroup::Administer) {
            tracing::info!(
                principal = %self.principal,
                action = action.as_str(),
                resource = resource.name(),
                policies = decision.policies.join(","),
                "access was granted"
            );
        } else {
            tracing::debug!(
                principal = %self.principal,
                action = action.as_str(),
                resource = resource.name(),
                allowed = decision.allowed,
                policies = decision.policies.join(","),
                "access was decided"
            );
        }
        decision
    }

    /// What would be decided about somebody else.
    pub(crate) fn decide_for(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        self.authorizer.authorize(principal, action, resource)
    }
}
