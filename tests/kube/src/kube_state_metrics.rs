//! Kube-state-metrics, as the platform's part for metrics installs it.

use std::path::PathBuf;

use crate::{error::Result, go_program::GoProgram};

const PROGRAM: GoProgram = GoProgram {
    name: "kube-state-metrics",
    sources: &[
        ("go.mod", include_str!("../kube-state-metrics/go.mod")),
        ("go.sum", include_str!("../kube-state-metrics/go.sum")),
        ("tools.go", include_str!("../kube-state-metrics/tools.go")),
    ],
    command: "k8s.io/kube-state-metrics/v2",
    folders: &[],
};

/// Path of the program, built first if it is missing: some minutes on two cores.
///
/// # Errors
/// As [`cyclonus`](crate::cyclonus).
pub fn kube_state_metrics(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    PROGRAM.ensure(progress)
}
