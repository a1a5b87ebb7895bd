//! A program that was started, with its log, and that never outlives its starter.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How often a stopping process is inspected.
const STOP_POLL: Duration = Duration::from_millis(20);

/// Processes that any thread of `parent` started and that still run; none if it has ended.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts `program` with `arguments`; its output goes to `log` (appended).
    ///
    /// It gets a process group of its own, so that Ctrl-C reaches only the starter, which
    /// then stops it in order; and the kernel ends it if the starting thread ends, so start
    /// from a thread that lives as long as the world does.
    ///
    /// # Errors
    /// A program or log file that can't be used.
    pub fn start(name: &str, program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        Self::start_in(name, program, arguments, &[], log)
    }

    /// The same with more in its environment.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("can't write {}", log.display()))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().cloned())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {name} by setpriv (package util-linux)"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, once it has ended.
    ///
    /// # Errors
    /// The operating system's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Requests it to end and waits; after `timeout` it is killed. Returns whether it ended by itself.
    ///
    /// # Errors
    /// The operating system's.
    pub fn stop(mut self, timeout: Duration) -> Result<bool> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            std::thread::sleep(STOP_POLL);
        }
        self.child.kill().with_context(|| format!("can't kill {}", self.name))?;
        self.child.wait()?;
        Ok(false)
    }

    /// kill -9, as a crash.
    ///
    /// # Errors
    /// The operating system's.
    pub fn crash(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_none()
            && let Some(pid) = Pid::from_raw(i32::try_from(self.child.id())?)
        {
            kill_process(pid, signal).with_context(|| format!("can't signal {}", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The figures of the daemon with this log. The kernel chose the port: one chosen here could be taken before a restarted daemon
/// needs it again.
pub(crate) fn figures(log: &Path) -> Result<String> {
    let text = std::fs::read_to_string(log)?;
    let reported = text.lines().rfind(|line| line.contains("figures are served"));
    let url = reported.and_then(|line| line.split_once("url=")).context("the log reports no address of the figures")?.1;
    Ok(ureq::get(url).call().with_context(|| format!("GET {url}"))?.body_mut().read_to_string()?)
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
