//! API servers of the host clusters, which the simulated cloud does not start again: whoever kills one does.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use landlord_test_harness::{Service, World, process::children};
use rustix::process::{Pid, Signal, kill_process};

/// Its port is free again by then.
const PORT_PAUSE: Duration = Duration::from_millis(300);

/// A running API server.
#[derive(Debug)]
pub(crate) struct ApiServer {
    pid: u32,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    /// Ours once it was killed; it ends with this value.
    again: Option<Service>,
}

/// Those that the simulated clouds run now.
pub(crate) fn of_clusters(world: &World) -> Vec<ApiServer> {
    let log = world.folder().join("api-servers.log");
    let found = children(world.simulator().pid()).into_iter().filter_map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        words.next()?;
        let arguments: Vec<String> = words.filter(|word| !word.is_empty()).collect();
        let is_one = arguments.first().is_some_and(|word| word == "kube-apiserver");
        is_one.then(|| ApiServer { pid, program, arguments, log: log.clone(), again: None })
    });
    found.collect()
}

impl ApiServer {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.again.as_ref().map_or(self.pid, Service::pid)
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        match self.again.take() {
            Some(service) => drop(service),
            None => {
                if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
    }

    /// The same program with the same arguments, on the same port.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        std::thread::sleep(PORT_PAUSE);
        let service = Service::start("kube-apiserver", &self.program, &self.arguments, &self.log);
        self.again = Some(service.context("an API server can't be started again")?);
        Ok(())
    }
}
