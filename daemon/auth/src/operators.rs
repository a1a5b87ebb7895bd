//! The smallest policy: operators may do everything, nobody else anything.

use landlord_core::{
    access::{Action, Decision, OPERATORS, Principal, Resource},
    ports::Authorizer,
};

/// Operators may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct OperatorsOnly;

impl Authorizer for OperatorsOnly {
    fn authorize(&self, principal: &Principal, _: Action, _: &Resource) -> Decision {
        let allowed = principal.groups.contains(OPERATORS);
        let policies = if allowed { vec!["operators".to_owned()] } else { Vec::new() };
        Decision { allowed, policies }
    }
}
