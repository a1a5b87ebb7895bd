//! The client for the systems that people sit at: `landlord` is checked for macOS and Windows on whatever machine this is. C in its
//! dependencies is compiled by zig, which has the headers of both and comes as a Python package.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use landlord_test_kube::{cache_folder, python_env};

use crate::report::{cargo, checkout, run};

/// The target as Rust calls it, and as zig does.
const TARGETS: [(&str, &str); 3] = [
    ("aarch64-apple-darwin", "aarch64-macos"),
    ("x86_64-apple-darwin", "x86_64-macos"),
    ("x86_64-pc-windows-gnu", "x86_64-windows-gnu"),
];

/// Names the target as zig does, and leaves out what build scripts say of it for other compilers.
const COMPILER: &str = r#"#!/bin/sh
# Written by `cargo xtask targets`.
for argument; do
    shift
    case "$argument" in
    --target=* | -target | *-apple-darwin | *-apple-macosx* | *-pc-windows-gnu | -mmacosx-version-min=*) ;;
    *) set -- "$@" "$argument" ;;
    esac
done
exec @PYTHON@ -m ziglang @TOOL@ "$@"
"#;

/// Checks it for all of them, one after the other; the first that fails ends.
pub(crate) fn check() -> Result<()> {
    let python = python_env(&checkout().join("tests/xtask/zig/requirements.txt"))?;
    let folder = cache_folder()?.join("targets");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let archiver = program(&folder.join("ar"), &python, "ar")?;
    for (target, name) in TARGETS {
        let compiler = program(&folder.join(format!("cc-{target}")), &python, &format!("cc -target {name}"))?;
        let rustup = "install Rust with rustup (https://rustup.rs)";
        run(
            &format!("rustup target add {target}"),
            Command::new("rustup").current_dir(checkout()).args(["target", "add", target]),
            rustup,
        )?;
        let variable = |name: &str| format!("{name}_{}", target.replace('-', "_"));
        let mut check = cargo();
        check.args(["check", "--package", "landlord-cli", "--target", target]);
        check.env(variable("CC"), &compiler).env(variable("AR"), &archiver);
        // The assembler of Windows' cryptography comes assembled: NASM is on few machines.
        check.env("AWS_LC_SYS_PREBUILT_NASM", "1");
        run(&format!("landlord for {target}"), &mut check, rustup)?;
    }
    Ok(())
}

fn program(path: &Path, python: &Path, tool: &str) -> Result<PathBuf> {
    let text = COMPILER.replace("@PYTHON@", &python.display().to_string()).replace("@TOOL@", tool);
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("can't write {}", path.display()))?;
    Ok(path.to_owned())
}
