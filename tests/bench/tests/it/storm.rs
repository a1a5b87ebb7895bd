//! The storm's short form. It starts, stops and kills processes, its own among them.

use crate::passes;

/// Blows so long; with host clusters before and the end of all lives after it, one or two minutes more.
const MINUTES: &str = "3";
/// Always the same orders and disturbances: a failure is one that can be run again.
const SEED: &str = "1";

#[test]
fn nothing_is_lost_leaked_made_twice_or_stuck_in_a_storm() {
    passes(&["storm", "--minutes", MINUTES, "--seed", SEED], "0 lost, 0 leaked, 0 twice, 0 stuck, 0 contradicted");
}
