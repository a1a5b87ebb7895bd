//! The short form of `portals`: what floods do to others and to the daemon's memory, and what their peer gets. It holds
//! hundreds of connections.

use std::process::{Command, Stdio};

#[test]
fn floods_fail_nobody_elses_call_and_their_peer_gets_a_status() {
    let output = Command::new(env!("CARGO_BIN_EXE_landlord-bench"))
        .args(["portals", "--short"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reported}");
    assert!(reported.contains("everything was as it must be"), "{reported}");
}
