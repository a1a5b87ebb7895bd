//! Observing the cloud's operations until they end. No call waits for one: a call begins it or inspects it once, and the
//! checkpoint names it for the next call. The daemon decides when that is.
//!
//! The object stays the truth. An operation only shows sooner when to observe again, and more of why it failed; without a
//! checkpoint, with one that is cut or that another version wrote, the result is the same, only later.
//!
//! Bounds: a reference is at most [`REFERENCE_LEN_MAX`] long, and all of them fit the contract's checkpoint
//! ([`CHECKPOINT_LEN_MAX`]). A longer one is not kept.

use std::{collections::BTreeMap, future::Future, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    error::RETRY_AFTER_MAX,
    progress::{self, Outcome},
};

/// Longest checkpoint, in bytes, by the contract.
pub const CHECKPOINT_LEN_MAX: usize = 16 << 10;
/// Longest reference to an operation (a name, a path, a URL), in bytes.
pub const REFERENCE_LEN_MAX: usize = 8 << 10;

/// What one observation of an operation showed. `F` is how the cloud reports a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed<F> {
    /// None is known: none was begun, or the cloud has forgotten it. The object decides.
    Unknown,
    /// Under way. `retry_after`: the cloud's own demand to wait.
    Running {
        /// Before that an observation shows nothing.
        retry_after: Option<Duration>,
    },
    /// It ended well.
    Done,
    /// It ended badly.
    Failed(F),
}

impl<F> Observed<F> {
    /// Whether it is under way.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// Operations under way, by what they work on; kept in the checkpoint between calls.
///
/// What they work on is the plugin's own word, for example a role. A deletion has a word of its own: it is handed the
/// checkpoint of the creation before it, whose end says nothing about the deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operations {
    operations: BTreeMap<String, String>,
}

impl Operations {
    /// Those of a checkpoint; none of one that can't be read. A reference comes from outside: check a URL as if it were new.
    #[must_use]
    pub fn read(checkpoint: &[u8]) -> Self {
        serde_json::from_slice(checkpoint).unwrap_or_default()
    }

    /// One that has just begun.
    #[must_use]
    pub fn one(work: &str, reference: &str) -> Self {
        let mut operations = Self::default();
        operations.add(work, reference);
        operations
    }

    /// One more that has just begun. Empty and too long references are left out.
    pub fn add(&mut self, work: &str, reference: &str) {
        if !reference.is_empty() && reference.len() <= REFERENCE_LEN_MAX {
            self.operations.insert(work.to_owned(), reference.to_owned());
        }
    }

    /// The operation of a work.
    #[must_use]
    pub fn get(&self, work: &str) -> Option<&str> {
        self.operations.get(work).map(String::as_str)
    }

    /// Whether something of this work is under way, as far as is known.
    #[must_use]
    pub fn has(&self, work: &str) -> bool {
        self.operations.contains_key(work)
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Checks once at the operation of a work.
    ///
    /// # Errors
    /// Those of `observe`: nothing is known then, and the checkpoint is to be kept.
    pub async fn observe<T, E, R>(&self, work: &str, observe: impl FnOnce(String) -> R) -> Result<Observed<T>, E>
    where
        R: Future<Output = Result<Observed<T>, E>>,
    {
        match self.get(work) {
            Some(reference) => observe(reference.to_owned()).await,
            None => Ok(Observed::Unknown),
        }
    }

    /// Checks once at each, keeps what is under way, and gives what failed by its work.
    ///
    /// # Errors
    /// The first of `observe`: the checkpoint is to be kept.
    pub async fn observe_all<T, E, R>(&mut self, mut observe: impl FnMut(String) -> R) -> Result<BTreeMap<String, T>, E>
    where
        R: Future<Output = Result<Observed<T>, E>>,
    {
        let mut failed = BTreeMap::new();
        for (work, reference) in std::mem::take(&mut self.operations) {
            match observe(reference.clone()).await? {
                Observed::Running { .. } => {
                    self.operations.insert(work, reference);
                }
                Observed::Failed(why) => {
                    failed.insert(work, why);
                }
                Observed::Unknown | Observed::Done => {}
            }
        }
        Ok(failed)
    }

    /// As the next call's checkpoint. Never empty, so that operations that ended are forgotten.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut kept = self.clone();
        loop {
            let bytes = serde_json::to_vec(&kept).unwrap_or_default();
            if bytes.len() <= CHECKPOINT_LEN_MAX || kept.operations.pop_first().is_none() {
                return bytes;
            }
        }
    }

