//! The short form of `portals`: what floods do to others and to the daemon's memory, and what their peer gets. It holds
//! hundreds of connections.

use crate::passes;

#[test]
fn floods_fail_nobody_elses_call_and_their_peer_gets_a_status() {
    passes(&["portals", "--short"], "everything was as it must be");
}
