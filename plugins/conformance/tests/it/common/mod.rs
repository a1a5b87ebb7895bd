//! What the tests of the suite share: plugin files as cargo builds them, configurations, runs.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod clouds;

use std::path::{Path, PathBuf};

use landlord_conformance::{Config, Options, Report, run as conform};
use serde_json::json;

/// A plugin's library, which cargo puts beside this program.
pub fn library(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.parent().unwrap().join(format!("lib{name}.so"));
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

pub fn config(name: &str) -> Config {
    Config::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).unwrap()
}

/// The fake provider with its cloud in `dir`, and these defects.
pub fn fake(dir: &Path, defects: &[&str]) -> Config {
    let mut config = config("fake.toml");
    let path = dir.display().to_string();
    config.provider.insert("state_dir".into(), json!(path));
    config.provider.insert("defects".into(), json!(defects));
    config.sandbox.write_paths = vec![dir.to_owned()];
    config.outside.effects_file = format!("{path}/journal.jsonl");
    config
}

pub fn options(plugin: &str, config: Config, only: &[&str]) -> Options {
    at(&library(plugin), config, only)
}

pub fn at(library: &Path, config: Config, only: &[&str]) -> Options {
    Options {
        library: library.to_owned(),
        config,
        program: env!("CARGO_BIN_EXE_landlord-conformance").into(),
        only: only.iter().map(|name| (*name).to_owned()).collect(),
    }
}

pub async fn run(plugin: &str, config: Config, only: &[&str]) -> Report {
    conform(options(plugin, config, only), |_| {}).await.unwrap()
}
