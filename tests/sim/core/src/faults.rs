//! Rules that make calls fail the way clouds fail, and calls held at a boundary until released.
//!
//! Knows services and actions by name only.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// What a rule does to a matching call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Refuse in the service's throttling shape.
    Throttle,
    /// Response with `error`.
    Error,
    /// Apply, then drop the connection.
    LostAnswer,
    /// Drop the connection without applying.
    LostRequest,
    /// Accept a change, be busy with it, and show none of it afterwards.
    Dropped,
    /// Block at `phase` until released.
    Hold,
    /// Hide objects younger than `lag_ms` from the call (eventual consistency).
    Stale,
    /// Only delay by `delay_ms`.
    Delay,
}

/// On which side of its effect a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has happened yet.
    #[default]
    Before,
    /// The effect is journalled, the response not sent.
    After,
}

/// The error that a rule responds with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorSpec {
    /// The error code.
    pub code: String,
    /// The HTTP status.
    #[serde(default = "default_status")]
    pub status: u16,
    /// The message.
    #[serde(default)]
    pub message: String,
}

fn default_status() -> u16 {
    500
}
fn any() -> String {
    "*".to_owned()
}
fn always() -> f64 {
    1.0
}

/// One rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Given by the simulator.
    #[serde(default)]
    pub id: u64,
    /// Service by signing name, `*` for all.
    #[serde(default = "any")]
    pub service: String,
    /// Action; `*` matches any run of characters.
    #[serde(default = "any")]
    pub action: String,
    /// Account, `*` for all.
    #[serde(default = "any")]
    pub account: String,
    /// What to do.
    pub kind: FaultKind,
    /// Matches to let pass first.
    #[serde(default)]
    pub skip: u64,
    /// How often to apply; without it for ever.
    #[serde(default)]
    pub count: Option<u64>,
    /// Share of matching calls to hit.
    #[serde(default = "always")]
    pub rate: f64,
    /// Real milliseconds to wait first.
    #[serde(default)]
    pub delay_ms: u64,
    /// For `hold`.
    #[serde(default)]
    pub phase: Phase,
    /// For `stale`, in simulated milliseconds.
    #[serde(default)]
    pub lag_ms: u64,
    /// For `error`.
    #[serde(default)]
    pub error: Option<ErrorSpec>,
    /// How often it has applied.
    #[serde(default)]
    pub hits: u64,
}

/// What happens to one call.
#[derive(Debug, Default, Clone)]
pub struct Plan {
    /// Real milliseconds to wait first.
    pub delay_ms: u64,
    /// Refuse by throttling.
    pub throttle: bool,
    /// Refuse with this.
    pub error: Option<ErrorSpec>,
    /// Drop before.
    pub lost_request: bool,
    /// Drop after.
    pub lost_answer: bool,
    /// Objects keep their properties.
    pub dropped: bool,
    /// Block before.
    pub hold_before: bool,
    /// Block after.
    pub hold_after: bool,
    /// Hide what is younger (simulated milliseconds).
    pub stale_ms: Option<u64>,
}

/// What becomes of a held call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Release,
    /// Its connection is dropped here.
    Drop,
}

/// A held call, as listed.
#[derive(Debug, Clone, Serialize)]
pub struct HoldInfo {
    /// For release.
    pub id: u64,
    /// Service.
    pub service: String,
    /// Action.
    pub action: String,
    /// Account.
    pub account: String,
    /// Before or after its effect.
    pub phase: Phase,
    /// The request id.
    pub request_id: String,
}

/// All rules and held calls.
#[derive(Debug)]
pub struct Faults {
    rules: Vec<Rule>,
    next_id: u64,
    random: u64,
    holds: BTreeMap<u64, (HoldInfo, oneshot::Sender<Verdict>)>,
}

