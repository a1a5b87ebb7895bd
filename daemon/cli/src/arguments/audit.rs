//! `audit` and its subcommand.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::Output;

/// `audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    /// What; without one the entries are listed.
    #[command(subcommand)]
    pub what: Option<AuditCommand>,
    /// How far back.
    #[arg(long, default_value = "24h", value_parser = super::duration)]
    pub since: Duration,
    /// AIP-160 filter: `principal = "corp:ann" AND resource = "customers/acme/*"`.
    #[arg(long, default_value = "")]
    pub filter: String,
    /// Form of the output; jsonl can be verified later.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// What is done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Verifies the whole chain here, without believing the daemon: any entry that was changed, removed, inserted or reordered is
    /// found, up to the last signed head also by whoever can write the database. Exit code 3 if something is wrong.
    Verify {
        /// Exports (JSON, one entry a line), the oldest first; the daemon's entries follow them.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Public key of the signer, PEM; several if the key was changed. None: signatures are not verified.
        #[arg(long = "public-key", value_name = "FILE")]
        public_keys: Vec<PathBuf>,
        /// A head that is known from elsewhere, as the daemon's log has it: it must still be there.
        /// Of one before the first entry, its export is needed.
        #[arg(long, value_name = "SEQUENCE:HASH")]
        head: Option<String>,
        /// Believe an entry that says what was pruned though nobody signed it, as daemons without a key and those of before
        /// prunings were signed left it.
        #[arg(long)]
        allow_unsigned_pruning: bool,
        /// Verify the files only; no daemon is asked.
        #[arg(long, requires = "files")]
        offline: bool,
    },
}
