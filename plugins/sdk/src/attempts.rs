//! Repetitions of an outside call within one call of the contract. The daemon owns repetitions, since it alone sees all
//! tenants of an account; what is left here is what a new call could not do better: a connection that broke, a read that is
//! throttled for a moment in the middle of a dozen. Both are bounded, whatever a plugin says.

use std::{future::Future, time::Duration};

/// Attempts of one outside call at most.
pub const ATTEMPTS_MAX: u32 = 5;
/// Longest pause before a repetition; a longer wait is the daemon's.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Makes a call, and again while `again` says after which pause; it gets the error and how many attempts were made.
///
/// # Errors
/// The last attempt's.
pub async fn repeat<T, E, R>(
    mut call: impl FnMut() -> R,
    mut again: impl FnMut(&E, u32) -> Option<Duration>,
) -> Result<T, E>
where
    R: Future<Output = Result<T, E>>,
{
    let mut made = 1;
    loop {
        // On the heap: an attempt is a large future, and those of a plugin are nested deeply enough.
        let error = match Box::pin(call()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = if made < ATTEMPTS_MAX { again(&error, made) } else { None };
        match pause.filter(|pause| *pause <= PAUSE_MAX) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
        made += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS_MAX, PAUSE_MAX, repeat};
    use std::{cell::Cell, time::Duration};

    async fn attempts(succeeds_at: u32, pause: Option<Duration>) -> (u32, bool) {
        let made = Cell::new(0);
        let call = || {
            made.set(made.get() + 1);
            let outcome = if made.get() == succeeds_at { Ok(()) } else { Err("busy") };
            async move { outcome }
        };
        let succeeded = repeat(call, |error, made| pause.filter(|_| *error == "busy" && made < 9)).await.is_ok();
        (made.get(), succeeded)
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_bounded_whatever_is_requested() {
        assert_eq!(attempts(3, Some(Duration::ZERO)).await, (3, true));
        assert_eq!(attempts(9, Some(Duration::ZERO)).await, (ATTEMPTS_MAX, false));
        assert_eq!(attempts(3, None).await, (1, false));
        assert_eq!(attempts(3, Some(PAUSE_MAX + Duration::from_millis(1))).await, (1, false));
    }
}
