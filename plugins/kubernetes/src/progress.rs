//! Answers of the contract in one line.

use landlord_provider_api::v1::{self, progress::Outcome};

fn progress(outcome: Outcome) -> Option<v1::Progress> {
    Some(v1::Progress { outcome: Some(outcome), removed: Vec::new() })
}

/// As asked for. Without a checkpoint: the cluster tells everything again.
pub(crate) fn ready() -> Option<v1::Progress> {
    progress(Outcome::Ready(v1::Ready::default()))
}

/// Under way; ask again in so many seconds.
pub(crate) fn pending(poll_after_s: i64, detail: impl Into<String>) -> Option<v1::Progress> {
    progress(Outcome::Pending(v1::Pending {
        poll_after: Some(prost_types::Duration { seconds: poll_after_s, nanos: 0 }),
        detail: detail.into(),
        ..v1::Pending::default()
    }))
}

/// Nothing of it is there.
pub(crate) fn gone() -> Option<v1::Progress> {
    progress(Outcome::Gone(v1::Gone {}))
}
