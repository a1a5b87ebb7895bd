//! Other programs, run to their end. None outlives this process: the kernel kills it with the thread that started it, and
//! dropping the future kills it too.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// Standard output of a program that must succeed.
pub(crate) async fn output(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("can't run setpriv (package util-linux)")?;
    if !output.status.success() {
        let shown = String::from_utf8_lossy(&output.stderr);
        bail!("{} {} ended with {}:\n{shown}", program.display(), arguments.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
