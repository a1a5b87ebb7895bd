//! What the quickstart says, on standard error: data belongs to the client's standard output.

use std::io::Write as _;

/// One line.
pub(crate) fn say(line: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "==> {line}");
}

/// Some lines, set apart.
pub(crate) fn say_block(lines: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\n{lines}\n");
}
