//! The template keeps the whole contract against its cloud, without a skip. This test has a `main` of its own: the suite
//! starts the plugin's process as this very program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/nimbus/server.rs"]
mod server;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use landlord_conformance::{Config, Options, Outcome, Report, run};
use landlord_plugin_host::child::CHILD_ARGUMENT;

/// Code of the provider, without comments and empty lines: what an author has to write.
const PROVIDER_LINES_MAX: usize = 400;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD_ARGUMENT) {
        landlord_plugin_host::run_child();
    }
    provider_is_short();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(conform());
    let passed = report.count(Outcome::Passed) == report.cases.len();
    let (word, counts) = if passed { ("ok", "1 passed; 0 failed") } else { ("FAILED", "0 passed; 1 failed") };
    // In the words of cargo's own tests, for whoever counts them.
    let _ = writeln!(std::io::stdout(), "{}\n\ntest result: {word}. {counts}; 0 ignored", report.text());
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn conform() -> Report {
    let mut config = Config::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance.toml")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.endpoint = format!("http://{}", listener.local_addr().unwrap());
    let options = server::Options {
        token: config.credential["token"].as_str().unwrap().to_owned(),
        making: Duration::from_millis(5),
        deleting: Duration::from_millis(5),
    };
    let mut cloud = tokio::task::JoinSet::new();
    cloud.spawn(async move { axum::serve(listener, server::router(options)).await });
    let program = std::env::current_exe().unwrap();
    run(Options { library: library(&program), config, program, only: Vec::new() }, |_| {}).await.unwrap()
}

/// Cargo puts this package's library beside its tests.
fn library(program: &Path) -> PathBuf {
    let beside = program.parent().unwrap();
    let name = format!("lib{}.so", env!("CARGO_PKG_NAME").replace('-', "_"));
    let places = [beside.join(&name), beside.join("..").join(&name)];
    places.into_iter().find(|path| path.is_file()).unwrap()
}

fn provider_is_short() {
    let sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let text: String = sources.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    assert!(code <= PROVIDER_LINES_MAX, "the provider has {code} lines of code");
}
