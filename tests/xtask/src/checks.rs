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

fn protobuf() -> Result<()> {
    let buf = setup::buf()?;
    let node = "install Node.js 20 or newer";
    let folder = checkout().join("proto");
    run("buf lint", Command::new(&buf).current_dir(&folder).arg("lint"), node)?;
    // On main itself the last landed commit is the parent.
    let against = ["origin/main", "HEAD~1"].into_iter().find(|reference| {
        Command::new("git")
            .current_dir(checkout())
            .args(["rev-parse", "--verify", "--quiet"])
            .arg(format!("{reference}:proto/landlord"))
            .output()
            .is_ok_and(|output| output.status.success())
    });
    let Some(reference) = against else {
        say("==> buf breaking: nothing landed yet to compare with");
        return Ok(());
    };
    run(
        "buf breaking",
        Command::new(&buf)
            .current_dir(&folder)
            .args(["breaking", "--against"])
            .arg(format!("../.git#ref={reference},subdir=proto")),
        node,
    )
}
