//! What the tasks say, and the commands that they run.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// One line on standard output, where a CI searches for it.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is no reason to fail.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Root of the checkout.
pub(crate) fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout());
    command
}

/// Runs a command to its end; its output is shown.
pub(crate) fn run(title: &str, command: &mut Command, missing: &str) -> Result<()> {
    say(&format!("==> {title}"));
    let status =
        command.status().with_context(|| format!("can't run {}; {missing}", command.get_program().display()))?;
    if !status.success() {
        bail!("{title}: failed with {status}");
    }
    Ok(())
}
