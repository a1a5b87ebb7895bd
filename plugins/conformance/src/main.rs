//! `landlord-conformance PLUGIN.so --config FILE`: a plugin author's first command. Exit code 0: all cases passed or were
//! skipped; 1: some failed; 2: the run could not begin.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use landlord_conformance::{CASES, Config, Options, run};

/// Some case failed.
const FAILED: u8 = 1;
/// The run could not begin.
const UNUSABLE: u8 = 2;

/// Holds a provider plugin to the whole contract.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The plugin's file.
    #[arg(required_unless_present = "list")]
    plugin: Option<PathBuf>,
    /// What the plugin is configured with and where its cloud is (TOML).
    #[arg(long, required_unless_present = "list")]
    config: Option<PathBuf>,
    /// Endpoint of the cloud, instead of the configuration's.
    #[arg(long)]
    endpoint: Option<String>,
    /// Run only this case; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Also write a report: `json FILE` or `junit FILE`; may be repeated.
    #[arg(long, num_args = 2, value_names = ["FORMAT", "FILE"])]
    report: Vec<String>,
    /// List the cases and end.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(landlord_plugin_host::child::CHILD_ARGUMENT) {
        landlord_plugin_host::run_child();
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return unusable(&error.to_string()),
    };
    match runtime.block_on(conform(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(problem) => unusable(&problem),
    }
}

fn unusable(problem: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "landlord-conformance: {problem}");
    ExitCode::from(UNUSABLE)
}

fn say(text: &str) {
    // A closed standard output is no reason to stop: the exit code and the report remain.
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn conform(arguments: Arguments) -> Result<bool, String> {
    let (Some(library), Some(config)) = (arguments.plugin, arguments.config) else {
        CASES.iter().for_each(|case| say(&format!("{:<14} {}", case.name, case.about)));
        return Ok(true);
    };
    for pair in arguments.report.chunks(2) {
        if !matches!(pair[0].as_str(), "json" | "junit") {
            return Err(format!("a report is json or junit, not {:?}", pair[0]));
        }
    }
    let mut config = Config::read(&config).map_err(|error| error.to_string())?;
    if let Some(endpoint) = arguments.endpoint {
        config.endpoint = endpoint;
    }
    let program = std::env::current_exe().map_err(|error| format!("this program can't be found: {error}"))?;
    let options = Options { library, config, program, only: arguments.only };
    let report = run(options, |case| say(&case.line())).await?;
    say(&report.summary());
    for pair in arguments.report.chunks(2) {
        let text = if pair[0] == "json" { report.json() } else { report.junit() };
        std::fs::write(&pair[1], text).map_err(|error| format!("{} can't be written: {error}", pair[1]))?;
    }
    Ok(report.failed().is_empty())
}
