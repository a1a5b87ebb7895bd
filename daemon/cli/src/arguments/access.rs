//! Arguments about callers: who they are, what they may do, and the contexts that keep how they call.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `auth`.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Shows whether an action would be allowed; exit code 7 if not.
    #[command(name = "can-i")]
    CanI {
        /// Action: the name of an rpc, such as GetTenant or DeleteTenant.
        action: String,
        /// Resource name (customers/acme/tenants/prod, customers/acme, hostClusters/NAME, providers/ID); none: the
        /// installation.
        #[arg(default_value = "")]
        resource: String,
        /// Whose access: the name of a principal [default: your own].
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// With --as: its groups.
        #[arg(long = "as-group", value_name = "GROUP", requires = "principal")]
        groups: Vec<String>,
        /// With --as: the customer that it acts for.
        #[arg(long = "as-customer", value_name = "CUSTOMER", requires = "principal")]
        customer: Option<String>,
    },
}

/// `login`. What is given is kept with the context.
#[derive(Debug, Args)]
pub struct Login {
    /// The issuer, an https URL [default: the context's].
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Name of this program at the issuer, where it is a public client [default: the context's, else landlord-cli].
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// CAs of the issuer's certificate, PEM [default: those of the system].
    #[arg(long, value_name = "FILE")]
    pub issuer_ca_file: Option<PathBuf>,
    /// Scope to ask for beside openid and offline_access, such as the daemon's API.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Show the ID token to the daemon: for issuers whose access tokens are no JWTs.
    #[arg(long)]
    pub id_token: bool,
    /// Log in on another device: this machine has no browser.
    #[arg(long)]
    pub device: bool,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints the context in use.
    CurrentContext,
    /// Lists the contexts.
    GetContexts,
    /// Makes a context the one in use.
    UseContext {
        /// Context.
        name: String,
    },
    /// Makes or changes a context from --server, --ca-file, --client-cert, --client-key, --token-file, --customer.
    SetContext {
        /// Context.
        name: String,
    },
    /// Removes a context.
    DeleteContext {
        /// Context.
        name: String,
    },
}
