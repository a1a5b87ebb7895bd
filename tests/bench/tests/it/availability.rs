//! The short form of `availability`: 200 environments, of which some die. It starts a daemon, and listens as their servers.

use crate::passes;

#[test]
fn dead_environments_are_seen_and_delay_no_look_at_others() {
    passes(&["availability", "--short"], "everything was as it must be");
}
