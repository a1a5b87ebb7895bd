//! Keeps what plugins log, as the host hands it to `tracing`, so that a run can search for secrets in it. Knows nothing of
//! what is searched for.

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

/// Lines kept; a plugin that logs more in one run fails.
const LINES_MAX: usize = 200_000;

static LINES: OnceLock<Mutex<Vec<String>>> = OnceLock::new();
static INSTALLED: OnceLock<bool> = OnceLock::new();

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !event.metadata().target().starts_with("landlord_plugin_host") {
            return;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut lines = lines();
        if lines.len() < LINES_MAX {
            lines.push(line.0);
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!("{}={value} ", field.name()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

/// Begins to keep lines; `false` if another subscriber of this process was there first, and nothing can be seen.
pub fn install() -> bool {
    *INSTALLED.get_or_init(|| {
        let subscriber = tracing_subscriber::registry().with(Keep);
        tracing::subscriber::set_global_default(subscriber).is_ok()
    })
}

/// The lines of the run with this mark, and whether all could be kept.
#[must_use]
pub fn of(mark: &str) -> (Vec<String>, bool) {
    let lines = lines();
    // The mark ends where a digit does not follow: run-1 is not run-12.
    let of_run = |line: &&String| {
        line.match_indices(mark).any(|(at, _)| !line[at + mark.len()..].starts_with(|next: char| next.is_ascii_digit()))
    };
    (lines.iter().filter(of_run).cloned().collect(), lines.len() < LINES_MAX)
}
