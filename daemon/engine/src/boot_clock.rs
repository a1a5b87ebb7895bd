//! How long the machine has been running: a clock that nobody sets, and that goes on when the daemon is killed. Within one boot
//! it shows how long ago something was, whatever happens to the wall clock.

use std::time::Duration;

use landlord_core::time::BootTime;
use tokio::time::Instant;

/// The machine's clock, read once and continued by the monotonic one, which stands still while the machine sleeps: then a wait
/// becomes longer, never shorter.
#[derive(Debug)]
pub(crate) struct BootClock {
    /// `None`: not Linux, or no `/proc`.
    began: Option<BootTime>,
    from: Instant,
}

impl Default for BootClock {
    fn default() -> Self {
        Self { began: read(), from: Instant::now() }
    }
}

impl BootClock {
    pub(crate) fn now(&self) -> Option<BootTime> {
        let BootTime { boot, since } = self.began.clone()?;
        Some(BootTime { boot, since: since + self.from.elapsed() })
    }
}

/// The files of proc(5): which boot it is, and the seconds since.
fn read() -> Option<BootTime> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let since = Duration::try_from_secs_f64(uptime.split_whitespace().next()?.parse().ok()?).ok()?;
    Some(BootTime { boot, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn it_goes_on_and_is_the_same_for_every_process() {
        let clock = BootClock::default();
        let before = clock.now().unwrap();
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(clock.now().unwrap().since, before.since + Duration::from_secs(30));
        let another = BootClock::default().now().unwrap();
        assert_eq!(another.boot, before.boot);
        assert!(another.since >= before.since, "{another:?} {before:?}");
    }
}
