//! Formatting, lints, docs and protobuf rules.

use std::{ffi::OsString, path::Path, process::Command};

use anyhow::Result;

use crate::{
    report::{cargo, checkout, run, say},
    setup,
};

/// All of them, one after the other; the first that fails ends.
pub(crate) fn all() -> Result<()> {
    quick()?;
    for check in compiling() {
        run(check.title, cargo().args(check.arguments.split(' ')).envs(check.variables), RUST)?;
    }
    Ok(())
}

/// Those that take a moment.
pub(crate) fn quick() -> Result<()> {
    run("cargo fmt --check", cargo().args(["fmt", "--all", "--check"]), RUST)?;
    run("gofmt", Command::new("sh").current_dir(checkout()).args(["-c", GOFMT]), "install Go")?;
    protobuf()
}

/// A check that compiles.
pub(crate) struct Compiling {
    pub(crate) title: &'static str,
    /// Of cargo.
    pub(crate) arguments: &'static str,
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

/// Those that compile, with their environment: a CI runs them while tests wait.
pub(crate) fn compiling() -> [Compiling; 2] {
    let denied = ("RUSTDOCFLAGS", "-D warnings".into());
    [
        Compiling {
            title: "cargo clippy",
            arguments: "clippy --workspace --all-targets --quiet -- -D warnings",
            variables: Vec::new(),
        },
        Compiling {
            title: "cargo doc",
            arguments: "doc --workspace --no-deps --quiet",
            variables: clippys().into_iter().chain([denied]).collect(),
        },
    ]
}

/// What clippy compiled, rustdoc reads: cargo compiles everything once more for it unless the compiler is the one that clippy's cargo
/// uses, with the same arguments (<https://github.com/rust-lang/rust-clippy/blob/master/src/main.rs>). Where that changes, it only takes
/// longer.
fn clippys() -> Vec<(&'static str, OsString)> {
    let driver = Path::new(cargo().get_program()).with_file_name("clippy-driver");
    if !driver.is_file() {
        return Vec::new();
    }
    let arguments = ["-D", "warnings", ""].join("__CLIPPY_HACKERY__");
    vec![("RUSTC_WORKSPACE_WRAPPER", driver.into_os_string()), ("CLIPPY_ARGS", arguments.into())]
}

const RUST: &str = "install Rust with rustup (https://rustup.rs), components rustfmt and clippy";

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
