//! The whole simulated cloud: all scopes, the schedule, quotas, faults and the journal, behind one lock.
//!
//! Holds it; how objects come, change and go is `ctx`, what they mean is the services' business.

use crate::{
    clock::{Clock, Micros},
    cluster::RuntimeCommand,
    faults::Faults,
    journal::Journal,
    kind::Kind,
    object::ObjectRef,
    quota::Quotas,
    rights::AllRights,
    schedule::Schedule,
    scope::Scope,
    scope_key::ScopeKey,
    states::States,
    throttle::Throttle,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A stretch of time that the cloud needed, for the critical path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// `create`, `update`, `delete`.
    pub operation: String,
    /// The object.
    pub object: ObjectRef,
    /// Start.
    pub start_us: Micros,
    /// End, planned while it runs.
    pub end_us: Micros,
    /// Whether it has ended.
    pub done: bool,
}

/// The simulated cloud.
#[derive(Debug)]
pub struct World {
    /// The clock.
    pub clock: Clock,
    /// Decides all durations and ids.
    pub seed: u64,
    /// Ids given so far.
    pub ids: u64,
    /// Accounts and Regions in use.
    pub scopes: HashMap<ScopeKey, Scope>,
    /// What happens by itself.
    pub schedule: Schedule,
    /// Quotas in force.
    pub quotas: Quotas,
    /// What callers may do.
    pub rights: AllRights,
    /// By account: patterns of actions that a policy of its organization forbids, whatever callers may do.
    pub organization: HashMap<String, Vec<String>>,
    /// Work done and under way, by object id and operation.
    pub work: HashMap<(String, String), Work>,
    /// Request rates.
    pub throttle: Throttle,
    /// Fault rules.
    pub faults: Faults,
    /// The journal.
    pub journal: Journal,
    /// Commands to the Kubernetes runtime, sent after the lock is released.
    pub outbox: Vec<RuntimeCommand>,
    /// Control planes that may run at once; `None` if clusters have no Kubernetes.
    pub kubernetes_capacity: Option<usize>,
    /// Whether anything changed since the last snapshot.
    pub dirty: bool,
    /// The kinds that are Kubernetes clusters, over all clouds.
    pub cluster_kinds: Vec<Kind>,
    /// What each cloud has beside objects: sessions, operations, principals.
    pub states: States,
}

impl World {
    /// An empty cloud.
    #[must_use]
    pub fn new(clock: Clock, seed: u64, journal: Journal) -> Self {
        Self {
            clock,
            seed,
            ids: 0,
            scopes: HashMap::new(),
            schedule: Schedule::default(),
            quotas: Quotas::default(),
            rights: AllRights::default(),
            organization: HashMap::new(),
            work: HashMap::new(),
            throttle: Throttle::default(),
            faults: Faults::new(seed),
            journal,
            outbox: Vec::new(),
            kubernetes_capacity: None,
            dirty: false,
            cluster_kinds: Vec::new(),
            states: States::default(),
        }
    }

    /// The scope `key`, made if new.
    pub fn scope(&mut self, key: &ScopeKey) -> &mut Scope {
        if !self.scopes.contains_key(key) {
            self.scopes.insert(key.clone(), Scope::new(key.clone()));
        }
        // The entry API would clone the key on every access.
        self.scopes.get_mut(key).unwrap_or_else(|| unreachable!("the scope was just inserted"))
    }

    /// How many clusters there are, in all accounts of all clouds, but for those that there is no room for.
    #[must_use]
    pub fn clusters(&self) -> u64 {
        let all = self.scopes.values().flat_map(|s| self.cluster_kinds.iter().flat_map(|kind| s.of_kind(*kind)));
        all.filter(|o| o.is_live() && !o.props.contains_key("no_room")).count() as u64
    }

    /// A new hexadecimal id of `digits` digits, the same for the same seed and count.
    pub fn hex(&mut self, digits: usize) -> String {
        self.ids += 1;
        let digest =
            Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(self.ids.to_le_bytes()).finalize();
        hex::encode(digest)[..digits].to_owned()
    }

    /// A new id in UUID form.
    pub fn uuid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..32])
    }

    /// A new random access key tail or unique id in capitals.
    pub fn capitals(&mut self, digits: usize) -> String {
        self.hex(digits).to_uppercase().replace(['0', '1', '8', '9'], "Q")
    }
}
