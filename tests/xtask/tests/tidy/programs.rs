//! One test program for each crate: each one more is linked again at every change, and the runner can't put its waits beside
//! another's.

use std::{fs, path::Path};

use cargo_metadata::Target;

use crate::{metadata, sources};

/// Programs beside a crate's one, and why.
const APART: [(&str, &str, &str); 3] = [
    ("landlord-e2e", "crash", "computes all the time, and is scheduled apart from what waits for Kubernetes"),
    ("landlord-e2e", "real", "needs root and a real node; runs after the others"),
    ("landlord-plugin-kubernetes", "child", "is the plugin's own child process, so it has a main of its own"),
];

#[test]
fn a_crate_has_one_test_program() {
    let mut problems = Vec::new();
    for package in metadata().workspace_packages() {
        let apart =
            |target: &str| APART.iter().any(|(name, other, _)| *name == package.name.as_str() && *other == target);
        let programs: Vec<&str> = package
            .targets
            .iter()
            .filter(|target| target.is_test() && !apart(&target.name))
            .map(|target| target.name.as_str())
            .collect();
        if programs.len() > 1 {
            problems.push(format!("{}: {}", package.name, programs.join(", ")));
        }
    }
    assert!(problems.is_empty(), "make them modules of tests/it/main.rs:\n{}", problems.join("\n"));
}

/// Crates that authors copy: theirs will have tests.
const COPIED: [&str; 1] = ["provider-template"];

#[test]
fn what_has_no_tests_of_its_own_is_not_compiled_for_them() {
    let mut problems = Vec::new();
    for package in
        metadata().workspace_packages().into_iter().filter(|package| !COPIED.contains(&package.name.as_str()))
    {
        let inside = |target: &&Target| {
            !target.is_test() && !target.is_bench() && !target.is_example() && !target.is_custom_build()
        };
        let has_lib = package.targets.iter().any(Target::is_lib) || package.targets.iter().any(Target::is_cdylib);
        for target in package.targets.iter().filter(inside) {
            let is_beside_lib = target.is_bin() && has_lib;
            let is_tested = has_tests(target.src_path.as_std_path(), is_beside_lib);
            let whose = format!("{} {}", package.name, target.name);
            match (is_tested, target.test) {
                (true, false) => {
                    problems.push(format!("{whose}: has tests that nobody runs; take `test = false` away"))
                }
                (false, true) => {
                    problems.push(format!("{whose}: is compiled and linked for no test; set `test = false`"))
                }
                (true, true) | (false, false) => {}
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Whether there is a test in a target's sources: in its first file alone for a program beside a library.
fn has_tests(first: &Path, alone: bool) -> bool {
    let files =
        if alone { vec![first.to_owned()] } else { sources(first.parent().and_then(Path::to_str).unwrap(), &["rs"]) };
    let is_marker = |line: &str| line.trim_start().starts_with("#[cfg(test)]");
    files.iter().any(|path| fs::read_to_string(path).unwrap().lines().any(is_marker))
}
