//! House rules that a compiler can't check.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod circles;
mod clones;
mod dependencies;
mod programs;
mod reasons;
mod sizes;
mod terms;

use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> Metadata {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    MetadataCommand::new()
        .current_dir(checkout())
        .features(CargoOpt::AllFeatures)
        // Crates for other systems are not linked here, and need not be on this machine.
        .other_options(vec!["--offline".into(), "--locked".into(), "--filter-platform".into(), host])
        .exec()
        .unwrap()
}

fn sources(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    walkdir::WalkDir::new(checkout().join(folder))
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            !name.starts_with('.') && name != "target" && name != "node_modules"
        })
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)))
        .collect()
}

fn show(path: &Path) -> String {
    path.strip_prefix(checkout()).unwrap_or(path).display().to_string()
}

/// A file without its unit tests.
fn code_of(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}
