//! Answers of the contract in one line.

use landlord_provider_api::v1;

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// As asked for.
    Ready(v1::Ready),
    /// Under way.
    Pending(v1::Pending),
    /// Absent.
    Gone,
}

impl Outcome {
    /// As the contract's message, with what was removed.
    pub(crate) fn progress(self, removed: Vec<v1::OwnedObject>) -> v1::Progress {
        use v1::progress::Outcome as Message;
        let outcome = match self {
            Self::Ready(ready) => Message::Ready(ready),
            Self::Pending(pending) => Message::Pending(pending),
            Self::Gone => Message::Gone(v1::Gone {}),
        };
        v1::Progress { outcome: Some(outcome), removed }
    }
}

/// Ready, without a checkpoint: names and markers find everything again.
pub(crate) fn ready() -> Outcome {
    Outcome::Ready(v1::Ready::default())
}

/// Under way; ask again in so many seconds.
pub(crate) fn pending(poll_after_s: i64, detail: impl Into<String>) -> Outcome {
    Outcome::Pending(v1::Pending {
        poll_after: Some(prost_types::Duration { seconds: poll_after_s, nanos: 0 }),
        detail: detail.into(),
        checkpoint: Vec::new(),
    })
}
