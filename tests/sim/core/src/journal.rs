//! The record of every call and every effect, numbered without gaps.
//!
//! Tests judge by it, so it is written under the same lock as the effect itself. It knows nothing of AWS.

use crate::{clock::Micros, object::ObjectRef};
use serde::{Deserialize, Serialize};
use std::{fs::File, io::Write, sync::Arc};
use tokio::sync::Notify;

/// What an entry did to its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Objects came to be.
    Created,
    /// Objects changed.
    Changed,
    /// Objects went.
    Deleted,
    /// Nothing changed.
    None,
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A caller's request.
    Call,
    /// The simulated cloud itself: a lifecycle step, CloudFormation's or Kubernetes' work.
    Cloud,
}

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Position, from 1.
    pub seq: u64,
    /// Wall clock, milliseconds since the epoch.
    pub time_ms: i64,
    /// Simulated milliseconds since the simulator started.
    pub sim_ms: i64,
    /// Call or cloud.
    pub origin: Origin,
    /// Account id.
    pub account: String,
    /// Region.
    pub region: String,
    /// `eks`, `ec2`, …
    pub service: String,
    /// `CreateCluster`, …
    pub action: String,
    /// The request id that the caller saw.
    pub request_id: String,
    /// What it did.
    pub effect: Effect,
    /// To which objects.
    pub objects: Vec<ObjectRef>,
    /// `ok` or an error code; `lost_request` and `lost_answer` for dropped connections.
    pub outcome: String,
    /// The caller's ARN, or the service that acted.
    pub caller: String,
    /// Public name of the credential that signed, where the cloud has one: an access key's id on AWS, Entra's tenant on Azure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// The client token or caller reference, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// Simulated milliseconds until the lifecycle step begun here ends, if one began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_in_ms: Option<u64>,
    /// The error message, or why a lifecycle step went as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The journal, in memory and optionally in a file.
#[derive(Debug, Default)]
pub struct Journal {
    lines: Vec<Arc<str>>,
    first_seq: u64,
    file: Option<File>,
    /// Woken at each append.
    pub grown: Arc<Notify>,
}

impl Journal {
    /// A journal that continues after `last_seq` and also writes to `file`.
    #[must_use]
    pub fn new(last_seq: u64, file: Option<File>) -> Self {
        Self { lines: Vec::new(), first_seq: last_seq + 1, file, grown: Arc::new(Notify::new()) }
    }

    /// Appends, numbering the entry.
    pub fn append(&mut self, mut entry: Entry) {
        entry.seq = self.last_seq() + 1;
        let line = serde_json::to_string(&entry).unwrap_or_default();
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{line}")
        {
            tracing::error!(%error, "the journal file cannot be written; it goes on in memory only");
            self.file = None;
        }
        self.lines.push(line.into());
        self.grown.notify_waiters();
    }

    /// The number of the last entry.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.first_seq.max(1) - 1 + self.lines.len() as u64
    }

    /// All lines after `seq`, at most `limit`.
    #[must_use]
    pub fn since(&self, seq: u64, limit: usize) -> Vec<Arc<str>> {
        let skip = (seq + 1).saturating_sub(self.first_seq.max(1));
        self.lines.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(limit).cloned().collect()
    }
}

/// The wall clock of `at` in milliseconds.
#[must_use]
pub fn millis(at: Micros) -> i64 {
    at / 1_000
}
