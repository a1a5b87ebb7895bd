//! What the cloud will do by itself, and when.
//!
//! Steps are applied in order of their due time, each at that time, whenever the world is next looked at; so a chain of
//! steps lasts exactly as long as its parts, however seldom anyone looks.

use crate::{azure::steps::AzureStep, clock::Micros, gcp::GcpStep, world::ScopeKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that the cloud does by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Step {
    /// CloudFormation goes on with a stack.
    StackTick {
        /// Stack id.
        stack: String,
    },
    /// CloudFormation's work on one resource ends.
    StackResource {
        /// Stack id.
        stack: String,
        /// Logical id.
        logical: String,
        /// The operation that it belongs to, so that a stale step is ignored.
        operation: u64,
    },
    /// An object enters a state.
    SetState {
        /// Object id.
        id: String,
        /// The new state.
        state: String,
    },
    /// A NAT gateway or load balancer that was being deleted goes, with its interfaces.
    ServiceObjectGone {
        /// Object id.
        id: String,
    },
    /// An object that was described as gone is forgotten.
    Forget {
        /// Object id.
        id: String,
    },
    /// A step in the life of an EKS object.
    Eks {
        /// Object id (ARN).
        id: String,
        /// Which.
        step: EksStep,
    },
    /// A step of the simulated GCP.
    Gcp(GcpStep),
    /// A step of the simulated Azure.
    Azure(AzureStep),
}

/// Steps of EKS lifecycles.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the end of that work")]
pub enum EksStep {
    ClusterReady,
    ClusterGone,
    NodegroupReady,
    NodegroupGone,
    NodegroupScaled { update: String },
    AddonSettled,
    AddonGone,
    UpdateDone { update: String },
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
