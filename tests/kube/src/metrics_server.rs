//! Metrics-server, as the platform installs it where the cloud does not bring it.

use std::path::PathBuf;

use crate::{error::Result, go_program::GoProgram};

const PROGRAM: GoProgram = GoProgram {
    name: "metrics-server",
    sources: &[
        ("go.mod", include_str!("../metrics-server/go.mod")),
        ("go.sum", include_str!("../metrics-server/go.sum")),
        ("tools.go", include_str!("../metrics-server/tools.go")),
    ],
    command: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    folders: &[],
};

/// Path of the program, built first if it is missing: some minutes on two cores.
///
/// # Errors
/// As [`cyclonus`](crate::cyclonus).
pub fn metrics_server(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    PROGRAM.ensure(progress)
}
