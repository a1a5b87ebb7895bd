//! Named tests over one control plane. What takes seconds and most of a gigabyte is started once a program; a thread of its own
//! goes through the steps in their order, and each is a test that waits for its result. Knows nothing of what a step does.

use std::{
    any::Any,
    collections::BTreeSet,
    panic::catch_unwind,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// The steps of one program, and how far they are.
#[derive(Debug, Default)]
pub struct Steps {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_started: bool,
    /// What is done now, if anything.
    now: Option<&'static str>,
    passed: BTreeSet<&'static str>,
    /// Why it came to an end: empty, or what failed.
    end: Option<String>,
}

impl Steps {
    /// Steps that nobody has started.
    #[must_use]
    pub const fn new() -> Self {
        let state = State { is_started: false, now: None, passed: BTreeSet::new(), end: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called where a step begins: the one before it has passed.
    pub fn begin(&self, step: &'static str) {
        let mut state = self.state();
        let before = state.now.replace(step);
        state.passed.extend(before);
        self.changed.notify_all();
    }

    fn end(&self, failure: Option<String>) {
        let mut state = self.state();
        if failure.is_none() {
            let last = state.now.take();
            state.passed.extend(last);
        }
        state.end = Some(failure.unwrap_or_default());
        self.changed.notify_all();
    }

    /// Waits until a step has passed. The first who waits starts `all`, which calls [`Steps::begin`] before each step and ends
    /// at the first that fails.
    ///
    /// # Errors
    /// The step's own failure, or the one because of which it was never come to.
    pub fn wait(&'static self, step: &'static str, all: fn() -> Result<(), String>) -> Result<(), String> {
        let mut state = self.state();
        if !state.is_started {
            state.is_started = true;
            thread::spawn(move || self.end(catch_unwind(all).unwrap_or_else(|panic| Err(text(&*panic))).err()));
        }
        loop {
            match &state.end {
                _ if state.passed.contains(step) => return Ok(()),
                Some(why) if state.now == Some(step) => return Err(why.clone()),
                Some(why) => return Err(format!("not reached: {}: {why}", state.now.unwrap_or("the start"))),
                None => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// Makes a test of each step: `steps! { scene = start().await?; finally scene.stop().await; step_one: one(&scene).await; … }`.
/// Each step is an `anyhow::Result<()>`; they run in the order in which they stand.
#[macro_export]
macro_rules! steps {
    ($scene:ident = $start:expr; finally $end:expr; $($step:ident: $run:expr;)+) => {
        static STEPS: $crate::Steps = $crate::Steps::new();

        async fn all_steps() -> ::anyhow::Result<()> {
            let $scene = $start;
            $(
                STEPS.begin(stringify!($step));
                $run?;
            )+
            $end;
            Ok(())
        }

        fn run_all_steps() -> Result<(), String> {
            let runtime = ::tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(all_steps()).map_err(|error| format!("{error:?}"))
        }

        $(
            #[test]
            fn $step() -> Result<(), String> {
                STEPS.wait(stringify!($step), run_all_steps)
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(steps: &'static Steps, all: fn() -> Result<(), String>) -> [Result<(), String>; 3] {
        let waiting = ["one", "two", "three"].map(|step| thread::spawn(move || steps.wait(step, all)));
        waiting.map(|waits| waits.join().expect("no panic"))
    }

    #[test]
    fn each_step_has_its_own_result() {
        static GOOD: Steps = Steps::new();
        fn good() -> Result<(), String> {
            ["one", "two", "three"].into_iter().for_each(|step| GOOD.begin(step));
            Ok(())
        }
        assert_eq!(outcomes(&GOOD, good), [Ok(()), Ok(()), Ok(())]);
    }

    #[test]
    fn what_comes_after_a_failure_names_it() {
        static BAD: Steps = Steps::new();
        fn bad() -> Result<(), String> {
            BAD.begin("one");
            BAD.begin("two");
            panic!("no node is left");
        }
        let not_reached = "not reached: two: no node is left".to_owned();
        assert_eq!(outcomes(&BAD, bad), [Ok(()), Err("no node is left".to_owned()), Err(not_reached)]);
    }
}
