//! Decisions that were made lately by one set of policies: a portal asks the same again and again, and the same question has the
//! same answer. Goes with its set.

use std::{
    collections::HashMap,
    hash::{Hash as _, Hasher},
};

use landlord_core::access::{Action, Decision, Principal, Resource};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// Decisions that are remembered: some 4 MiB. Beyond it all go.
const KEPT_MAX: usize = 4_096;

/// Decisions by question, of which only the hash is kept: names in it are as long as a caller likes.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    kept: Mutex<HashMap<[u8; 32], Decision>>,
}

/// Feeds a question into a hash that nobody finds a second question for: equal hashes let somebody in.
struct Question(Sha256);

impl Hasher for Question {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not used: the whole hash counts.
    fn finish(&self) -> u64 {
        0
    }
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
        let mut question = Question(Sha256::new());
        (spoken_of(principal), action, resource).hash(&mut question);
        let question: [u8; 32] = question.0.finalize().into();
        if let Some(decision) = self.kept.lock().get(&question) {
            return decision.clone();
        }
        // Not under the lock: others' questions do not wait.
        let decision = decide();
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(question, decision.clone());
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
