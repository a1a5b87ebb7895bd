//! What the tests need on a machine, made once in the cache folder.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use landlord_test_kube::{Artifacts, cache_folder, cyclonus, ensure_stack, node_supported};

use crate::{
    python,
    report::{checkout, run, say},
};

/// How often the progress of a long step is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);
/// Newest buf known to read our files; it comes from npm, which ships its binary.
const BUF_VERSION: &str = "1.59.0";
const TOOLS: [(&str, &str, &str); 5] = [
    ("go", "version", "install Go 1.26 or newer (https://go.dev/dl)"),
    ("python3", "--version", "install Python 3.11 or newer (Debian: python3 python3-venv)"),
    ("npm", "--version", "install Node.js 20 or newer with npm"),
    ("cc", "--version", "install a C compiler (Debian: gcc)"),
    ("setpriv", "--version", "install util-linux"),
];

/// What was set up.
pub(crate) struct Setup {
    /// Python environments by name.
    pub(crate) venvs: Vec<python::Venv>,
}

/// Checks the toolchains and makes what is missing.
pub(crate) fn all() -> Result<Setup> {
    toolchains()?;
    let mut shown = Instant::now();
    let mut report = |line: &str| {
        if shown.elapsed() >= REPORT_INTERVAL {
            shown = Instant::now();
            say(&format!("    {line}"));
        }
    };
    say("==> Kubernetes parts");
    Artifacts::ensure(&mut report)?;
    say("==> Cyclonus");
    cyclonus(&mut report)?;
    say("==> Python environments");
    Ok(Setup { venvs: python::all()? })
}

/// What real pods need, where this machine can run a node: half an hour of processor time, once. Elsewhere their test reports why
/// it is skipped.
pub(crate) fn node() -> Result<()> {
    if node_supported().is_err() {
        return Ok(());
    }
    say("==> a real node: programs, images, models, charts");
    let mut shown = Instant::now();
    Ok(ensure_stack(&mut |line| {
        if shown.elapsed() >= REPORT_INTERVAL {
            shown = Instant::now();
            say(&format!("    {line}"));
        }
    })?)
}

fn toolchains() -> Result<()> {
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(tool, argument, _)| {
            !Command::new(tool).arg(argument).output().is_ok_and(|output| output.status.success())
        })
        .map(|(tool, _, remedy)| format!("{tool} is missing: {remedy}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", missing.join("\n"));
}

/// The pinned buf, from npm.
pub(crate) fn buf() -> Result<PathBuf> {
    let folder = cache_folder()?.join(format!("buf-{BUF_VERSION}"));
    let binary = folder.join("node_modules/.bin/buf");
    if !binary.is_file() {
        std::fs::create_dir_all(&folder)?;
        run(
            "buf",
            Command::new("npm")
                .current_dir(checkout())
                .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
                .arg(&folder)
                .arg(format!("@bufbuild/buf@{BUF_VERSION}")),
            "install Node.js 20 or newer with npm",
        )?;
    }
    Ok(binary)
}
