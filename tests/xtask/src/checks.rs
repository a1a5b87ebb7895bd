//! Formatting, lints, docs and protobuf rules.

use std::process::Command;

use anyhow::Result;

use crate::{
    report::{cargo, checkout, run, say},
    setup,
};

/// All of them, one after the other; the first that fails ends.
pub(crate) fn all() -> Result<()> {
    quick()?;
    for (title, arguments, flags) in COMPILING {
        run(title, cargo().args(arguments.split(' ')).envs(flags.iter().copied()), RUST)?;
    }
    Ok(())
}

/// Those that take a moment.
pub(crate) fn quick() -> Result<()> {
    run("cargo fmt --check", cargo().args(["fmt", "--all", "--check"]), RUST)?;
    run("gofmt", Command::new("sh").current_dir(checkout()).args(["-c", GOFMT]), "install Go")?;
    protobuf()
}

/// Title, arguments of cargo, environment.
type Compiling = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Those that compile, with their environment: a CI runs them while tests wait.
pub(crate) const COMPILING: [Compiling; 2] = [
    ("cargo clippy", "clippy --workspace --all-targets --quiet -- -D warnings", &[]),
    ("cargo doc", "doc --workspace --no-deps --quiet", &[("RUSTDOCFLAGS", "-D warnings")]),
];

const RUST: &str = "install Rust with rustup (https://rustup.rs), components rustfmt and clippy";

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
