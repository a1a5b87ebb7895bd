//! Child processes that cannot outlive their parent.
//!
//! Knows nothing about Kubernetes. Each child is in a process group of its own, so that a Ctrl-C on the terminal
//! reaches only the parent, which then stops its children in order; and the kernel kills it when the parent dies in
//! any way, SIGKILL included.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    time::Duration,
};

use rustix::process::{Pid, Signal};

use crate::error::{Error, Result};

/// How often a stopping child is inspected.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(20);
/// Of a log that explains an end; Go's goroutine dumps would fill pages.
const LOG_TAIL_LINES: usize = 15;

/// One running part of a control plane. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) part: &'static str,
    log: PathBuf,
    child: Child,
    exited: bool,
}

impl Process {
    /// Starts `command`, both outputs going to `log`, which is started again.
    pub(crate) fn start(part: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::create(log).map_err(Error::file("create", log))?;
        let copy = file.try_clone().map_err(Error::file("open", log))?;
        command.stdin(Stdio::null()).stdout(copy).stderr(file).process_group(0);
        let child = spawn(command).map_err(|source| Error::Spawn { part, source })?;
        Ok(Self { part, log: log.to_owned(), child, exited: false })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory; 0 when it is gone.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map_or(0, |kib: u64| kib * 1024)
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        // Once reaped, the id may belong to somebody else.
        if !self.exited && !matches!(self.child.try_wait(), Ok(None)) {
            self.exited = true;
        }
        !self.exited
    }

    /// The end of the log as an error, if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if self.is_alive() {
            return Ok(());
        }
        Err(Error::Exited { part: self.part, log: self.log.clone(), tail: self.tail() })
    }

    /// Whether it ended because somebody else had its port.
    pub(crate) fn lost_its_port(&mut self) -> bool {
        !self.is_alive() && std::fs::read_to_string(&self.log).is_ok_and(|log| log.contains("address already in use"))
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Requests it to end.
    pub(crate) fn terminate(&mut self) {
        if self.is_alive()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end, and kills it when `timeout` is over.
    pub(crate) async fn wait_or_kill(&mut self, timeout: Duration) {
        let waited = tokio::time::timeout(timeout, async {
            while self.is_alive() {
                tokio::time::sleep(OBSERVE_INTERVAL).await;
            }
        });
        if waited.await.is_err() {
            tracing::warn!(part = self.part, pid = self.child.id(), "did not end in time and is killed");
            self.kill();
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if self.is_alive() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.exited = true;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Request = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Spawns on one thread that lives as long as this process.
///
/// The kernel sends the death signal when the *thread* that spawned the child ends (prctl(2),
/// `PR_SET_PDEATHSIG`), not the process: a child spawned on a runtime's worker would die with the worker.
fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        let thread = std::thread::Builder::new().name("kube-spawner".into());
        // If the thread cannot be had, the receiver is dropped and every request fails.
        let _ = thread.spawn(move || {
            for (command, response) in receiver {
                let _ = response.send(spawn_here(command));
            }
        });
        sender
    });
    let (response, spawned) = mpsc::channel();
    spawner.send((command, response)).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}

#[expect(unsafe_code, reason = "the death signal can only be set in the child between fork and exec")]
fn spawn_here(mut command: Command) -> std::io::Result<Child> {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; the closure makes two plain system
    // calls and compares integers, and an `io::Error` from a raw code allocates nothing.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the signal was set; then nobody would send it.
            if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
        });
    }
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("a shell", command, log).unwrap()
    }

    #[tokio::test]
    async fn an_end_is_reported_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("echo oops: bind: address already in use; exit 1", &folder.path().join("log"));
        process.wait_or_kill(Duration::from_secs(10)).await;
        assert!(process.lost_its_port());
        assert!(process.check().unwrap_err().to_string().contains("oops"));
    }

    #[tokio::test]
    async fn a_deaf_process_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("trap '' TERM; while true; do sleep 0.05; done", &folder.path().join("log"));
        assert!(process.check().is_ok());
        process.terminate();
        process.wait_or_kill(Duration::from_millis(100)).await;
        assert!(!process.is_alive());
    }
}
