//! Changes that a cloud accepts and drops: sent again and again, and the object never shows them.

use std::time::Duration;

use super::rules::RetryRules;
use crate::{
    ErrorKind, Failure, StageRecord, Timestamp,
    stage::{FieldChange, SentChanges},
};

/// A change that the cloud accepts is sent so often before it counts as dropped.
const SENT_MAX: u32 = 3;
/// And for so long: a cloud may show the past for a while.
const SENT_TIMEOUT: Duration = Duration::from_secs(120);
/// The changes that the object does not show yet: sent again, sent first, or sent before and waited for.
pub(super) fn sent(before: &StageRecord, changes: &[FieldChange], now: Timestamp) -> Option<SentChanges> {
    match &before.sent {
        Some(sent) if changes.is_empty() || sent.changes == changes => {
            let again = u32::from(!changes.is_empty());
            Some(SentChanges { times: sent.times.saturating_add(again), ..sent.clone() })
        }
        _ => (!changes.is_empty()).then(|| SentChanges { changes: changes.to_vec(), times: 1, since: now }),
    }
}

/// Why changes that were sent are given up: the cloud took them each time, and the object never showed them.
pub(super) fn dropped(sent: &SentChanges, rules: &RetryRules, now: Timestamp) -> Option<Failure> {
    let is_over = sent.times > SENT_MAX && now.since(sent.since) >= SENT_TIMEOUT.mul_f64(rules.time_scale);
    is_over.then(|| {
        let fields: Vec<String> = sent.changes.iter().map(ToString::to_string).collect();
        let problem = format!(
            "the cloud accepted this change {} times, and the object does not show it: {}",
            sent.times,
            fields.join("; ")
        );
        Failure::new(ErrorKind::Conflict, problem).with_remedy(
            "the cloud's administrator finds out what sets the field back (a policy, an autoscaler, another tool) and \
             stops it, or the class orders what the object shows; then retry",
        )
    })
}
