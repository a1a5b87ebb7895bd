//! Tokens that were verified lately: a portal shows the same one with every call, and its signature is the same.
//!
//! # Guarantees
//! - What is remembered of a token holds for the key set that it was verified with, and not beyond the token's end: a key that
//!   its issuer has withdrawn takes its tokens along as soon as the keys were fetched again.
//! - Tokens themselves are not kept, only their hashes.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use landlord_core::{Timestamp, access::Principal};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::SKEW_SECS;

/// Tokens that are remembered: some 2 MiB. Beyond it those that have ended go, or else all.
const KEPT_MAX: usize = 4_096;

/// The hash of a token.
pub(super) type Hash = [u8; 32];

#[derive(Debug)]
struct Known {
    /// Place of its issuer.
    issuer: usize,
    /// Of the issuer's keys.
    generation: u64,
    principal: Principal,
}

/// Tokens that were verified.
#[derive(Debug, Default)]
pub(super) struct Verified {
    known: Mutex<HashMap<Hash, Known>>,
}

pub(super) fn hash(token: &str) -> Hash {
    Sha256::digest(token).into()
}

impl Verified {
    /// Whose a token is. `generation`: that of an issuer's keys now; `None`: they must be fetched.
    pub(super) fn find(&self, token: &Hash, generation: impl Fn(usize) -> Option<u64>) -> Option<Principal> {
        let mut known = self.known.lock();
        let found = known.get(token)?;
        if generation(found.issuer) == Some(found.generation) && !has_ended(&found.principal) {
            return Some(found.principal.clone());
        }
        known.remove(token);
        None
    }

    pub(super) fn keep(&self, token: Hash, issuer: usize, generation: u64, principal: &Principal) {
        let mut known = self.known.lock();
        if known.len() >= KEPT_MAX {
            known.retain(|_, known| !has_ended(&known.principal));
        }
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(token, Known { issuer, generation, principal: principal.clone() });
    }
}

/// As it is judged when a token is verified.
fn has_ended(principal: &Principal) -> bool {
    let now = Timestamp::from(SystemTime::now());
    principal.expire_time.is_none_or(|end| end.after(Duration::from_secs(SKEW_SECS)) < now)
}

#[cfg(test)]
mod tests {
    use landlord_core::access::AuthMethod;

    use super::*;

    fn principal(name: &str, left_secs: i64) -> Principal {
        Principal {
            name: name.into(),
            groups: Default::default(),
            customer: None,
            method: AuthMethod::Token,
            expire_time: Some(Timestamp((landlord_test_tokens::now() + left_secs) * 1_000)),
        }
    }

    #[test]
    fn what_is_remembered_ends_with_its_token_and_its_keys() {
        let verified = Verified::default();
        let one = hash("one");
        verified.keep(one, 0, 7, &principal("alice", 60));
        assert_eq!(verified.find(&one, |_| Some(7)).unwrap().name, "alice");
        assert!(verified.find(&hash("two"), |_| Some(7)).is_none());
        // Newer keys, or none that are fresh.
        assert!(verified.find(&one, |_| Some(8)).is_none());
        verified.keep(one, 0, 7, &principal("alice", 60));
        assert!(verified.find(&one, |_| None).is_none());
        let skew = i64::try_from(SKEW_SECS).unwrap();
        for (left, stays) in [(-1, true), (1 - skew, true), (-1 - skew, false)] {
            verified.keep(one, 0, 7, &principal("alice", left));
            assert_eq!(verified.find(&one, |_| Some(7)).is_some(), stays, "{left}");
        }
    }

    #[test]
    fn so_many_tokens_are_remembered_and_no_more() {
        let verified = Verified::default();
        let kept = |verified: &Verified| verified.known.lock().len();
        for index in 0..KEPT_MAX {
            verified.keep(hash(&index.to_string()), 0, 1, &principal("alice", if index < 10 { 60 } else { -3_600 }));
        }
        verified.keep(hash("more"), 0, 1, &principal("alice", 60));
        assert_eq!(kept(&verified), 11);
        for index in 0..2 * KEPT_MAX {
            verified.keep(hash(&index.to_string()), 0, 1, &principal("alice", 60));
            assert!(kept(&verified) <= KEPT_MAX);
        }
    }
}
