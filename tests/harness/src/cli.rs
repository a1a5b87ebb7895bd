//! The real command line client, as a user calls it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How often a state that is waited for is observed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The client and the daemon that it talks to.
#[derive(Debug, Clone)]
pub struct Cli {
    binary: PathBuf,
    socket: PathBuf,
}

/// What a call of the client gave.
#[derive(Debug, Clone)]
pub struct CliOutput {
    /// Exit code; 128 and more for signals.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Progress and errors.
    pub stderr: String,
}

impl Cli {
    /// A client for the daemon at `socket`.
    #[must_use]
    pub fn new(binary: &Path, socket: &Path) -> Self {
        Self { binary: binary.to_owned(), socket: socket.to_owned() }
    }

    /// The client's command line, to be run in other ways.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("--server")
            .arg(format!("unix://{}", self.socket.display()))
            .args(arguments)
            .env_remove("LANDLORD_SERVER")
            .env("LANDLORD_CONFIG", self.socket.with_file_name("client.yaml"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the client, whatever its exit code.
    ///
    /// # Errors
    /// A client that can't be run.
    pub fn run(&self, arguments: &[&str]) -> Result<CliOutput> {
        let output = self.command(arguments).output().context("can't run the landlord client")?;
        Ok(CliOutput {
            code: output.status.code().unwrap_or(128),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs the client, which must succeed.
    ///
    /// # Errors
    /// Another exit code than 0, with what it printed.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let response = self.run(arguments)?;
        if response.code != 0 {
            bail!(
                "landlord {} ended with {}:\n{}{}",
                arguments.join(" "),
                response.code,
                response.stdout,
                response.stderr
            );
        }
        Ok(response.stdout)
    }

    /// Applies a tenant.
    ///
    /// # Errors
    /// As [`Cli::ok`].
    pub fn apply(&self, tenant: &TenantFile) -> Result<String> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        std::fs::write(file.path(), tenant.yaml())?;
        self.ok(&["apply", "-f", &file.path().display().to_string()])
    }

    /// Orders or adopts a host cluster.
    ///
    /// # Errors
    /// As [`Cli::ok`].
    pub fn apply_host(&self, host: &HostFile) -> Result<String> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        std::fs::write(file.path(), host.yaml())?;
        self.ok(&["apply", "-f", &file.path().display().to_string()])
    }

    /// A tenant or host cluster as JSON; `None` if it does not exist.
    ///
    /// # Errors
    /// Another exit code than 0 and 5.
    pub fn tenant(&self, name: &str) -> Result<Option<Value>> {
        let response = self.run(&["get", name, "-o", "json"])?;
        match response.code {
            0 => Ok(Some(serde_json::from_str(&response.stdout)?)),
            5 => Ok(None),
            code => bail!("landlord get {name} ended with {code}: {}", response.stderr),
        }
    }

    /// A tenant's events, oldest first.
    ///
    /// # Errors
    /// As [`Cli::ok`], or lines that are no JSON.
    pub fn events(&self, name: &str) -> Result<Vec<Value>> {
        let text = self.ok(&["events", name, "-o", "jsonl"])?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The state of a tenant or host cluster, `GONE` if it does not exist: cheaper than [`Self::tenant`].
    ///
    /// # Errors
    /// A daemon that does not respond.
    #[cfg(feature = "client")]
    pub fn state(&self, name: &str) -> Result<&'static str> {
        crate::observe::state(&self.socket, name)
    }

    /// Waits until a tenant or host cluster is in `state` (`READY`, `FAILED`, …) or gone (`GONE`). A daemon that is
    /// not there yet is waited for.
    ///
    /// # Errors
    /// It is not so after `timeout`; the error has the last thing seen.
    pub fn wait_for(&self, name: &str, state: &str, timeout: Duration) -> Result<Option<Value>> {
        let deadline = Instant::now() + timeout;
        loop {
            #[cfg(feature = "client")]
            crate::observe::wait(&self.socket, name, state, deadline.saturating_duration_since(Instant::now()))?;
            let seen = self.tenant(name);
            if let Ok(tenant) = &seen {
                let now = tenant.as_ref().map_or("GONE", |t| t["state"].as_str().unwrap_or("?"));
                if now == state {
                    return seen;
                }
            }
            if Instant::now() > deadline {
                bail!("{name} is not {state} after {timeout:?}; last seen: {seen:?}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// A tenant file.
#[derive(Debug, Clone)]
pub struct TenantFile {
    /// Customer id.
    pub customer: String,
    /// Tenant id.
    pub tenant: String,
    /// Class.
    pub class: String,
    /// Domain.
    pub domain: String,
    /// More lines of the spec, each indented by two.
    pub more: String,
}

impl TenantFile {
    /// A tenant of a class, with a domain of its own.
    #[must_use]
    pub fn new(customer: &str, tenant: &str, class: &str) -> Self {
        Self {
            customer: customer.into(),
            tenant: tenant.into(),
            class: class.into(),
            domain: format!("{tenant}.{customer}.example.com"),
            more: String::new(),
        }
    }

    /// Resource name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("customers/{}/tenants/{}", self.customer, self.tenant)
    }

    /// As YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        format!(
            "apiVersion: landlord.dev/v1\nkind: Tenant\nmetadata:\n  customer: {}\n  name: {}\nspec:\n  \
             tenantClass: {}\n  domain: {}\n  storageGib: 10\n{}",
            self.customer, self.tenant, self.class, self.domain, self.more
        )
    }
}

/// A host cluster file.
#[derive(Debug, Clone)]
pub struct HostFile {
    /// Id.
    pub id: String,
    /// Lines of the spec, each indented by two.
    pub spec: String,
}

impl HostFile {
    /// One that is built by a class.
    #[must_use]
    pub fn new(id: &str, class: &str, node_count: u32, max_tenants: u32) -> Self {
        let spec = format!("  tenantClass: {class}\n  nodeCount: {node_count}\n  tenantsMax: {max_tenants}\n");
        Self { id: id.into(), spec }
    }

    /// Resource name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("hostClusters/{}", self.id)
    }

    /// As YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        format!(
            "apiVersion: landlord.dev/v1\nkind: HostCluster\nmetadata:\n  name: {}\n  labels: {{tier: shared}}\nspec:\n{}",
            self.id, self.spec
        )
    }
}
