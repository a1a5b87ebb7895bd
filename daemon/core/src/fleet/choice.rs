//! The choice of a host cluster for a tenant: pure, the same input gives the same choice. Who lives where and what was
//! counted arrive as values.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Growth, HostSelector};
use crate::{
    Amounts, ClassName, Observation, ProviderName,
    environment::{HostClusterRef, State},
};

/// A host cluster and who lives there, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which.
    pub host: HostClusterRef,
    /// Provider.
    pub provider: ProviderName,
    /// Credential scope.
    pub credentials: String,
    /// Account of the credential scope; empty: unknown.
    pub account: String,
    /// Class that it was built by.
    pub class: ClassName,
    /// Nodes that it was built with.
    pub node_count: u32,
    /// Region.
    pub region: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: State,
    /// Being removed, or about to be.
    pub leaving: bool,
    /// Takes no new tenants.
    pub cordoned: bool,
    /// Tenants that it takes at most.
    pub tenants_max: u32,
    /// Tenants that live there.
    pub tenants: u32,
    /// Those of them that are the asking customer's.
    pub of_customer: u32,
    /// What is reserved for them.
    pub reserved: Amounts,
    /// What was last counted there; `None`: nothing was yet, and only tenants are counted.
    pub observation: Option<Observation>,
}

/// Where a tenant goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice<'a> {
    /// Into this one.
    Host(&'a Candidate),
    /// Into a new one.
    Grow(&'a Growth),
    /// Nowhere, for this reason.
    Full(String),
}

impl Candidate {
    /// Why it does not match at all; `None`: it does, though it may have no room.
    #[must_use]
    pub fn mismatch(&self, wanted: &HostSelector) -> Option<String> {
        if self.provider != wanted.provider {
            return Some(format!("its provider is {}, not {}", self.provider, wanted.provider));
        }
        if let Some(scope) = wanted.credentials.as_ref().filter(|scope| **scope != self.credentials) {
            return Some(format!("its credential scope is {}, not {scope}", self.credentials));
        }
        if self.region != wanted.region {
            return Some(format!("it is in {}, not in {}", self.region, wanted.region));
        }
        let missing = wanted.labels.iter().find(|(key, value)| self.labels.get(*key) != Some(value));
        missing.map(|(key, value)| format!("it lacks the label {key}={value}"))
    }

    /// Why it takes no new tenant; `None`: it does.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        if self.leaving {
            return Some("it is being removed".into());
        }
        if self.cordoned {
            return Some("it is cordoned".into());
        }
        if self.state == State::Failed {
            return Some("it is FAILED".into());
        }
        (self.tenants >= self.tenants_max).then(|| format!("it is full with {} tenants", self.tenants))
    }

    /// Why it takes no tenant that needs so much; `None`: it does.
    #[must_use]
    pub fn refuses(&self, needs: Amounts) -> Option<String> {
        self.closed().or_else(|| self.observation?.measured.lacks(self.reserved, needs))
    }

    /// Why even one like it, without tenants, has no room for so much; `None`: it may have.
    fn too_small(&self, growth: &Growth, needs: Amounts) -> Option<String> {
        let like = self.class == growth.placement.class && self.node_count == growth.placement.node_count;
        let measured = self.observation.filter(|_| like)?.measured;
        // While nodes are missing it says nothing about a whole one.
        if measured.nodes < self.node_count {
            None
        } else {
            measured.without_tenants().lacks(Amounts::default(), needs)
        }
    }

    /// First those that are ready, then the one with fewest tenants of the same customer, then the
    /// least loaded by whatever is scarcest there, so that a lost host cluster costs each customer as little as can be.
    fn rank(&self) -> (bool, u32, u64, &str) {
        let ready = matches!(self.state, State::Ready | State::Updating);
        let tenants = u64::from(self.tenants) * 1_000_000 / u64::from(self.tenants_max.max(1));
        let load = self.observation.map_or(0, |observation| observation.measured.load(self.reserved));
        (!ready, self.of_customer, tenants.max(load), self.host.id.as_str())
    }
}

/// Chooses. The same input gives the same choice.
#[must_use]
pub fn choose<'a>(candidates: &'a [Candidate], wanted: &'a HostSelector) -> Choice<'a> {
    let matching: Vec<&Candidate> = candidates.iter().filter(|c| c.mismatch(wanted).is_none()).collect();
    let open = matching.iter().filter(|candidate| candidate.refuses(wanted.reserve).is_none());
    if let Some(best) = open.min_by_key(|candidate| candidate.rank()) {
        return Choice::Host(best);
    }
    let standing = matching.iter().filter(|candidate| !candidate.leaving).count();
    let Some(growth) = &wanted.growth else { return Choice::Full(full(&matching, wanted, String::new())) };
    let most = growth.host_clusters_max;
    if standing >= most as usize {
        return Choice::Full(full(&matching, wanted, format!("; the class grows to {most} host clusters at most")));
    }
    // Another one of the same kind would cost its nodes and help nobody.
    if let Some(why) = matching.iter().find_map(|candidate| candidate.too_small(growth, wanted.reserve)) {
        let grown =
            format!("; it does not grow, because a new one of class {} is too small: {why}", growth.placement.class);
        return Choice::Full(full(&matching, wanted, grown));
    }
    Choice::Grow(growth)
}

/// Host clusters named in a reason: a fleet of a class is rarely larger, and a message has to end.
const NAMED_MAX: usize = 20;

fn full(matching: &[&Candidate], wanted: &HostSelector, grown: String) -> String {
    let labels: Vec<String> = wanted.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!(" with {}", labels.join(", ")) };
    let what = format!("host cluster of {} in {}{labels}", wanted.provider, wanted.region);
    if matching.is_empty() {
        return format!("there is no {what}{grown}");
    }
    let mut closed: Vec<&Candidate> = matching.to_vec();
    closed.sort_by_key(|candidate| Reverse(candidate.tenants_max));
    let why = |c: &&Candidate| format!("{}: {}", c.host.id, c.refuses(wanted.reserve).unwrap_or_default());
    let named: Vec<String> = closed.iter().take(NAMED_MAX).map(why).collect();
    let more =
        if closed.len() > NAMED_MAX { format!("; and {} more", closed.len() - NAMED_MAX) } else { String::new() };
    format!("no {what} has room ({}{more}){grown}", named.join("; "))
}

/// What mends a full fleet.
pub const FULL_REMEDY: &str = "make room: order a host cluster (`landlord apply` of kind HostCluster), adopt one, let the \
                               class grow (hosts.grow), or have it reserve less (hosts.reserve_percent)";
