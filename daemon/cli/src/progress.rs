//! Live progress of an operation on standard error: on a terminal a bar for each stage, with
//! elapsed and expected time; elsewhere a line for each change and a heartbeat.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use landlord_proto::v1::{OperationMetadata, StageStatus, stage_status::State};

/// Without a change, a line is written this often when nobody sees bars.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// A bar that waits longer than expected stays just below its end.
const BAR_STEPS: u64 = 1_000;

/// Shows the stages of one operation.
pub struct Progress {
    bars: Option<MultiProgress>,
    lines: Box<dyn Write + Send>,
    by_stage: BTreeMap<String, Seen>,
    last_line: Instant,
}

struct Seen {
    bar: Option<ProgressBar>,
    state: State,
    detail: String,
    error: String,
}

impl Default for Progress {
    fn default() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, ..Self::plain(Box::new(std::io::stderr())) }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("terminal", &self.bars.is_some()).finish_non_exhaustive()
    }
}

impl Progress {
    /// Lines, wherever they go.
    #[must_use]
    pub fn plain(lines: Box<dyn Write + Send>) -> Self {
        Self { bars: None, lines, by_stage: BTreeMap::new(), last_line: Instant::now() }
    }

    /// Shows what changed.
    pub fn update(&mut self, metadata: &OperationMetadata) {
        self.update_at(metadata, Instant::now());
    }

    fn update_at(&mut self, metadata: &OperationMetadata, now: Instant) {
        for stage in &metadata.stages {
            self.stage(stage, now);
        }
        if self.bars.is_none() && now.saturating_duration_since(self.last_line) >= HEARTBEAT {
            let running: Vec<String> = metadata
                .stages
                .iter()
                .filter(|stage| stage.state() == State::Running)
                .map(|stage| format!("{} {}", stage.stage, times(stage)))
                .collect();
            let running = if running.is_empty() { "waiting to begin".into() } else { running.join(", ") };
            self.line(&format!("still working: {running}"), now);
        }
    }

    fn stage(&mut self, stage: &StageStatus, now: Instant) {
        let bars = self.bars.as_ref();
        let seen = self.by_stage.entry(stage.stage.clone()).or_insert_with(|| Seen {
            bar: bars.map(|bars| bars.add(new_bar(&stage.stage))),
            state: State::Unspecified,
            detail: String::new(),
            error: String::new(),
        });
        if let Some(bar) = &seen.bar {
            draw(bar, stage);
            return;
        }
        let state = stage.state();
        let news = if state != seen.state {
            Some(headline(stage))
        } else if stage.error_message != seen.error && !stage.error_message.is_empty() {
            Some(format!("{:<16} retrying ({}): {}", stage.stage, stage.error_kind, stage.error_message))
        } else if stage.detail != seen.detail && !stage.detail.is_empty() && state == State::Running {
            Some(format!("{:<16} {}", stage.stage, stage.detail))
        } else {
            None
        };
        seen.state = state;
        seen.detail.clone_from(&stage.detail);
        seen.error.clone_from(&stage.error_message);
        if let Some(news) = news {
            self.line(&news, now);
        }
    }

    fn line(&mut self, text: &str, now: Instant) {
        self.last_line = now;
        // A closed terminal is no reason to fail.
        let _ = writeln!(self.lines, "{text}");
    }

    /// Leaves what is shown as it stands.
    pub fn finish(&mut self) {
        for seen in self.by_stage.values() {
            if let Some(bar) = &seen.bar {
                bar.abandon();
            }
        }
    }
}

fn headline(stage: &StageStatus) -> String {
    let (name, elapsed) = (&stage.stage, seconds(elapsed(stage)));
    match stage.state() {
        State::Unspecified => format!("{name:<16} ?"),
        State::Running => {
            let expected = expected(stage);
            format!("{name:<16} started, expected {}", seconds(expected))
        }
        State::Done => format!("{name:<16} done after {elapsed}"),
        State::Skipped => format!("{name:<16} {}", stage.detail),
        State::Failed => {
            let remedy = if stage.remedy.is_empty() { String::new() } else { format!("; {}", stage.remedy) };
            format!("{name:<16} FAILED after {elapsed} ({}): {}{remedy}", stage.error_kind, stage.error_message)
        }
    }
}

fn new_bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:<16} {bar:24.cyan/blue} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(BAR_STEPS).with_style(style).with_prefix(name.to_owned())
}

