//! Who runs Helm next: so many at the same moment, and of those that wait, the environment that began first. So the first
//! of many ordered at once are ready early, instead of all at the end. Knows nothing of Helm.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

/// Environments whose turn is remembered; past it all are as if they began now.
const REMEMBERED_MAX: usize = 4_096;
/// An environment that did not ask for this long is done; what it wants next begins then.
const KEPT: Duration = Duration::from_secs(300);

/// The places, and who waits for one.
#[derive(Debug, Clone)]
pub(crate) struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Number of the next caller.
    next: u64,
    /// When an environment first waited, as the number of that caller, and when it last did.
    begun: HashMap<String, (u64, Instant)>,
    /// By when their environment began, then by when they came.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<Slot>>,
}

/// The right to run; given on when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, next: 0, begun: HashMap::new(), waiting: BTreeMap::new() })))
    }

    /// Waits for a place on behalf of an environment. Dropping the future gives up the turn.
    pub(crate) async fn acquire(&self, environment: &str) -> Slot {
        let turn = {
            let mut state = self.0.lock();
            let caller = state.next;
            state.next += 1;
            if state.begun.len() >= REMEMBERED_MAX {
                state.begun.clear();
            }
            let known = state.begun.get(environment).filter(|(_, last)| last.elapsed() < KEPT);
            let begun = known.map_or(caller, |(begun, _)| *begun);
            state.begun.insert(environment.to_owned(), (begun, Instant::now()));
            if state.free > 0 {
                state.free -= 1;
                return Slot(self.clone());
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.insert((begun, caller), sender);
            turn
        };
        // Every sender is used: a slot that ends is given to the first that waits.
        turn.await.unwrap_or_else(|_| Slot(self.clone()))
    }

    /// An environment whose calls fail starts again at the end of the queue, so that repeating what fails, or hangs, is
    /// nobody else's delay.
    pub(crate) fn forget(&self, environment: &str) {
        self.0.lock().begun.remove(environment);
    }

    /// Gives a place on.
    fn give(&self) {
        loop {
            let first = {
                let mut state = self.0.lock();
                let Some((_, first)) = state.waiting.pop_first() else {
                    state.free += 1;
                    return;
                };
                first
            };
            match first.send(Slot(self.clone())) {
                Ok(()) => return,
                // Nobody waits there any more: the place goes to the next, not back.
                Err(slot) => std::mem::forget(slot),
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.give();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn who_began_first_goes_first() {
        let slots = Slots::new(1);
        let held = slots.acquire("a").await;
        let mut b = pin!(slots.acquire("b"));
        let mut again = pin!(slots.acquire("a"));
        assert!(poll!(&mut b).is_pending() && poll!(&mut again).is_pending());
        drop(held);
        assert!(poll!(&mut b).is_pending());
        let held = again.now_or_never().unwrap();
        // After a failure it goes behind those that wait.
        slots.forget("a");
        let mut last = pin!(slots.acquire("a"));
        assert!(poll!(&mut last).is_pending());
        drop(held);
        drop(b.now_or_never().unwrap());
        drop(last.now_or_never().unwrap());
        assert_eq!(slots.0.lock().free, 1);
    }

    #[tokio::test]
    async fn whoever_gives_up_costs_no_place() {
        let slots = Slots::new(1);
        let held = slots.acquire("a").await;
        {
            let mut gone = pin!(slots.acquire("b"));
            assert!(poll!(&mut gone).is_pending());
        }
        {
            let mut given = pin!(slots.acquire("c"));
            assert!(poll!(&mut given).is_pending());
            // Given to `c`, which goes before it takes it.
            drop(held);
        }
        assert!(slots.acquire("d").now_or_never().is_some());
        assert_eq!(slots.0.lock().free, 1);
    }
}
