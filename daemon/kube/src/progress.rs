//! How soon a cluster is observed again.

use std::time::Duration;

use landlord_core::ports::StageProgress;

/// Pods and load balancers change within seconds; an API server bears a request each second.
const POLL_AFTER: Duration = Duration::from_secs(1);

/// Not done; worth another observation soon.
pub fn pending(detail: impl Into<String>) -> StageProgress {
    StageProgress::Pending { poll_after: POLL_AFTER, detail: detail.into() }
}
