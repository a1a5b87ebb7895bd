//! Runs one suite to its end, within its bounds, and leaves no process of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use landlord_test_kube::Offline;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::suite::{Counted, Outcome, Suite, count};

/// After this long libtest reports a test by name, once.
const SLOW_AFTER: Duration = Duration::from_secs(60);
/// How often a running program is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often its output is read for ended tests.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// `USER_HZ`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Runs it, its output going to `log`.
pub(crate) fn run(suite: &Suite, log: &Path) -> Result<Outcome> {
    let started = Instant::now();
    // Of its own, so that who tries to leave is known.
    let offline = suite.is_offline.then(Offline::begin).transpose()?;
    let mut child = start(suite, offline.as_ref(), log)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
    let overdue = watch(suite, pid, log)?;
    // Not reaped yet: its id is nobody else's, and its times can be read.
    let cpu = cpu_of(child.id());
    // Whatever it left behind in its group ends with it.
    let _ = kill_process_group(pid, Signal::KILL);
    let status = child.wait()?;
    let mut output = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    if let Some(overdue) = &overdue {
        output.push_str(&format!("\nkilled: {overdue}\n"));
    }
    let attempts = offline.as_ref().map(Offline::attempts).transpose()?.unwrap_or_default();
    if attempts > 0 {
        output
            .push_str(&format!("\n{attempts} connections, datagrams or lookups of names were to leave the machine\n"));
    }
    let mut outcome = count(suite.counted, output, status.success() && overdue.is_none() && attempts == 0);
    outcome.wall = started.elapsed();
    outcome.cpu = cpu;
    Ok(outcome)
}

/// In a process group of its own, and killed by the kernel if this program dies, however that happens.
fn start(suite: &Suite, offline: Option<&Offline>, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    let copy = file.try_clone()?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .args(offline.map(|offline| offline.words(&suite.folder)).unwrap_or_default())
        .arg(&suite.program)
        .args(&suite.arguments)
        .envs(suite.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&suite.folder)
        .stdin(Stdio::null())
        .stdout(copy)
        .stderr(file)
        .process_group(0)
        .spawn()
        .context("can't run setpriv; install util-linux")
}

/// Waits until it has ended or is overdue; says what took too long.
fn watch(suite: &Suite, pid: Pid, log: &Path) -> Result<Option<String>> {
    let started = Instant::now();
    let (mut tests, mut observed) = (Running::default(), Instant::now());
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(pid), options)?.is_some() {
            return Ok(None);
        }
        if started.elapsed() > suite.weight.suite_max() {
            let minutes = suite.weight.suite_max().as_secs() / 60;
            return Ok(Some(format!("{} ran for more than {minutes} minutes", suite.name)));
        }
        if suite.counted == Counted::Libtest && observed.elapsed() > PROGRESS_INTERVAL {
            observed = Instant::now();
            let text = fs::read(log).unwrap_or_default();
            let test_max = suite.weight.test_max();
            if let Some(late) = tests.late(&String::from_utf8_lossy(&text), observed, test_max) {
                let minutes = test_max.as_secs() / 60;
                return Ok(Some(format!("{} {late} ran for more than {minutes} minutes", suite.name)));
            }
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Tests that libtest reported as slow, with the time at which each was first seen so.
#[derive(Debug, Default)]
struct Running(BTreeMap<String, Instant>);

impl Running {
    /// The tests that are over their time, by name, from what the program has printed until `now`.
    fn late(&mut self, output: &str, now: Instant, test_max: Duration) -> Option<String> {
        for line in output.lines().filter_map(|line| line.strip_prefix("test ")) {
            if let Some((name, _)) = line.split_once(" has been running for over ") {
                self.0.entry(name.to_owned()).or_insert(now);
            }
        }
        for line in output.lines().filter_map(|line| line.strip_prefix("test ")) {
            if let Some((name, _)) = line.split_once(" ... ") {
                self.0.remove(name);
            }
        }
        let is_late = |since: &Instant| now.duration_since(*since) + SLOW_AFTER > test_max;
        let late: Vec<&str> =
            self.0.iter().filter(|(_, since)| is_late(since)).map(|(name, _)| name.as_str()).collect();
        (!late.is_empty()).then(|| late.join(" and "))
    }
}

/// User and system time of a process that has ended but was not waited for, with its children that were.
fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; utime, stime, cutime and cstime are the 12th to 15th after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::suite::Weight;

    fn shell(script: &str) -> Suite {
        Suite {
            name: "a shell".into(),
            package: None,
            program: PathBuf::from("sh"),
            arguments: vec!["-c".into(), script.into()],
            variables: Vec::new(),
            folder: std::env::temp_dir(),
            weight: Weight::Light,
            counted: Counted::Check,
            is_offline: false,
        }
    }

    #[test]
    fn a_suite_that_ended_leaves_no_process() {
        let log = std::env::temp_dir().join(format!("xtask-run-{}", std::process::id()));
        let outcome = run(&shell("sleep 300 & echo $!; exit 3"), &log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        assert_eq!((outcome.failed, outcome.is_fine), (1, false));
        let stat = PathBuf::from(format!("/proc/{}/stat", outcome.output.trim()));
        assert!(!outcome.output.trim().is_empty(), "the shell printed no id");
        // Killed at once; who adopts it reaps it when it comes to it.
        let is_gone = || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z ")) || !stat.exists();
        assert!(
            (0..50).any(|_| is_gone() || {
                thread::sleep(POLL_INTERVAL);
                false
            }),
            "{} lives",
            stat.display()
        );
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "a skip is shown")]
    fn a_suite_without_network_that_tries_to_leave_fails() {
        if let Err(error) = Offline::begin() {
            return println!("SKIPPED: a suite without network: {error}");
        }
        let run_offline = |script: &str| {
            let log = std::env::temp_dir().join(format!("xtask-offline-{}", std::process::id()));
            let outcome = run(&Suite { is_offline: true, ..shell(script) }, &log).unwrap_or_default();
            let _ = fs::remove_file(&log);
            outcome
        };
        let at_home = run_offline("ip -brief link | grep -c .");
        assert!(at_home.is_fine && at_home.output.trim() == "1", "{at_home:?}");
        // Whether it notices or not.
        let outcome = run_offline(
            "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)' 2>/dev/null; true",
        );
        assert_eq!((outcome.failed, outcome.is_fine), (1, false), "{outcome:?}");
        assert!(outcome.output.contains("1 connections"), "{outcome:?}");
    }

    #[test]
    fn a_test_over_its_time_is_reported_by_name() {
        let mut tests = Running::default();
        let (start, test_max) = (Instant::now(), Weight::Light.test_max());
        let slow = "test a::b has been running for over 60 seconds\ntest c has been running for over 60 seconds\n";
        assert_eq!(tests.late(slow, start, test_max), None);
        let later = start + test_max - SLOW_AFTER + Duration::from_secs(1);
        assert_eq!(tests.late(&format!("{slow}test c ... ok\n"), later, test_max).as_deref(), Some("a::b"));
        assert_eq!(tests.late(&format!("{slow}test c ... ok\ntest a::b ... FAILED\n"), later, test_max), None);
    }

    #[test]
    fn time_on_the_processors_is_counted() {
        let log = std::env::temp_dir().join(format!("xtask-cpu-{}", std::process::id()));
        let outcome = run(&shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"), &log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        assert!(outcome.is_fine && outcome.cpu > Duration::ZERO && outcome.wall > Duration::ZERO, "{outcome:?}");
    }
}
