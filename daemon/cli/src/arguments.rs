//! The command line.

mod access;
mod audit;
mod customer;
mod handover;
mod orphans;
mod wait;
mod webhooks;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    access::{AuthCommand, ConfigCommand, Login},
    audit::{Audit, AuditCommand},
    customer::{Create, CustomerArguments, Update, UpdateWhat},
    handover::{Diff, Logs, Rotate, TenantAccess, UpdateHost, UpdateRevision},
    orphans::Orphans,
    wait::Wait,
    webhooks::Webhooks,
};

/// Where the daemon listens by default.
pub const SERVER_DEFAULT: &str = "unix:///run/landlord/landlord.sock";

/// Heading of what every command takes, apart from its own options.
const CONNECTION: &str = "Connection options";

/// Client of landlordd: builds, watches and removes customers' environments.
#[derive(Debug, Parser)]
#[command(name = "landlord", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Which daemon, and how.
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which daemon, and how. What is not given here is the context's.
#[derive(Debug, Clone, Default, Args)]
pub struct ConnectionArguments {
    /// Daemon: unix:///path, https://host:port, or on this machine http://127.0.0.1:port [default: the context's, else
    /// unix:///run/landlord/landlord.sock]. Nothing else of a context is sent to another daemon.
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_SERVER")]
    pub server: Option<String>,
    /// Context of the configuration file [default: the one in use].
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_CONTEXT")]
    pub context: Option<String>,
    /// CAs of the daemon's certificate, PEM [default: those of the system].
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Certificate to show to the daemon, PEM.
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_CLIENT_CERT", value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_CLIENT_KEY", value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// File with a bearer token; read for every call.
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Customer of the tenants that are named without one, and of lists.
    #[arg(long, global = true, help_heading = CONNECTION, env = "LANDLORD_CUSTOMER")]
    pub customer: Option<String>,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 2 usage, 3 operation failed, 4 timed out but running, 5 not found, \
6 conflict, 7 auth, 8 unavailable, 9 cancelled.\n\
A TENANT is customers/CUSTOMER/tenants/TENANT, CUSTOMER/TENANT, or with --customer: TENANT or tenant/TENANT. \
Where hostcluster NAME is taken, hostcluster/NAME is too.\n\
Contexts are in the file that LANDLORD_CONFIG names, else in ~/.config/landlord/config.yaml.";

/// A duration as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write a number with its unit: 30s, 10m, 2h, 30d".to_owned())
}

