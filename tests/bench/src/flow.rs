//! The AWS flow beside other tools: makes their environments in the cache folder and runs `aws_flow/compare.py`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use landlord_test_harness::Binaries;
use landlord_test_kube::cache_folder;
use sha2::{Digest as _, Sha256};

use crate::say;

/// Where the tools' files lie in the checkout.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("aws_flow")
}

/// A folder in the cache for what `content` requests; recreated if a run before did not finish it.
fn environment(content: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let key = hex::encode(&Sha256::digest(content)[..8]);
    let folder = cache_folder()?.join("bench").join(key);
    let done = folder.join("installed");
    if !done.is_file() {
        // What an interrupted run left is of no use; there may be nothing.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        make(&folder)?;
        std::fs::write(&done, content)?;
    }
    Ok(folder)
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{what} is needed"))?;
    ensure!(status.success(), "{what} could not be set up: {command:?} ended with {status}");
    Ok(())
}

fn python() -> Result<PathBuf> {
    let requirements = sources().join("requirements.txt");
    let folder = environment(&std::fs::read_to_string(&requirements)?, |folder| {
        say("installing ministack, Ansible and the CDK's library (once)");
        run(Command::new("python3").args(["-m", "venv"]).arg(folder), "Python 3.11 with venv")?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        run(&mut pip, "the packages of requirements.txt")
    })?;
    Ok(folder.join("bin/python"))
}

fn node_modules() -> Result<PathBuf> {
    let package = sources().join("package.json");
    let folder = environment(&std::fs::read_to_string(&package)?, |folder| {
        say("installing the CDK's command line (once)");
        std::fs::copy(&package, folder.join("package.json"))?;
        let mut npm = Command::new("npm");
        run(npm.current_dir(folder).args(["install", "--silent", "--no-audit", "--no-fund"]), "Node.js 20 with npm")
    })?;
    Ok(folder.join("node_modules"))
}

/// Times every tool with these numbers of tenants and prints a table.
pub(crate) fn compare(binaries: &Binaries, tenants: &[usize]) -> Result<()> {
    let programs = binaries.landlordd.parent().context("a program lies in a folder")?;
    let status = Command::new(python()?)
        .arg(sources().join("compare.py"))
        .arg(programs)
        .arg(node_modules()?)
        .args(tenants.iter().map(ToString::to_string))
        .status()?;
    ensure!(status.success(), "landlord itself could not be measured; see above");
    Ok(())
}
