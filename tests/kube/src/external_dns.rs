//! ExternalDNS against a control plane and a DNS provider, as a process in place of its pod.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{Error, Result},
    free_port,
    go_program::GoProgram,
    process::Process,
};

const PROGRAM: GoProgram = GoProgram {
    name: "external-dns",
    sources: &[
        ("go.mod", include_str!("../external-dns/go.mod")),
        ("go.sum", include_str!("../external-dns/go.sum")),
        ("tools.go", include_str!("../external-dns/tools.go")),
    ],
    command: "sigs.k8s.io/external-dns",
    folders: &[],
};
/// Its log, in the folder that it was started in.
const LOG: &str = "external-dns.log";

/// A running ExternalDNS. Dropping it kills it.
#[derive(Debug)]
pub struct ExternalDns {
    process: Process,
    log: PathBuf,
}

impl ExternalDns {
    /// The program, built first if it is missing: some minutes on two cores.
    ///
    /// # Errors
    /// As [`cyclonus`](crate::cyclonus).
    pub fn ensure(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        PROGRAM.ensure(progress)
    }

    /// Starts it with a chart's arguments, as whom `kubeconfig` says. `environment` is all that it gets: nothing of this process
    /// leads it to a cloud. `folder` gets its log.
    ///
    /// # Errors
    /// A program that can't be started, an unusable folder.
    pub fn start(
        program: &Path,
        arguments: &[String],
        kubeconfig: &Path,
        environment: &[(&str, &str)],
        folder: &Path,
    ) -> Result<Self> {
        let metrics = free_port().map_err(Error::file("find free ports for", program))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--metrics-address=127.0.0.1:{metrics}"))
            .env_clear()
            .env("HOME", folder)
            .envs(environment.iter().copied());
        let log = folder.join(LOG);
        Ok(Self { process: Process::start("external-dns", command, &log)?, log })
    }

    /// Whether it still runs; else the end of its log.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// What it has written down so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
