//! Arguments of what concerns a tenant's customer: access, credentials, revisions, logs; and a host cluster's revisions.

use std::time::Duration;

use clap::Args;

use super::Output;

/// `access`.
#[derive(Debug, Args)]
pub struct TenantAccess {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// Reads the passwords of all credentials that can be read. Most classes let each be read once.
    #[arg(long, conflicts_with = "read")]
    pub credentials: bool,
    /// Reads the password of this credential.
    #[arg(long, value_name = "CREDENTIAL")]
    pub read: Vec<String>,
    /// Says that the customer has used this credential: it can't be read any more.
    #[arg(long, value_name = "CREDENTIAL")]
    pub used: Vec<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// Of this app only.
    #[arg(long)]
    pub app: Option<String>,
    /// Goes on with lines as they are written.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what was written within this time, as `10m`.
    #[arg(long, value_parser = super::duration)]
    pub since: Option<Duration>,
    /// Lines of each container, the newest: 5000 at most. By default 200, with `--since` 5000.
    #[arg(long)]
    pub tail: Option<i32>,
}

/// `update`.
#[derive(Debug, Args)]
pub struct UpdateRevision {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// To what is on offer now. There is no other way yet.
    #[arg(long, required = true)]
    pub to_current: bool,
    /// Only these parts.
    #[arg(long, value_delimiter = ',', value_parser = ["class", "stack", "platform"])]
    pub parts: Vec<String>,
    /// Only checks whether it would be accepted.
    #[arg(long)]
    pub dry_run: bool,
}

/// `update hostcluster`.
#[derive(Debug, Args)]
pub struct UpdateHost {
    /// Host cluster.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// To what is on offer now. There is no other way yet.
    #[arg(long, required = true)]
    pub to_current: bool,
    /// Only these parts.
    #[arg(long, value_delimiter = ',', value_parser = ["class", "platform"])]
    pub parts: Vec<String>,
    /// Only checks whether it would be accepted.
    #[arg(long)]
    pub dry_run: bool,
}

/// `rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// App.
    #[arg(value_name = "APP")]
    pub app: String,
    /// Goes on with a rotation that ended with an error.
    #[arg(long)]
    pub request_id: Option<uuid::Uuid>,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Tenant.
    #[arg(value_name = "TENANT")]
    pub name: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
