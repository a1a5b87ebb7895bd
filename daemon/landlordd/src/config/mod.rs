//! The daemon's configuration: one struct, unknown keys rejected, every key documented with
//! unit and default in `config/landlord.toml` (a test holds the two together).
//!
//! Layers, later ones win: built-in defaults, the file, `conf.d/*.toml` beside it in name
//! order, environment variables `LANDLORDD_SECTION__KEY`, `--set section.key=value`.

mod acme;
mod audit;
mod auth;
mod check;
mod customers;
mod duration;
mod load;
mod print;
mod secret;
mod server;
mod telemetry;
mod webhooks;

pub use acme::{AcmeLimit, AcmeLimits};
pub use audit::Audit;
pub use auth::{Auth, Certificate, Issuer, LocalUser, Signature};
pub use check::{Checked, ProviderSetup, check, check_all, resolve};
pub use customers::Customers;
pub use duration::HumanDuration;
pub(crate) use load::files;
pub use load::{Layers, Loaded, load};
pub use print::print;
pub(crate) use secret::read_secret;
pub use server::{ClientAuth, Listener, Server, Tls};
pub use telemetry::Telemetry;
pub use webhooks::Webhook;

use std::{collections::BTreeMap, path::PathBuf};

use landlord_core::{Class, Domains, PlacementRule, Residencies};
use landlord_plugin_host::Sandbox;
use serde::{Deserialize, Serialize};

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this installation; every cloud object carries it. A DNS label. The store knows it: a start with
    /// another one is refused once anything was ordered.
    pub installation: String,
    /// How clients reach the daemon.
    pub server: Server,
    /// Who callers are, and what they may do.
    pub auth: Auth,
    /// How customers are dealt with.
    pub customers: Customers,
    /// How long it is remembered who did what, and who signs it.
    pub audit: Audit,
    /// Where promises are kept.
    pub store: Store,
    /// How work is done.
    pub engine: Engine,
    /// How stacks are deployed.
    pub deploy: Deploy,
    /// How many certificates ACME servers give this installation.
    pub acme_limits: BTreeMap<String, AcmeLimits>,
    /// Whether environments that were READY are looked at.
    pub availability: Availability,
    /// What is logged.
    pub log: Log,
    /// Where traces and logs are sent.
    pub telemetry: Telemetry,
    /// Providers by name.
    pub providers: BTreeMap<String, Provider>,
    /// Classes by name.
    pub classes: BTreeMap<String, Class>,
    /// Placement rules in order; the first match wins.
    pub placement: Vec<PlacementRule>,
    /// Residency rules by name; all that bind a tenant must allow its region.
    pub residency: Residencies,
    /// Which domains tenants may have.
    pub domains: Domains,
    /// Where events are delivered to, by name.
    pub webhooks: BTreeMap<String, Webhook>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            installation: "landlord".into(),
            server: Server::default(),
            auth: Auth::default(),
            customers: Customers::default(),
            audit: Audit::default(),
            store: Store::default(),
            engine: Engine::default(),
            deploy: Deploy::default(),
            acme_limits: acme::defaults(),
            availability: Availability::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
            providers: BTreeMap::new(),
            classes: BTreeMap::new(),
            placement: Vec::new(),
            residency: Residencies::default(),
            domains: Domains::default(),
            webhooks: BTreeMap::new(),
        }
    }
}

/// Where promises are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// SQLite file, for one daemon; its folder must exist.
    pub path: PathBuf,
    /// PostgreSQL database instead of the file, for any number of daemons: `postgres://USER@HOST/DATABASE`; empty: the file.
    pub url: String,
    /// File with the password of that user; empty: none is needed.
    pub password_file: PathBuf,
    /// Newest events kept for Watch and `landlord events`.
    pub events_max: u64,
    /// Operations that ended are kept for so many days, and as long the ids of their requests are known; 0: for ever. The
    /// newest operation of an environment is kept as long as the environment.
    pub operations_kept_days: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: "/var/lib/landlord/landlord.db".into(),
            url: String::new(),
            password_file: PathBuf::new(),
            events_max: 100_000,
            operations_kept_days: 90,
        }
    }
}

/// How work is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Tenants worked on at the same moment.
    pub passes_max: u32,
    /// A claim ends this long after its owner was last seen.
    pub lease_ttl: HumanDuration,
    /// READY tenants are inspected again this often.
    pub resync_interval: HumanDuration,
    /// What host clusters have, and what is taken of it, is counted this often; 5 s to 1 h.
    pub capacity_interval: HumanDuration,
    /// A delete waits this long for an unreachable API server.
    pub teardown_timeout: HumanDuration,
    /// Transient errors is retried this long before a stage fails.
    pub retry_timeout: HumanDuration,
    /// Passes may end for this long after SIGTERM.
    pub drain_deadline: HumanDuration,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            passes_max: 64,
            lease_ttl: HumanDuration::from_secs(30),
            resync_interval: HumanDuration::from_secs(30 * 60),
            capacity_interval: HumanDuration::from_secs(5 * 60),
            teardown_timeout: HumanDuration::from_secs(10 * 60),
            retry_timeout: HumanDuration::from_secs(60 * 60),
            drain_deadline: HumanDuration::from_secs(20),
        }
    }
}

