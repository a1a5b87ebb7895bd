//! The template keeps the whole contract against its cloud, with both of its APIs. This test has a `main` of its own: the suite
//! starts the plugin's process as this very program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/nimbus/server.rs"]
mod server;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use landlord_conformance::{Config, Options, Outcome, Report, run};
use landlord_plugin_host::child::CHILD_ARGUMENT;

/// Code of the provider, without comments and empty lines: what an author has to write.
const PROVIDER_LINES_MAX: usize = 400;
/// How long an author waits for the suite on a machine that does nothing else; CI's is busier.
const SUITE_MAX: Duration = Duration::from_secs(240);
/// The two APIs of the cloud, and the cases that only one of them can show.
const NAMES: &str = "conformance.toml";
const IDS: &str = "conformance-ids.toml";
const ONLY_WITH_IDS: [&str; 3] = ["failed-objects", "duplicates", "keys"];
const ONLY_WITH_NAMES: [&str; 1] = ["name-taken"];
/// Of the two modules for objects an author needs one, and nothing that chooses.
const OTHER_API: [&str; 2] = ["by_id.rs", "either.rs"];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD_ARGUMENT) {
        landlord_plugin_host::run_child();
    }
    provider_is_short();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (began, both) = (Instant::now(), async { tokio::join!(conform(NAMES), conform(IDS)) });
    let (names, ids) = runtime.block_on(both);
    let took = began.elapsed();
    let skipped = |report: &Report| -> Vec<String> {
        let cases = report.cases.iter().filter(|case| case.outcome == Outcome::Skipped);
        cases.map(|case| case.name.clone()).collect()
    };
    // Between the two every case is judged.
    let all = names.failed().is_empty() && ids.failed().is_empty();
    let passed = all && skipped(&names) == ONLY_WITH_IDS && skipped(&ids) == ONLY_WITH_NAMES && took < SUITE_MAX;
    let (word, counts) = if passed { ("ok", "1 passed; 0 failed") } else { ("FAILED", "0 passed; 1 failed") };
    // In the words of cargo's own tests, for whoever counts them.
    let text = format!("{}\n\n{}\n\nboth: {:.0} s", names.text(), ids.text(), took.as_secs_f64());
    let _ = writeln!(std::io::stdout(), "{text}\n\ntest result: {word}. {counts}; 0 ignored");
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn conform(config: &str) -> Report {
    let mut config = Config::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(config)).unwrap();
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
    let files =
        sources.map(|file| file.unwrap().path()).filter(|path| !OTHER_API.iter().any(|name| path.ends_with(name)));
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    assert!(code <= PROVIDER_LINES_MAX, "the provider has {code} lines of code");
}