impl Faults {
    /// No rules; `seed` decides which calls a rate below 1 hits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), next_id: 1, random: seed | 1, holds: BTreeMap::new() }
    }

    /// Adds a rule and returns its id.
    pub fn add(&mut self, mut rule: Rule) -> u64 {
        rule.id = self.next_id;
        self.next_id += 1;
        self.rules.push(rule);
        self.next_id - 1
    }

    /// Removes one rule, or all.
    pub fn clear(&mut self, id: Option<u64>) {
        self.rules.retain(|r| id.is_some_and(|id| r.id != id));
    }

    /// The rules with their hits.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Decides what happens to a call, using up counts.
    pub fn plan(&mut self, service: &str, action: &str, account: &str) -> Plan {
        let mut plan = Plan::default();
        for rule in &mut self.rules {
            if !applies(rule, service, action, account, &mut self.random) {
                continue;
            }
            plan.delay_ms += rule.delay_ms;
            match rule.kind {
                FaultKind::Throttle => plan.throttle = true,
                FaultKind::Error => plan.error = rule.error.clone(),
                FaultKind::LostAnswer => plan.lost_answer = true,
                FaultKind::Dropped => plan.dropped = true,
                FaultKind::LostRequest => plan.lost_request = true,
                FaultKind::Hold if rule.phase == Phase::Before => plan.hold_before = true,
                FaultKind::Hold => plan.hold_after = true,
                FaultKind::Stale => plan.stale_ms = Some(rule.lag_ms),
                FaultKind::Delay => {}
            }
        }
        plan
    }

    /// Holds a call; the receiver shows what becomes of it.
    pub fn hold(&mut self, mut info: HoldInfo) -> oneshot::Receiver<Verdict> {
        let (sender, receiver) = oneshot::channel();
        info.id = self.next_id;
        self.next_id += 1;
        self.holds.insert(info.id, (info, sender));
        receiver
    }

    /// The held calls whose callers still wait.
    pub fn holds(&mut self) -> Vec<HoldInfo> {
        self.holds.retain(|_, (_, sender)| !sender.is_closed());
        self.holds.values().map(|(info, _)| info.clone()).collect()
    }

    /// Lets a held call go on or drops it; false if it is not held.
    pub fn resolve(&mut self, id: u64, verdict: Verdict) -> bool {
        self.holds.remove(&id).is_some_and(|(_, sender)| sender.send(verdict).is_ok())
    }
}

fn applies(rule: &mut Rule, service: &str, action: &str, account: &str, random: &mut u64) -> bool {
    let matching = glob(&rule.service, service) && glob(&rule.action, action) && glob(&rule.account, account);
    if !matching || rule.count.is_some_and(|count| rule.hits >= count) {
        return false;
    }
    if rule.rate < 1.0 {
        // xorshift64: a cheap repeatable stream.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        if (*random >> 11) as f64 / (1_u64 << 53) as f64 >= rule.rate {
            return false;
        }
    }
    if rule.skip > 0 {
        rule.skip -= 1;
        return false;
    }
    rule.hits += 1;
    true
}

/// Whether `text` matches `pattern`, in which `*` is any run of characters.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, Faults, Rule, glob};

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("Describe*", "DescribeStacks", true),
            ("*Stack*", "DeleteStack", true),
            ("Create*Set", "CreateStack", false),
            ("ListX", "List", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_skips_counts_and_rates() {
        let mut faults = Faults::new(7);
        let rule: Rule = serde_json::from_str(r#"{"kind":"throttle","skip":1,"count":2}"#).expect("a rule");
        faults.add(rule.clone());
        let hits: Vec<bool> = (0..4).map(|_| faults.plan("eks", "ListClusters", "1").throttle).collect();
        assert_eq!(hits, [false, true, true, false]);
        faults.clear(None);
        faults.add(Rule { kind: FaultKind::Throttle, skip: 0, count: None, rate: 0.5, ..rule });
        let share = (0..1_000).filter(|_| faults.plan("eks", "A", "1").throttle).count();
        assert!((400..600).contains(&share), "{share}");
    }
}
