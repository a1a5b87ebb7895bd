//! One test program for each crate: each one more is linked again at every change, and the runner can't put its waits beside
//! another's.

use crate::metadata;

/// Programs beside a crate's one, and why.
const APART: [(&str, &str, &str); 3] = [
    ("landlord-e2e", "crash", "computes all the time, and is scheduled apart from what waits for Kubernetes"),
    ("landlord-e2e", "real", "needs root and a real node; runs when it is requested"),
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