fn draw(bar: &ProgressBar, stage: &StageStatus) {
    let (elapsed, expected) = (elapsed(stage).as_secs_f64(), expected(stage).as_secs_f64());
    match stage.state() {
        State::Done => {
            bar.set_position(BAR_STEPS);
            bar.finish_with_message(format!("done {}", times(stage)));
        }
        State::Skipped => bar.abandon_with_message(stage.detail.clone()),
        State::Failed => {
            bar.abandon_with_message(format!("FAILED ({}): {}", stage.error_kind, stage.error_message));
        }
        State::Running | State::Unspecified => {
            let part = if expected > 0.0 { (elapsed / expected).min(0.99) } else { 0.5 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 990")]
            bar.set_position((part * 1_000.0) as u64);
            let failure = if stage.error_message.is_empty() {
                stage.detail.clone()
            } else {
                format!("retrying: {}", stage.error_message)
            };
            bar.set_message(format!("{} {failure}", times(stage)));
        }
    }
}

/// `12.0s/15.0s`: elapsed and expected.
fn times(stage: &StageStatus) -> String {
    format!("{}/{}", seconds(elapsed(stage)), seconds(expected(stage)))
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 100.0 {
        return format!("{seconds:.1}s");
    }
    format!("{}m{:02}s", duration.as_secs() / 60, duration.as_secs() % 60)
}

fn expected(stage: &StageStatus) -> Duration {
    stage.expected_duration.and_then(|d| Duration::try_from(d).ok()).unwrap_or_default()
}

/// Time that a stage took, or takes so far.
pub(crate) fn elapsed(stage: &StageStatus) -> Duration {
    let millis = |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000);
    let Some(start) = stage.start_time.as_ref().map(millis) else { return Duration::ZERO };
    let end = stage.end_time.as_ref().map_or_else(|| jiff::Timestamp::now().as_millisecond(), millis);
    Duration::from_millis(u64::try_from(end - start).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
        }
    }

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn stage(state: State, detail: &str) -> OperationMetadata {
        let stage = StageStatus {
            stage: "cluster".into(),
            state: state.into(),
            start_time: at(1_000),
            end_time: (state != State::Running).then(|| at(1_754)).flatten(),
            expected_duration: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
            detail: detail.into(),
            ..StageStatus::default()
        };
        OperationMetadata { stages: vec![stage], ..OperationMetadata::default() }
    }

    #[test]
    fn each_change_is_one_line() {
        let lines = Lines::default();
        let mut progress = Progress::plain(Box::new(lines.clone()));
        let now = Instant::now();
        for _ in 0..3 {
            progress.update_at(&stage(State::Running, "CREATING"), now);
        }
        assert_eq!(lines.take(), ["cluster          started, expected 90.0s"]);
        progress.update_at(&stage(State::Running, "UPDATING"), now);
        assert_eq!(lines.take(), ["cluster          UPDATING"]);
        let mut failure = stage(State::Running, "UPDATING");
        failure.stages[0].error_kind = "THROTTLED".into();
        failure.stages[0].error_message = "slow down".into();
        progress.update_at(&failure, now);
        assert_eq!(lines.take(), ["cluster          retrying (THROTTLED): slow down"]);
        progress.update_at(&stage(State::Done, ""), now);
        progress.update_at(&stage(State::Done, ""), now);
        assert_eq!(lines.take(), ["cluster          done after 12m34s"]);
    }

    #[test]
    fn a_failure_says_its_remedy() {
        let lines = Lines::default();
        let mut failed = stage(State::Failed, "");
        failed.stages[0].error_kind = "QUOTA".into();
        failed.stages[0].error_message = "no network is left".into();
        failed.stages[0].remedy = "raise the quota".into();
        Progress::plain(Box::new(lines.clone())).update(&failed);
        assert_eq!(lines.take(), ["cluster          FAILED after 12m34s (QUOTA): no network is left; raise the quota"]);
    }

    #[test]
    fn silence_is_broken_by_heartbeats() {
        let lines = Lines::default();
        let mut progress = Progress::plain(Box::new(lines.clone()));
        let begin = Instant::now();
        progress.update_at(&stage(State::Running, ""), begin);
        progress.update_at(&stage(State::Running, ""), begin + HEARTBEAT / 2);
        assert_eq!(lines.take().len(), 1);
        progress.update_at(&stage(State::Running, ""), begin + HEARTBEAT);
        progress.update_at(&stage(State::Running, ""), begin + HEARTBEAT);
        let printed = lines.take();
        assert_eq!(printed.len(), 1, "{printed:?}");
        assert!(printed[0].starts_with("still working: cluster"), "{printed:?}");
    }
}
