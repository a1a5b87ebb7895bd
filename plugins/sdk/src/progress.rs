//! Responses of the contract's methods in one line each.

use landlord_provider_api::v1;

/// What a step came to, before it is known what was removed.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As asked for.
    Ready(v1::Ready),
    /// Under way.
    Pending(v1::Pending),
    /// Absent.
    Gone,
}

impl Outcome {
    /// As the contract's message, with what was removed.
    #[must_use]
    pub fn progress(self, removed: Vec<v1::OwnedObject>) -> v1::Progress {
        use v1::progress::Outcome as Message;
        let outcome = match self {
            Self::Ready(ready) => Message::Ready(ready),
            Self::Pending(pending) => Message::Pending(pending),
            Self::Gone => Message::Gone(v1::Gone {}),
        };
        v1::Progress { outcome: Some(outcome), removed }
    }

    /// Whether it is under way.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending(_))
    }
}

/// Ready, without a checkpoint: names and markers find everything again.
#[must_use]
pub fn ready() -> Outcome {
    Outcome::Ready(v1::Ready::default())
}

/// Under way; the daemon asks again after so many seconds. `detail` is shown to the user as it is.
#[must_use]
pub fn pending(poll_after_s: i64, detail: impl Into<String>) -> Outcome {
    Outcome::Pending(v1::Pending {
        poll_after: Some(prost_types::Duration { seconds: poll_after_s, nanos: 0 }),
        detail: detail.into(),
        checkpoint: Vec::new(),
    })
}

/// A response without removed objects.
#[must_use]
pub fn done(outcome: Outcome) -> Option<v1::Progress> {
    Some(outcome.progress(Vec::new()))
}

/// What a look at several objects means: Gone without one, Ready if all are, else Pending with what `unready` says.
#[must_use]
pub fn of_all(is_empty: bool, unready: &[String], poll_after_s: i64) -> Outcome {
    match (is_empty, unready) {
        (true, _) => Outcome::Gone,
        (false, []) => ready(),
        (false, unready) => pending(poll_after_s, unready.join("; ")),
    }
}