/// How stacks are deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deploy {
    /// Folder with a folder for each stack.
    pub stacks_dir: PathBuf,
    /// Folder with a folder for each platform.
    pub platforms_dir: PathBuf,
    /// Helm 4 binary.
    pub helm_path: PathBuf,
    /// Versions of it that are fit, as a semver requirement.
    pub helm_version: String,
    /// Helm's own cache and config, and short-lived kubeconfig files.
    pub state_dir: PathBuf,
    /// Helm processes at the same moment (each takes 100 to 200 MB).
    pub helm_processes_max: u32,
    /// File with credentials for registries of charts; empty: none.
    pub registry_config_file: PathBuf,
    /// HTTP proxy by which registries are reached; empty: none.
    pub registry_proxy: String,
    /// Hosts that are reached without it, separated by commas.
    pub registry_no_proxy: String,
    /// Gateway API CRDs (YAML) applied to clusters that landlord made; empty: none.
    pub gateway_api_crds: PathBuf,
    /// How environments are used before they count as answering.
    pub checks: Checks,
    /// Where charts are taken from instead: a folder, an archive or another reference, by reference.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub chart_mirrors: landlord_deploy::chart::ChartMirrors,
    /// Values of this installation over those of stacks and platforms: by their names, then by release.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: landlord_deploy::stack::Values,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            stacks_dir: "/usr/share/landlord/stacks".into(),
            platforms_dir: "/usr/share/landlord/platforms".into(),
            helm_path: "/usr/bin/helm".into(),
            helm_version: ">=4.3.0, <5.0.0".into(),
            state_dir: "/var/lib/landlord/deploy".into(),
            helm_processes_max: 4,
            registry_config_file: PathBuf::new(),
            registry_proxy: String::new(),
            registry_no_proxy: String::new(),
            gateway_api_crds: PathBuf::new(),
            checks: Checks::default(),
            chart_mirrors: BTreeMap::new(),
            values: BTreeMap::new(),
        }
    }
}

/// How environments are used before they count as answering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Use public addresses and names from the daemon's network, as customers do. Where an address can't be reached, or with
    /// false, the API server's port-forward is used.
    pub from_outside: bool,
    /// DNS server that resolves names, `ADDRESS:PORT`; empty: the machine's own resolver.
    pub resolver: String,
    /// HTTP proxy (CONNECT) that public addresses are reached through, `ADDRESS:PORT`; empty: directly.
    pub proxy: String,
    /// PEM file of certificate authorities that are trusted beside the machine's own, read at each run; empty: none.
    pub trusted_ca: PathBuf,
    /// OpenSSH's sftp, by which SFTP is checked.
    pub sftp_path: PathBuf,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            from_outside: true,
            resolver: String::new(),
            proxy: String::new(),
            trusted_ca: PathBuf::new(),
            sftp_path: "/usr/bin/sftp".into(),
        }
    }
}

/// Whether, and how, environments that were READY are looked at. Names and authorities are those of `deploy.checks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Availability {
    /// Look from the daemon's network whether they answer. Never where `deploy.checks.from_outside` is false.
    pub enabled: bool,
    /// Between two looks at one environment, 10s to 1h.
    pub interval: HumanDuration,
    /// Networks (CIDR) that are looked at, and used by checks, though they lie inside: private ones, in which load balancers are.
    pub allowed_networks: Vec<String>,
}

impl Default for Availability {
    fn default() -> Self {
        Self { enabled: true, interval: HumanDuration::from_secs(60), allowed_networks: Vec::new() }
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For humans.
    Text,
    /// One JSON object a line.
    Json,
}

/// A provider: a plugin file and its credential scopes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Plugin library.
    pub plugin: PathBuf,
    /// SHA-256 of the plugin, hex. Empty only with `allow_unpinned`.
    #[serde(default)]
    pub sha256: String,
    /// Load whatever the file holds. For development.
    #[serde(default)]
    pub allow_unpinned: bool,
    /// Endpoint that replaces the cloud's own, for simulators.
    #[serde(default)]
    pub endpoint_override: String,
    /// Multiplies expected durations, poll intervals and timeouts; 1.0 but for simulators.
    #[serde(default = "one")]
    pub time_scale: f64,
    /// Longest that one call of the plugin may take.
    #[serde(default = "call_deadline")]
    pub call_deadline: HumanDuration,
    /// Calls of the plugin at the same moment.
    #[serde(default = "calls_max")]
    pub calls_max: u32,
    /// Memory that the plugin's process may take, in MiB of address space.
    #[serde(default = "memory_max_mib")]
    pub memory_max_mib: u64,
    /// Environment variables that the plugin's process keeps, by name.
    #[serde(default)]
    pub environment: Vec<String>,
    /// What the plugin's process may reach.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Other figures for the plugin's rate buckets, by bucket name.
    #[serde(default)]
    pub rate_buckets: BTreeMap<String, RateBucket>,
    /// The plugin's own settings.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Credential scopes by name; each runs in a process of its own.
    pub credentials: BTreeMap<String, Credentials>,
}

/// A rate limit that replaces the plugin's figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateBucket {
    /// Calls per second, sustained.
    pub rate_per_second: f64,
    /// Calls at once after a pause.
    pub burst: f64,
}

/// A credential scope. Its further keys are the plugin's; a key that ends in `_file` is
/// replaced by the content of the file it names, and secrets are accepted in no other way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// Account, project or subscription that it belongs to; also the key of the rate limits.
    #[serde(default)]
    pub account: String,
    /// The plugin's own keys.
    #[serde(flatten)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

fn one() -> f64 {
    1.0
}

/// Above the slowest single call (a large CloudFormation template, a throttled page walk).
fn call_deadline() -> HumanDuration {
    HumanDuration::from_secs(60)
}

/// Cloud limits are a few tens of calls per second and account: more in flight only wait.
fn calls_max() -> u32 {
    64
}

/// Address space, not memory in use: thread stacks and allocator arenas reserve much of it.
fn memory_max_mib() -> u64 {
    4096
}
