//! `orphans` and its subcommands.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;

/// What is done with orphans.
#[derive(Debug, Subcommand)]
pub enum Orphans {
    /// Lists them.
    List,
    /// Makes an orphan's objects the ones of a new tenant, ordered as it was then.
    Adopt {
        /// Uid of the orphan.
        uid: String,
        /// File with the tenant.
        #[arg(short = 'f', long = "file")]
        file: PathBuf,
        /// Checks everything as the adoption would, and adopts nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Removes an orphan's objects.
    Remove {
        /// Uid of the orphan.
        uid: String,
        /// Leaves what has its name and not its marker where it is, and lists it.
        #[arg(long)]
        force: bool,
        /// Wait until nothing is left, and print what was removed.
        #[arg(long)]
        wait: bool,
        /// Longest wait.
        #[arg(long, default_value = "2h", value_parser = super::duration)]
        timeout: Duration,
    },
}
