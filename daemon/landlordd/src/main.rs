//! `landlordd`: start-up and shutdown on one page.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use landlord_core::Chain;
use landlordd::{
    config::{Checked, Config, Layers, Loaded, check, check_all, load, print},
    descriptors,
    documents::{self, DocumentCommand},
    reload::Sources,
    startup::{self, Start},
    store::{self, StoreCommand},
    systemd::{self, Passed},
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Where the configuration is searched for.
const CONFIG_PATH: &str = "/etc/landlord/landlord.toml";

/// Builds, keeps and removes customers' environments.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file [default: /etc/landlord/landlord.toml, if it exists].
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Sets one value, over file and environment: `engine.lease_ttl=40s`.
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    sets: Vec<String>,
    /// Prints every value with its origin, secrets masked, and ends.
    #[arg(long)]
    print_config: bool,
    /// Checks the configuration, tries Helm, starts each plugin in its sandbox, has it validate its classes, and ends.
    #[arg(long)]
    check_config: bool,
    /// Makes the store if there is none: for trials. An installation makes its store once, by `landlordd init`.
    #[arg(long)]
    create_store: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Store(StoreCommand),
    #[command(flatten)]
    Document(DocumentCommand),
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(landlord_plugin_host::child::CHILD_ARGUMENT) {
        landlord_plugin_host::run_child();
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "landlordd: {}", Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if let Some(Command::Document(command)) = &arguments.command {
        return documents::run(command, Arguments::command());
    }
    // Credentials come into memory below: neither a core nor another process of this user shall get at them.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let file = arguments.config.or_else(|| {
        let usual = Path::new(CONFIG_PATH);
        usual.is_file().then(|| usual.to_owned())
    });
    let layers = Layers { file, sets: arguments.sets, environment: true };
    let loaded: Loaded = load(&layers)?;
    if arguments.print_config {
        std::io::stdout().write_all(print(&loaded).as_bytes())?;
        return Ok(());
    }
    let config = loaded.config;
    if let Some(Command::Store(command)) = arguments.command {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(store::run(command, &config))?;
        writeln!(std::io::stdout(), "{done}")?;
        return Ok(());
    }
    if arguments.check_config {
        return check_config(&config);
    }
    let checked = match check(&config) {
        Ok(checked) => checked,
        Err(problems) => bail!("the configuration does not fit together:\n{}", problems.join("\n")),
    };
    serve(&config, checked, layers, arguments.create_store)
}

/// Names everything that is wrong, whoever finds it: what one part refuses keeps no other from being looked at.
fn check_config(config: &Config) -> Result<()> {
    let (checked, mut problems) = check_all(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    problems.extend(runtime.block_on(startup::problems(config, &checked)));
    if !problems.is_empty() {
        bail!("the configuration does not fit together:\n{}", problems.join("\n"));
    }
    writeln!(std::io::stdout(), "the configuration is fine")?;
    Ok(())
}

/// Runs the daemon until a signal ends it.
fn serve(config: &Config, checked: Checked, layers: Layers, create_store: bool) -> Result<()> {
    // Before there are threads, since it takes them out of the environment.
    let passed = Passed::take()?;
    // One TLS provider in the whole process; a second installation is harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime can't be started")?;
    let (log, export) = {
        let _within = runtime.enter();
        telemetry::init(&config.log, &config.telemetry)?
    };
    descriptors::raise_limit();
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // From here on a hangup ends nothing; it is looked at once the daemon is ready.
        let hangup = signal(SignalKind::hangup())?;
        let start = Start { create_store, passed, sources: Sources { layers, log, hangup } };
        let daemon = startup::run(config, checked, start, stop.clone());
        let watchdog = systemd::watchdog();
        tokio::pin!(daemon, watchdog);
        loop {
            tokio::select! {
                result = &mut daemon => return result,
                () = &mut watchdog => {}
                _ = terminate.recv() => end(&stop),
                _ = interrupt.recv() => end(&stop),
            }
        }
    });
    if let Some(export) = export {
        export.end();
    }
    ended
}

fn end(stop: &CancellationToken) {
    systemd::stopping();
    stop.cancel();
}
