//! `landlord`, the command line client of landlordd, with kubectl's habits. It knows the API and
//! nothing else of the daemon.
//!
//! Data goes to standard output, progress and errors to standard error; the exit code shows how
//! it ended ([`error::Exit`]).

pub mod arguments;
pub mod client;
mod command;
mod connection;
pub mod error;
mod file;
mod login;
mod name;
mod output;
pub mod progress;
mod user_files;

use std::{io::Write as _, process::ExitCode};

use arguments::Arguments;
use clap::Parser as _;

/// Runs the client and gives its exit code.
pub async fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // --help and --version are results, not mistakes.
            return if error.use_stderr() { error::Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match command::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", output::visible(&error.to_string()));
            error.exit().into()
        }
    }
}
