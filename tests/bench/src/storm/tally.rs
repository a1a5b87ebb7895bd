//! What happened in a storm, and what is held against the daemon.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::say;

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Mutex<BTreeMap<(&'static str, String), u32>>,
    violations: Mutex<Vec<(&'static str, String)>>,
}

/// Kinds of violations.
const KINDS: [&str; 5] = ["lost", "leaked", "twice", "stuck", "contradicted"];

impl Tally {
    /// Something was done at a place.
    pub(crate) fn count(&self, what: &'static str, place: String) {
        *self.counts.lock().entry((what, place)).or_default() += 1;
    }

    /// Holds something against the daemon.
    pub(crate) fn violation(&self, kind: &'static str, what: String) {
        say(&format!("{kind}: {what}"));
        self.violations.lock().push((kind, what));
    }

    /// All of them.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().iter().map(|(kind, what)| format!("{kind}: {what}")).collect()
    }

    /// `0 lost, 0 leaked, …`.
    pub(crate) fn verdict(&self) -> String {
        let all = self.violations.lock();
        let of = |kind: &str| all.iter().filter(|(other, _)| *other == kind).count();
        KINDS.map(|kind| format!("{} {kind}", of(kind))).join(", ")
    }

    /// How often what was done, by cloud and level.
    pub(crate) fn table(&self) -> String {
        let counts = self.counts.lock();
        let mut places: Vec<&String> = counts.keys().map(|(_, place)| place).collect();
        places.sort();
        places.dedup();
        let mut whats: Vec<&str> = counts.keys().map(|(what, _)| *what).collect();
        whats.sort_unstable();
        whats.dedup();
        let mut text = format!("| where | {} |\n|---|{}", whats.join(" | "), "---|".repeat(whats.len()));
        for place in places {
            let row = whats.iter().map(|what| counts.get(&(*what, place.clone())).copied().unwrap_or(0).to_string());
            text.push_str(&format!("\n| {place} | {} |", row.collect::<Vec<_>>().join(" | ")));
        }
        text
    }
}
