//! Responses of the contract's methods in one line each.

use std::fmt;

use landlord_provider_api::v1;

/// What a step came to, before it is known what was removed.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As requested.
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

    /// With what the next call of the stage is handed back, if it is under way.
    #[must_use]
    pub fn with_checkpoint(mut self, checkpoint: impl Into<Vec<u8>>) -> Self {
        if let Self::Pending(pending) = &mut self {
            pending.checkpoint = checkpoint.into();
        }
        self
    }

    /// With the last call's checkpoint, if it is under way and has none of its own.
    #[must_use]
    pub fn or_checkpoint(mut self, checkpoint: &[u8]) -> Self {
        if let Self::Pending(pending) = &mut self
            && pending.checkpoint.is_empty()
        {
            pending.checkpoint = checkpoint.to_vec();
        }
        self
    }
}

/// Ready, without a checkpoint: names and markers find everything again.
#[must_use]
pub fn ready() -> Outcome {
    Outcome::Ready(v1::Ready::default())
}

/// Under way; the daemon repeats the call after so many seconds. `detail` is shown to the user as it is.
#[must_use]
pub fn pending(poll_after_s: i64, detail: impl Into<String>) -> Outcome {
    Outcome::Pending(v1::Pending {
        poll_after: Some(prost_types::Duration { seconds: poll_after_s, nanos: 0 }),
        detail: detail.into(),
        checkpoint: Vec::new(),
        changes: Vec::new(),
    })
}

/// A change of an existing object that was sent: what is being done, and each field that differed. The daemon counts how
/// often the same was sent, so that one that the cloud accepts and drops is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// What is being done, for the user.
    pub detail: String,
    /// The fields.
    pub changes: Vec<v1::FieldChange>,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = |change: &v1::FieldChange| format!("{}: {} → {}", change.field, change.seen, change.wanted);
        let changes: Vec<String> = self.changes.iter().map(change).collect();
        if changes.is_empty() {
            f.write_str(&self.detail)
        } else {
            write!(f, "{} ({})", self.detail, changes.join(", "))
        }
    }
}

impl Sent {
    /// A change that is under way.
    #[must_use]
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), changes: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, wanted: impl ToString, seen: impl ToString) -> Self {
        self.changes.push(v1::FieldChange { field: field.into(), wanted: wanted.to_string(), seen: seen.to_string() });
        self
    }

    /// As what a step came to; the user sees each field, old → new.
    #[must_use]
    pub fn pending(self, poll_after_s: i64) -> Outcome {
        let detail = self.to_string();
        match pending(poll_after_s, detail) {
            Outcome::Pending(pending) => Outcome::Pending(v1::Pending { changes: self.changes, ..pending }),
            outcome @ (Outcome::Ready(_) | Outcome::Gone) => outcome,
        }
    }
}

/// A response without removed objects.
#[must_use]
pub fn done(outcome: Outcome) -> Option<v1::Progress> {
    Some(outcome.progress(Vec::new()))
}

/// What an observation of several objects means: Gone without one, Ready if all are, else Pending with what `unready` says of each.
/// With the objects as the inventory shows them.
pub fn observed<T>(
    found: &[T],
    owned: impl Fn(&T) -> v1::OwnedObject,
    unready: impl Fn(&T) -> Option<String>,
    poll_after_s: i64,
) -> (Outcome, Vec<v1::OwnedObject>) {
    let waiting: Vec<String> = found.iter().filter_map(unready).collect();
    let outcome = match (found, waiting.as_slice()) {
        ([], _) => Outcome::Gone,
        (_, []) => ready(),
        (_, waiting) => pending(poll_after_s, waiting.join("; ")),
    };
    (outcome, found.iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{Outcome, observed, pending, ready};
    use landlord_provider_api::v1::OwnedObject;

    #[test]
    fn several_objects_are_ready_once_all_are() {
        let owned = |state: &&str| OwnedObject { id: (*state).to_owned(), ..OwnedObject::default() };
        let unready = |state: &&str| (*state != "up").then(|| format!("it is {state}"));
        let observation = |found: &[&str]| observed(found, owned, unready, 5).0;
        assert_eq!(observation(&[]), Outcome::Gone);
        assert_eq!(observation(&["up", "up"]), ready());
        assert_eq!(observation(&["up", "down", "going"]), pending(5, "it is down; it is going"));
        assert_eq!(observed(&["up", "down"], owned, unready, 5).1.len(), 2);
    }

    #[test]
    fn a_checkpoint_is_handed_on() {
        let checkpoint = |outcome: Outcome| match outcome {
            Outcome::Pending(pending) => pending.checkpoint,
            Outcome::Ready(_) | Outcome::Gone => b"none".to_vec(),
        };
        assert_eq!(checkpoint(pending(1, "x").or_checkpoint(b"old")), b"old");
        assert_eq!(checkpoint(pending(1, "x").with_checkpoint(*b"new").or_checkpoint(b"old")), b"new");
        assert_eq!(checkpoint(ready().with_checkpoint(*b"new")), b"none");
    }
}
