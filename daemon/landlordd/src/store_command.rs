//! What is done to the store while no daemon works on it, or beside one: made, copied, put back.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use landlord_store::sqlite;

use crate::config::Config;

/// Commands about the store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Makes the store of a new installation. A daemon makes none unasked: it would know nothing of what was built.
    Init,
    /// Copies the store into a new file, whole and as of one moment; the daemon may go on working.
    Backup {
        /// File to make.
        file: PathBuf,
    },
    /// Puts a backup back as the store, while no daemon runs. At the next start the clouds' inventories are compared with it
    /// before the first change: what was deleted since is not rebuilt, and objects that it does not know are reported.
    Restore {
        /// Backup.
        file: PathBuf,
        /// Put it in the place of the store that is there, which is kept beside it under another name.
        #[arg(long)]
        replace: bool,
    },
}

/// Runs a command; gives what to print.
///
/// # Errors
/// What can't be done, with what to do about it.
pub async fn run(command: StoreCommand, config: &Config) -> Result<String> {
    let path = &config.store.path;
    let shown = path.display();
    match command {
        StoreCommand::Init => {
            sqlite::init(path).await?;
            Ok(format!("made the store {shown}"))
        }
        StoreCommand::Backup { file } => {
            let copied = sqlite::backup(path, &file).await?;
            Ok(format!(
                "copied {} environments of {shown} into {} ({} bytes, checked)",
                copied.environments,
                file.display(),
                copied.bytes
            ))
        }
        StoreCommand::Restore { file, replace } => {
            let copied = sqlite::restore(&file, path, replace).await?;
            Ok(format!(
                "restored {} environments into {shown}; the next start compares the clouds' inventories before the first \
                 change",
                copied.environments
            ))
        }
    }
}
