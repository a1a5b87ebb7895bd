//! The short form of `availability`: 200 environments, of which some die. It starts a daemon, and listens as their servers.

use std::process::{Command, Stdio};

#[test]
fn dead_environments_are_seen_and_delay_no_look_at_others() {
    let output = Command::new(env!("CARGO_BIN_EXE_landlord-bench"))
        .args(["availability", "--short"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reported}");
    assert!(reported.contains("everything was as it must be"), "{reported}");
}
