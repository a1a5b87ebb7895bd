//! `cargo xtask test` and `cargo xtask ci`: everything that a landing must pass, with its
//! set-up. What a test needs on a machine is made here, in a cache folder outside the clone.
//! `cargo xtask plugin` and `cargo xtask package` build what one ships.

mod checks;
mod examples;
mod package;
mod plugin;
mod programs;
mod python;
mod report;
mod run;
mod schedule;
mod select;
mod setup;
mod suite;
mod targets;
mod times;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Tasks of the repository.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Clone, Subcommand)]
enum Task {
    /// Sets up what the tests need, then runs all of them, side by side.
    Test {
        /// Only these: crates (with or without `landlord-`), test programs or their modules, folders of pytest suites.
        names: Vec<String>,
        /// Only what a change since the last landing can affect, by the dependencies of the crates.
        #[arg(long, conflicts_with = "names")]
        changed: bool,
        /// Only what runs real pods on a real node: as root, and the first time after builds of half an hour.
        #[arg(long, conflicts_with_all = ["names", "changed"])]
        real: bool,
        /// Only what takes many minutes: rolling restarts, faults and upgrades of replicas under load; revisions under many tenants.
        #[arg(long, conflicts_with_all = ["names", "changed", "real"])]
        long: bool,
        /// Each suite without network, once everything is set up and built: it fails if it so much as tries to reach anything
        /// outside of the machine. As root.
        #[arg(long)]
        offline: bool,
    },
    /// Formatting, lints, docs, protobuf rules and all tests.
    Ci,
    /// Only what the tests need: Kubernetes parts, Python environments, buf.
    Setup,
    /// Only formatting, lints, docs and protobuf rules.
    Check,
    /// Checks the client for macOS and Windows; the first time after a download of a C compiler that knows them.
    Targets,
    /// Declares the present protobuf files the ones that later ones must not break.
    ProtoBaseline,
    /// Makes a Debian package or an OCI image, the same bytes for the same programs.
    Package(package::Package),
    /// Builds provider plugins for size, and prints the configuration that pins them.
    Plugin {
        /// Folders of `plugins/`, for example eks.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<bool> {
    match task {
        Task::Setup => setup::all().map(|_| true),
        Task::Check => checks::all().map(|()| true),
        Task::Targets => targets::check().map(|()| true),
        Task::ProtoBaseline => checks::renew_baseline().map(|()| true),
        Task::Package(package) => package::make(package).map(|()| true),
        Task::Plugin { names } => plugin::build(names).map(|()| true),
        Task::Test { real: true, offline, .. } => schedule::some(&select::real(), *offline),
        Task::Test { long: true, offline, .. } => schedule::some(&select::long(), *offline),
        Task::Test { names, changed: false, offline, .. } if names.is_empty() => schedule::everything(false, *offline),
        Task::Test { names, changed: false, offline, .. } => schedule::some(&select::named(names)?, *offline),
        Task::Test { changed: true, offline, .. } => schedule::some(&select::changed()?, *offline),
        Task::Ci => {
            checks::quick()?;
            schedule::everything(true, false)
        }
    }
}
