//! Figures of the deploy stage: how Helm's runs end, and who waits for one. No release or namespace is named.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Applying a chart takes a second or two; the deadline is three minutes.
const RUN_SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 180.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    command: String,
    outcome: &'static str,
}

/// The figures of one Helm; clones share them.
#[derive(Debug, Clone)]
pub struct DeployFigures {
    runs: Family<RunLabels, Histogram, fn() -> Histogram>,
    waiting: Gauge,
    running: Gauge,
}

impl Default for DeployFigures {
    fn default() -> Self {
        let runs = Family::new_with_constructor((|| Histogram::new(RUN_SECONDS)) as fn() -> Histogram);
        Self { runs, waiting: Gauge::default(), running: Gauge::default() }
    }
}

/// Counts one until it is dropped, however it ends.
pub(crate) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl DeployFigures {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let runs = "Time of a run of Helm, by command and outcome (ok, error, deadline)";
        registry.register_with_unit("landlord_helm_run_duration", runs, Unit::Seconds, self.runs.clone());
        let waiting = "Runs of Helm that wait for their turn (deploy.helm_processes_max)";
        registry.register("landlord_helm_runs_waiting", waiting, self.waiting.clone());
        registry.register("landlord_helm_runs_running", "Runs of Helm under way", self.running.clone());
    }

    pub(crate) fn waits(&self) -> Counted {
        counted(&self.waiting)
    }

    pub(crate) fn runs(&self) -> Counted {
        counted(&self.running)
    }

    /// `what`: the command, and what it is about.
    pub(crate) fn ended(&self, what: &str, outcome: &'static str, took: Duration) {
        let command = what.split(' ').next().unwrap_or_default().to_owned();
        self.runs.get_or_create(&RunLabels { command, outcome }).observe(took.as_secs_f64());
    }
}

fn counted(gauge: &Gauge) -> Counted {
    gauge.inc();
    Counted(gauge.clone())
}
