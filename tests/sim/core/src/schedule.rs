//! What the cloud will do by itself, and when.
//!
//! Steps are applied in order of their due time, each at that time, whenever the world is next inspected; so a chain of
//! steps lasts exactly as long as its parts, however seldom anyone calls.

use crate::{clock::Micros, scope_key::ScopeKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One thing that a cloud does by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// An object that was described as gone is forgotten.
    Forget {
        /// Object id.
        id: String,
    },
    /// A step of one cloud.
    Of {
        /// The cloud's name.
        cloud: String,
        /// The step in that cloud's own form.
        step: Value,
    },
}

impl Step {
    /// A step of the cloud `name`, which reads it back when it is due.
    #[must_use]
    pub fn of(name: &str, step: &impl Serialize) -> Self {
        // Steps are plain enums; one that could not be written would be ignored by its cloud when it is due.
        Self::Of { cloud: name.to_owned(), step: serde_json::to_value(step).unwrap_or_default() }
    }
}

/// Steps by due time; equal times keep the order of scheduling.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BTreeMap<(Micros, u64), (ScopeKey, Step)>,
    next: u64,
}

impl Schedule {
    /// Schedules a step.
    pub fn at(&mut self, at: Micros, scope: ScopeKey, step: Step) {
        self.due.insert((at, self.next), (scope, step));
        self.next += 1;
    }

    /// Takes the first step due at `now`.
    pub fn pop(&mut self, now: Micros) -> Option<(Micros, ScopeKey, Step)> {
        let entry = self.due.first_entry().filter(|e| e.key().0 <= now)?;
        let ((at, _), (scope, step)) = entry.remove_entry();
        Some((at, scope, step))
    }

    /// When the next step is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Micros> {
        self.due.first_key_value().map(|(k, _)| k.0)
    }

    /// For persistence.
    #[must_use]
    pub fn dump(&self) -> Vec<(Micros, ScopeKey, Step)> {
        self.due.iter().map(|((at, _), (scope, step))| (*at, scope.clone(), step.clone())).collect()
    }
}
