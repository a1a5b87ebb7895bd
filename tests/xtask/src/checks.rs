//! Formatting, lints, docs and protobuf rules.

use std::process::Command;

use anyhow::Result;

use crate::{
    report::{cargo, checkout, run, say},
    setup,
};

/// All of them; the first that fails ends.
pub(crate) fn all() -> Result<()> {
    let rust = "install Rust with rustup (https://rustup.rs), components rustfmt and clippy";
    run("cargo fmt --check", cargo().args(["fmt", "--all", "--check"]), rust)?;
    run(
        "cargo clippy",
        cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
        rust,
    )?;
    run(
        "cargo doc",
        cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"),
        rust,
    )?;
    run("gofmt", Command::new("sh").current_dir(checkout()).args(["-c", GOFMT]), "install Go")?;
    protobuf()
}

/// gofmt lists badly formatted files and exits 0 all the same.
const GOFMT: &str = "files=$(gofmt -l tests/kube) && test -z \"$files\" || { echo \"$files\"; exit 1; }";

/// The protocol that later ones are compared with, as buf builds it.
const BASELINE: &str = "proto/baseline.binpb";

fn protobuf() -> Result<()> {
    let buf = setup::buf()?;
    let in_proto = || {
        let mut command = Command::new(&buf);
        command.current_dir(checkout().join("proto"));
        command
    };
    run("buf lint", in_proto().arg("lint"), NODE)?;
    run("buf breaking: baseline", in_proto().args(["breaking", "--against", "baseline.binpb"]), NODE)?;
    // What landed since the baseline was renewed is held too. On main itself the last landed commit is the parent.
    let Some(landed) = ["origin/main", "HEAD~1"].into_iter().find(|reference| has_our_baseline(reference)) else {
        say("==> buf breaking: what landed before has another baseline, so only the baseline counts");
        return Ok(());
    };
    let against = format!("../.git#ref={landed},subdir=proto");
    run("buf breaking: landed", in_proto().args(["breaking", "--against", &against]), NODE)
}

const NODE: &str = "install Node.js 20 or newer";

/// Whether a commit has the same baseline as the working tree: then it must not be broken.
fn has_our_baseline(reference: &str) -> bool {
    let blob = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(checkout()).args(arguments).output().ok()?;
        output.status.success().then_some(output.stdout)
    };
    let theirs = blob(&["rev-parse", "--verify", "--quiet", &format!("{reference}:{BASELINE}")]);
    theirs.is_some() && theirs == blob(&["hash-object", BASELINE])
}

/// Declares the working tree's protocol the one that later ones are compared with: at a release, or for a deliberate
/// break before one.
pub(crate) fn renew_baseline() -> Result<()> {
    let mut command = Command::new(setup::buf()?);
    command.current_dir(checkout().join("proto"));
    // Nothing of it depends on the machine or the commit.
    run("buf build", command.args(["build", "--exclude-source-info", "-o", "baseline.binpb"]), NODE)
}