/// `explain`.
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Where the tenants of a file would be placed: which rule chooses, and why the others do not.
    Placement {
        /// File with tenants; `-` is standard input.
        #[arg(short = 'f', long = "file")]
        file: PathBuf,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Creates tenants and host clusters from a file, or changes tenants that exist.
    Apply(Apply),
    /// Shows tenants, host clusters, customers, classes, operations, providers or daemons.
    Get(Get),
    /// Shows all about a tenant (conditions, stages, what blocks and its remedy) or a host cluster (who lives
    /// there, what is free).
    Describe {
        /// Tenant or host cluster.
        #[arg(value_name = "TENANT|hostcluster NAME", num_args = 1..=2, required = true)]
        name: Vec<String>,
    },
    /// Closes a host cluster to new tenants; those that live there stay.
    Cordon(Cordon),
    /// Opens a cordoned host cluster to new tenants again.
    Uncordon(Cordon),
    /// Shows what moving a tenant to another class would take.
    Move(Move),
    /// Creates a customer.
    Create {
        /// What.
        #[command(subcommand)]
        what: Create,
    },
    /// Brings a tenant to the revisions that lie on disk, and to what its class says now; back to those of before if that fails.
    /// `update hostcluster`: the same of a host cluster. `update customer`: changes a customer.
    Update(Update),
    /// Removes a tenant and everything of it, a host cluster in which nobody lives, or a customer that has no tenants.
    Delete(Delete),
    /// Follows what happens, until interrupted.
    Watch(Watch),
    /// Waits until a tenant or an operation has the wanted state, or can't reach it.
    Wait(Wait),
    /// Lists what happened to a tenant or host cluster.
    Events {
        /// Tenant or host cluster, also one that is gone.
        #[arg(value_name = "TENANT|hostcluster NAME", num_args = 1..=2, required = true)]
        name: Vec<String>,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Starts the failed stages of a tenant or host cluster again.
    Retry {
        /// Tenant or host cluster.
        #[arg(value_name = "TENANT|hostcluster NAME", num_args = 1..=2, required = true)]
        name: Vec<String>,
    },
    /// Cancels a running create or update: a create is unwound, anything else stops where it is.
    Cancel {
        /// Tenant, hostcluster/NAME, or operations/ID.
        #[arg(value_name = "TENANT|OPERATION")]
        name: String,
    },
    /// Prints a short-lived kubeconfig for the cluster that a tenant lives in.
    Kubeconfig(Kubeconfig),
    /// Uses a tenant's environment as its customer would, and shows what came of each check. Exit code 3 if one failed.
    Verify(Verify),
    /// Shows what is handed over to a tenant's customer: addresses, host keys, certificates, credentials.
    Access(TenantAccess),
    /// Shows what would change of a tenant's objects if it were brought to what is on offer now. Changes nothing.
    Diff(Diff),
    /// Shows what a tenant's apps write down.
    Logs(Logs),
    /// Gives the credentials of one of a tenant's apps new passwords.
    Rotate(Rotate),
    /// Shows why something is as it is.
    Explain {
        /// What.
        #[command(subcommand)]
        what: Explain,
    },
    /// Objects in the clouds of tenants that have no record, as after a restore: shows them, adopts them, removes them.
    Orphans {
        /// What; without one they are listed.
        #[command(subcommand)]
        what: Option<Orphans>,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Receivers of events: shows how far they are and what was given up, delivers again, tests.
    Webhooks {
        /// What; without one they are listed.
        #[command(subcommand)]
        what: Option<Webhooks>,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Shows the provider plugins.
    Plugins {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Shows who you are to the daemon.
    #[command(name = "whoami")]
    WhoAmI {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Logs in at an OpenID issuer; the context shows the token to its daemon from then on, and renews it.
    Login(Login),
    /// Forgets the tokens of the context.
    Logout,
    /// Shows who did what, or verifies that nothing of it was changed.
    Audit(Audit),
    /// What callers may do.
    Auth {
        /// What.
        #[command(subcommand)]
        what: AuthCommand,
    },
    /// Contexts: which daemons there are, and how they are reached.
    Config {
        /// What.
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Prints the client's version.
    Version,
    /// Writes the manual pages into a folder.
    Man {
        /// Folder, which must exist.
        folder: PathBuf,
    },
    /// Prints a completion script.
    Completion {
        /// Shell.
        shell: clap_complete::Shell,
    },
}

/// Form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// One JSON object a line.
    Jsonl,
    /// Names, one a line.
    Name,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// File with one or more tenants and host clusters (YAML or JSON); `-`: standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Check everything, change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until they are READY.
    #[arg(long)]
    pub wait: bool,
    /// Longest wait.
    #[arg(long, default_value = "2h", value_parser = duration)]
    pub timeout: Duration,
    /// Idempotency key (UUID), for a file with one tenant.
    #[arg(long)]
    pub request_id: Option<String>,
    /// Form of the output; table: a line of words for each tenant.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// `tenants`, `hostclusters`, `customers`, `classes`, `operations`, `providers`, `daemons`, or the name of a tenant, host cluster or operation.
    pub what: String,
    /// Name, after `tenant`, `hostcluster`, `customer`, `class` or `operation`; after `operations` also a tenant or host cluster (`acme/prod`,
    /// `hostcluster/shared-1`): what was requested of it.
    pub name: Option<String>,
    /// Only tenants or host clusters, of a list, that differ from what is on offer now: another revision on disk, another field of
    /// their class.
    #[arg(long)]
    pub outdated: bool,
    /// Of all customers, also when --customer or LANDLORD_CUSTOMER is set.
    #[arg(short = 'A', long)]
    pub all_customers: bool,
    /// Go on with every change, until interrupted (tenants only).
    #[arg(short, long)]
    pub watch: bool,
    /// AIP-160 filter: `state = READY AND provider = "…"`.
    #[arg(long, default_value = "")]
    pub filter: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `kubeconfig`.
#[derive(Debug, Args)]
pub struct Kubeconfig {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// Whom it is for. An operator has landlord's own rights in the whole cluster, also in a host cluster; a customer those
    /// of its namespace, once it is isolated. Required for a tenant in a host cluster; otherwise an operator.
    #[arg(long = "for", value_enum)]
    pub subject: Option<Subject>,
    /// How long a customer's works: 10m to 60m, by default 30m.
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
}

/// Whom a kubeconfig is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// An operator.
    Operator,
    /// The customer.
    Customer,
}

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Tenant, host cluster or customer.
    #[arg(value_name = "TENANT|hostcluster NAME|customer NAME", num_args = 1..=2, required = true)]
    pub name: Vec<String>,
    /// Do not wait for an API server that can't be reached.
    #[arg(long)]
    pub force: bool,
    /// Only if it still has this etag.
    #[arg(long, default_value = "")]
    pub etag: String,
    /// Wait until nothing is left, and print what was removed.
    #[arg(long)]
    pub wait: bool,
    /// Longest wait.
    #[arg(long, default_value = "2h", value_parser = duration)]
    pub timeout: Duration,
    /// Form of the output of --wait.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `move`.
#[derive(Debug, Args)]
pub struct Move {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// Class to move to.
    #[arg(long)]
    pub class: String,
    /// Only print the plan.
    #[arg(long)]
    pub dry_run: bool,
}

/// `cordon` and `uncordon`.
#[derive(Debug, Args)]
pub struct Cordon {
    /// Host cluster.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Only if it still has this etag.
    #[arg(long, default_value = "")]
    pub etag: String,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Tenant, host cluster, or `hostclusters` for all of those; none: all tenants.
    #[arg(value_name = "TENANT|hostcluster NAME|hostclusters", num_args = 0..=2)]
    pub name: Vec<String>,
    /// Of all customers, also when --customer or LANDLORD_CUSTOMER is set.
    #[arg(short = 'A', long)]
    pub all_customers: bool,
    /// Go on after this token.
    #[arg(long, default_value = "")]
    pub resume_token: String,
    /// Form of the output: table, json or jsonl.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
