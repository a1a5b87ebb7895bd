//! `create customer`, `update customer`, and what else `update` changes.

use clap::{Args, Subcommand};

use super::{UpdateHost, UpdateRevision};

/// `create`.
#[derive(Debug, Subcommand)]
pub enum Create {
    /// Makes a customer. Tenants are made by `apply`.
    Customer(Box<CustomerArguments>),
}

/// `update`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Update {
    /// Of what else.
    #[command(subcommand)]
    pub what: Option<UpdateWhat>,
    /// Of a tenant.
    #[command(flatten)]
    pub tenant: Option<UpdateRevision>,
}

/// What else than a tenant is updated.
#[derive(Debug, Subcommand)]
pub enum UpdateWhat {
    /// Changes what is given here of a customer.
    Customer(Box<CustomerArguments>),
    /// Brings a host cluster to the revision of its platform that lies on disk, and to what its class says now; back to those of
    /// before if that fails. Tenants that live there keep theirs.
    #[command(name = "hostcluster", alias = "hostclusters")]
    HostCluster(UpdateHost),
}

/// A customer. A list that is given replaces the one before; an empty text takes a value away.
#[derive(Debug, Args)]
pub struct CustomerArguments {
    /// Id.
    pub id: String,
    /// Name for humans.
    #[arg(long)]
    pub display_name: Option<String>,
    /// Number of the contract.
    #[arg(long, value_name = "NUMBER")]
    pub contract: Option<String>,
    /// When it begins: a date, or a time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub contract_start: Option<String>,
    /// When it ends: a date, or a time.
    #[arg(long, value_name = "TIME")]
    pub contract_end: Option<String>,
    /// Label.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Whom to turn to: `Ann <ann@example.com>`, or `billing: Ann <ann@example.com>`.
    #[arg(long = "contact", value_name = "CONTACT")]
    pub contacts: Vec<String>,
    /// Class that may be ordered.
    #[arg(long = "class", value_name = "CLASS")]
    pub classes: Vec<String>,
    /// Level that may be ordered.
    #[arg(long = "level", value_name = "LEVEL")]
    pub levels: Vec<String>,
    /// Most tenants; 0: any number.
    #[arg(long, allow_negative_numbers = true)]
    pub tenants_max: Option<i32>,
    /// Most storage of all tenants; 0: any.
    #[arg(long, allow_negative_numbers = true)]
    pub storage_gib_max: Option<i32>,
    /// Most nodes of all tenants; 0: any number.
    #[arg(long, allow_negative_numbers = true)]
    pub nodes_max: Option<i32>,
    /// Domain that is the customer's.
    #[arg(long = "domain", value_name = "DOMAIN")]
    pub domains: Vec<String>,
    /// Whether nothing may be ordered, and nothing is changed of what is there.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub suspended: Option<bool>,
    /// Only if it still has this etag.
    #[arg(long, default_value = "")]
    pub etag: String,
    /// Check everything, change nothing.
    #[arg(long)]
    pub dry_run: bool,
}
