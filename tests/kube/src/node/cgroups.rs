//! The node's own branch of the machine's control groups: made before it starts, removed after its last process.
//!
//! Pods are one half of it (the kubelet makes their groups), the node's programs and its control plane the other. Against all
//! else that the machine computes the branch has a weight of its own: real programs have deadlines (probes, handshakes), and most
//! of the time they wait.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

const ROOT: &str = "/sys/fs/cgroup";
/// Killed processes leave their groups within moments; more means that one cannot die.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The branch's share of the processors beside one session of the machine with all its programs (the kernel's autogroups), or
/// beside one other group: 16 to 1. Nobody starves by it, as the node seldom computes for long.
const SHARES: (&str, &str) = ("cpu.shares", "16384");
/// The same for newer control groups, where others have 100.
const WEIGHT: (&str, &str) = ("cpu.weight", "1600");
/// Below the branch: the node's own programs, as newer control groups want processes in leaves only.
const PROGRAMS: &str = "programs";
/// Lists a group's processes; one that is written there moves, and 0 means who writes.
const PROCESSES: &str = "cgroup.procs";

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

/// The branch's folder where processors are shared.
fn processors(name: &str) -> PathBuf {
    let older = Path::new(ROOT).join("cpu");
    if older.is_dir() { older.join(name) } else { Path::new(ROOT).join(name) }
}

/// Makes the branch.
pub(super) fn make(name: &str) -> Result<()> {
    for folder in folders(name) {
        std::fs::create_dir_all(&folder).map_err(Error::file("create", folder))?;
    }
    let folder = processors(name);
    for (file, value) in [SHARES, WEIGHT] {
        let path = folder.join(file);
        // One of the two; none where the machine's first group does not share processors among its children.
        if path.is_file() {
            std::fs::write(&path, value).map_err(Error::file("write", path))?;
        }
    }
    let programs = folder.join(PROGRAMS);
    std::fs::create_dir_all(&programs).map_err(Error::file("create", programs))
}

/// The command, whose process joins the branch's programs before it starts anything.
pub(super) fn within(name: &str, command: &Command) -> Command {
    let mut joined = Command::new("sh");
    joined.args(["-c", "echo 0 > \"$0\" && exec \"$@\""]).arg(processors(name).join(PROGRAMS).join(PROCESSES));
    joined.arg(command.get_program()).args(command.get_args());
    joined
}

/// Moves processes to the branch's programs. One that has ended meanwhile is nobody's loss.
pub(super) fn take(name: &str, processes: &[u32]) {
    for process in processes {
        let _ = std::fs::write(processors(name).join(PROGRAMS).join(PROCESSES), process.to_string());
    }
}

/// Gives those back that outlive the node: its control plane.
fn give_back(name: &str) {
    let folder = processors(name);
    let (held, outside) = (folder.join(PROGRAMS).join(PROCESSES), folder.with_file_name(PROCESSES));
    for process in std::fs::read_to_string(held).unwrap_or_default().lines() {
        let _ = std::fs::write(&outside, process);
    }
}

/// Removes the branch; waits for processes that are being killed.
pub(super) fn remove(name: &str) -> Result<()> {
    let started = Instant::now();
    give_back(name);
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
