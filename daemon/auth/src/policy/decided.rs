//! Decisions that were made lately by one set of policies: a portal asks the same again and again, and the same question has the
//! same answer. Goes with its set.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use landlord_core::access::{Action, Decision, Principal, Resource};
use parking_lot::Mutex;

/// Decisions that are remembered: some 4 MiB. Beyond it all go.
const KEPT_MAX: usize = 4_096;

/// Decisions by question.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    hasher: RandomState,
    kept: Mutex<HashMap<u64, Kept>>,
}

#[derive(Debug)]
struct Kept {
    principal: Principal,
    action: Action,
    resource: Resource,
    decision: Decision,
}

/// All of a principal that policies can speak of.
fn spoken_of(
    Principal { name, groups, customer, method, expire_time: _ }: &Principal,
) -> (&String, &std::collections::BTreeSet<String>, &Option<landlord_core::CustomerId>, landlord_core::access::AuthMethod)
{
    (name, groups, customer, *method)
}

impl Decisions {
    /// What was decided about a question, or is decided now.
    pub(super) fn of(
        &self,
        (principal, action, resource): (&Principal, Action, &Resource),
        decide: impl FnOnce() -> Decision,
    ) -> Decision {
        let hash = self.hasher.hash_one((spoken_of(principal), action, resource));
        // Equal hashes are not enough to let anybody in.
        let same = |kept: &&Kept| {
            kept.action == action && kept.resource == *resource && spoken_of(&kept.principal) == spoken_of(principal)
        };
        if let Some(kept) = self.kept.lock().get(&hash).filter(same) {
            return kept.decision.clone();
        }
        // Not under the lock: others' questions do not wait.
        let decision = decide();
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let entry =
            Kept { principal: principal.clone(), action, resource: resource.clone(), decision: decision.clone() };
        kept.insert(hash, entry);
        decision
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use landlord_core::access::AuthMethod;

    use super::*;

    #[test]
    fn the_same_question_is_decided_once_and_another_one_by_itself() {
        let (decisions, made) = (Decisions::default(), Cell::new(0));
        let principal = |name: &str, group: &str, customer: Option<&str>| Principal {
            name: name.into(),
            groups: [group.to_owned()].into(),
            customer: customer.map(|id| id.parse().unwrap()),
            method: AuthMethod::Token,
            expire_time: None,
        };
        let customer = |id: &str| Resource::Customer(id.parse().unwrap());
        let ask = |principal: &Principal, action, resource: &Resource| {
            decisions.of((principal, action, resource), || {
                made.set(made.get() + 1);
                Decision { allowed: true, policies: vec![made.get().to_string()] }
            })
        };
        let alice = principal("alice", "staff", None);
        let first = ask(&alice, Action::ListTenants, &customer("acme"));
        // A renewed token changes nothing.
        let renewed = Principal { expire_time: Some(landlord_core::Timestamp(5)), ..alice.clone() };
        assert_eq!(ask(&renewed, Action::ListTenants, &customer("acme")), first);
        assert_eq!(made.get(), 1);
        ask(&alice, Action::CreateTenant, &customer("acme"));
        ask(&alice, Action::ListTenants, &customer("globex"));
        ask(&principal("bob", "staff", None), Action::ListTenants, &customer("acme"));
        ask(&principal("alice", "admins", None), Action::ListTenants, &customer("acme"));
        ask(&principal("alice", "staff", Some("acme")), Action::ListTenants, &customer("acme"));
        assert_eq!(made.get(), 6);
        for index in 0..2 * KEPT_MAX {
            ask(&alice, Action::ListTenants, &customer(&format!("c{index}")));
            assert!(decisions.kept.lock().len() <= KEPT_MAX);
        }
    }
}
