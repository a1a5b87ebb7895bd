//! Short forms of benchmarks that judge what they see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod availability;
mod floods;
mod storm;

use std::process::{Command, Stdio};

/// Runs a benchmark, which succeeds and says so in these words.
fn passes(arguments: &[&str], verdict: &str) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_landlord-bench")).args(arguments).stdin(Stdio::null()).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reported}");
    assert!(reported.contains(verdict), "{reported}");
}
