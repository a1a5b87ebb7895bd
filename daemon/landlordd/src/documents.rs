//! What the program says of itself: manual pages and completions, for packages.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;

/// Commands about the program.
#[derive(Debug, Clone, Subcommand)]
pub enum DocumentCommand {
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

/// Writes what is asked for, of the command line `program`.
///
/// # Errors
/// A folder that can't be written.
pub fn run(command: &DocumentCommand, mut program: clap::Command) -> Result<()> {
    match command {
        DocumentCommand::Man { folder } => {
            let failed = || format!("can't write into {}", folder.display());
            clap_mangen::generate_to(program, folder).with_context(failed)
        }
        DocumentCommand::Completion { shell } => {
            let name = program.get_name().to_owned();
            clap_complete::generate(*shell, &mut program, name, &mut std::io::stdout());
            Ok(())
        }
    }
}