    /// Under way, with the operations as the next call's checkpoint.
    #[must_use]
    pub fn pending(&self, poll_after_s: i64, detail: impl Into<String>) -> Outcome {
        progress::pending(poll_after_s, detail).with_checkpoint(self.checkpoint())
    }
}

/// Pending, to be inspected after `poll_after_s` seconds, or later if the cloud requested it: sooner shows nothing.
#[must_use]
pub fn waiting(retry_after: Option<Duration>, poll_after_s: i64, detail: impl Into<String>) -> Outcome {
    let requested = retry_after.map(|wait| wait.min(RETRY_AFTER_MAX).as_secs());
    let requested = requested.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default();
    progress::pending(requested.max(poll_after_s), detail)
}

#[cfg(test)]
mod tests {
    use super::{CHECKPOINT_LEN_MAX, Observed, Operations, REFERENCE_LEN_MAX, waiting};
    use crate::{error::RETRY_AFTER_MAX, progress::Outcome};
    use std::time::Duration;

    const RUNNING: Observed<&str> = Observed::Running { retry_after: None };

    fn poll_after_s(outcome: &Outcome) -> i64 {
        match outcome {
            Outcome::Pending(pending) => pending.poll_after.as_ref().map_or(0, |after| after.seconds),
            Outcome::Ready(_) | Outcome::Gone => 0,
        }
    }

    #[tokio::test]
    async fn what_runs_is_kept_and_what_failed_is_reported() {
        let mut operations = Operations::one("network", "op-1");
        operations.add("router", "op-2");
        operations.add("subnetwork", "op-3");
        let Outcome::Pending(pending) = operations.pending(5, "on its way") else { panic!("not pending") };
        let mut again = Operations::read(&pending.checkpoint);
        assert_eq!(again, operations);
        let observation = |reference: String| async move {
            Ok::<_, ()>(match reference.as_str() {
                "op-1" => RUNNING,
                "op-2" => Observed::Failed("no quota"),
                _ => Observed::Done,
            })
        };
        let failed = again.observe_all(observation).await.unwrap();
        assert_eq!(failed.into_iter().collect::<Vec<_>>(), [("router".to_owned(), "no quota")]);
        assert_eq!(again, Operations::one("network", "op-1"));
        assert!(again.observe("network", observation).await.unwrap().is_running());
        assert_eq!(again.observe("router", observation).await.unwrap(), Observed::Unknown);
        assert!(again.observe_all(|_| async { Err::<Observed<&str>, _>("lost") }).await.is_err());
    }

    #[test]
    fn a_checkpoint_is_bounded_and_never_trusted() {
        for bad in [b"".as_slice(), b"operation-1", br#"{"other": 1}"#, b"\xff"] {
            assert!(Operations::read(bad).is_empty(), "{bad:?}");
        }
        let mut operations = Operations::one("long", &"x".repeat(REFERENCE_LEN_MAX + 1));
        operations.add("none", "");
        assert!(operations.is_empty() && !operations.checkpoint().is_empty());
        for work in ["a", "b", "c", "d", "e"] {
            operations.add(work, &"x".repeat(REFERENCE_LEN_MAX));
        }
        let checkpoint = operations.checkpoint();
        assert!(checkpoint.len() <= CHECKPOINT_LEN_MAX, "{}", checkpoint.len());
        assert!(Operations::read(&checkpoint).has("e"));
    }

    #[test]
    fn a_cloud_may_ask_to_check_later_and_never_sooner() {
        assert_eq!(poll_after_s(&waiting(Some(Duration::from_secs(30)), 10, "x")), 30);
        assert_eq!(poll_after_s(&waiting(Some(Duration::from_secs(1)), 10, "x")), 10);
        assert_eq!(poll_after_s(&waiting(None, 10, "x")), 10);
        let most = i64::try_from(RETRY_AFTER_MAX.as_secs()).unwrap();
        assert_eq!(poll_after_s(&waiting(Some(Duration::MAX), 10, "x")), most);
    }
}
