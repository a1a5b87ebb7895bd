//! Programs and libraries from Debian's packages, unpacked into a folder; nothing is installed.
//!
//! Which version comes is Debian's say (security updates replace what was there); apt checks its signatures.

use std::{path::Path, process::Command};

use crate::error::{Error, Result};

/// Folder of libraries for this machine below `usr/lib`.
pub(crate) const TRIPLET: &str = "x86_64-linux-gnu";

/// Unpacks the packages into `root`, which may hold others already.
///
/// # Errors
/// [`Error::Debian`] with apt's own words.
pub(crate) fn unpack(packages: &[&str], root: &Path) -> Result<()> {
    let folder = root.with_extension("debs");
    std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let quiet = ["download", "--quiet", "--option", "APT::Sandbox::User=root"];
    run(Command::new("apt-get").args(quiet).args(packages).current_dir(&folder))?;
    for entry in std::fs::read_dir(&folder).map_err(Error::file("read", &folder))?.filter_map(|entry| entry.ok()) {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(root))?;
        }
    }
    std::fs::remove_dir_all(&folder).map_err(Error::file("remove", folder))
}

fn run(command: &mut Command) -> Result<()> {
    let reported = |output: String| Error::Debian { output };
    let output = command.output().map_err(|source| reported(source.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(reported(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
