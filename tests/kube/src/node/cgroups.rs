//! The node's own branch of the machine's control groups: made before it starts, removed after its last process.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

const ROOT: &str = "/sys/fs/cgroup";
/// Killed processes leave their groups within moments; more means that one cannot die.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The branch's folder in each hierarchy of this machine.
fn folders(name: &str) -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").is_file() {
        return vec![root.join(name)];
    }
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| entry.ok());
    // Names of two controllers at once are links to the folder of both.
    hierarchies
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path().join(name))
        .collect()
}

/// Makes the branch.
pub(super) fn make(name: &str) -> Result<()> {
    for folder in folders(name) {
        std::fs::create_dir_all(&folder).map_err(Error::file("create", folder))?;
    }
    Ok(())
}

/// Removes the branch; waits for processes that are being killed.
pub(super) fn remove(name: &str) -> Result<()> {
    let started = Instant::now();
    for folder in folders(name) {
        loop {
            match remove_tree(&folder) {
                Ok(()) => break,
                Err(error) if started.elapsed() > EMPTY_TIMEOUT => return Err(Error::file("remove", folder)(error)),
                Err(_) => std::thread::sleep(POLL_INTERVAL),
            }
        }
    }
    Ok(())
}

/// Removes folders only: the files in them are the kernel's.
fn remove_tree(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.filter_map(|entry| entry.ok()) {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(folder)
}
