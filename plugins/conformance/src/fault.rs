//! What the proxy does to outside calls. Decides, and does nothing itself.

use std::{collections::HashMap, time::Duration};

use crate::outside::{Call, Signature};

/// A call whose body changes with every try (a time, a random token) is struck at most this often for each fault, so
/// that a lifecycle ends.
const STRIKES_MAX: usize = 8;

/// What goes wrong with one outside call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never reaches the cloud; the connection is closed.
    LoseRequest,
    /// The cloud applies it; the connection is closed without a response.
    LoseAnswer,
    /// The cloud applies it; half of the response comes.
    CutAnswer,
    /// The configured throttled response, without asking the cloud.
    Throttle,
    /// No response, and the connection stays open.
    Hang,
    /// It takes longer.
    Delay(Duration),
    /// The plugin's process is killed before the cloud sees it.
    KillBefore,
    /// The plugin's process is killed once the cloud has responded.
    KillAfter,
}

/// Which calls a fault strikes.
#[derive(Debug, Default)]
pub enum Rule {
    /// None.
    #[default]
    None,
    /// All.
    Every(Fault),
    /// One, counted from 1.
    Nth {
        /// Which.
        at: usize,
        /// Calls so far.
        seen: usize,
        /// What happens to it.
        fault: Fault,
    },
    /// Each distinct call, once for each of the faults.
    Sweep(Sweep),
}

/// Strikes each distinct call in turn.
#[derive(Debug, Default)]
pub struct Sweep {
    faults: Vec<Fault>,
    struck: HashMap<Signature, usize>,
    by_operation: HashMap<String, usize>,
    strikes: usize,
}

impl Rule {
    /// Each distinct call suffers each fault once, in order.
    #[must_use]
    pub fn sweep(faults: &[Fault]) -> Self {
        Self::Sweep(Sweep { faults: faults.to_vec(), ..Sweep::default() })
    }

    /// The `at`th call suffers a fault.
    #[must_use]
    pub fn nth(at: usize, fault: Fault) -> Self {
        Self::Nth { at, seen: 0, fault }
    }

    /// The fault of a call, if any.
    pub fn strike(&mut self, call: &Call) -> Option<Fault> {
        match self {
            Self::None => None,
            Self::Every(fault) => Some(*fault),
            Self::Nth { at, seen, fault } => {
                *seen += 1;
                (seen == at).then_some(*fault)
            }
            Self::Sweep(sweep) => sweep.strike(call),
        }
    }

    /// How many calls were struck.
    #[must_use]
    pub fn strikes(&self) -> usize {
        match self {
            Self::None | Self::Every(_) => 0,
            Self::Nth { at, seen, .. } => usize::from(seen >= at),
            Self::Sweep(sweep) => sweep.strikes,
        }
    }
}

impl Sweep {
    fn strike(&mut self, call: &Call) -> Option<Fault> {
        let struck = self.struck.entry(call.signature()).or_default();
        let fault = self.faults.get(*struck).copied()?;
        let by_operation = self.by_operation.entry(call.name()).or_default();
        if *by_operation >= STRIKES_MAX * self.faults.len() {
            return None;
        }
        *struck += 1;
        *by_operation += 1;
        self.strikes += 1;
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::{Fault, Rule, STRIKES_MAX};
    use crate::{config::Outside, outside::Call};

    fn call(method: &str, path: &str, body: &str) -> Call {
        Call::read(&Outside::default(), method, path, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_distinct_call_suffers_each_fault_once() {
        let mut rule = Rule::sweep(&[Fault::LoseRequest, Fault::LoseAnswer]);
        let make = call("POST", "/things", "a");
        let faults: Vec<_> = (0..3).map(|_| rule.strike(&make)).collect();
        assert_eq!(faults, [Some(Fault::LoseRequest), Some(Fault::LoseAnswer), None]);
        assert!(rule.strike(&call("POST", "/things", "b")).is_some(), "another body is another call");
        assert!(rule.strike(&call("GET", "/things", "")).is_some());
        assert_eq!(rule.strikes(), 4);
    }

    #[test]
    fn a_body_that_always_changes_does_not_suffer_for_ever() {
        let mut rule = Rule::sweep(&[Fault::LoseAnswer]);
        let struck = (0..100).filter(|n| rule.strike(&call("POST", "/x", &n.to_string())).is_some()).count();
        assert_eq!(struck, STRIKES_MAX);
    }

    #[test]
    fn the_nth_call_and_no_other() {
        let mut rule = Rule::nth(2, Fault::KillAfter);
        let read = call("GET", "/x", "");
        let faults: Vec<_> = (0..3).map(|_| rule.strike(&read)).collect();
        assert_eq!(faults, [None, Some(Fault::KillAfter), None]);
        assert_eq!(rule.strikes(), 1);
    }
}
