//! Provider plugins as one ships them: small, and with the lines that the daemon's configuration wants. Knows the
//! folders of `plugins/`, none of the plugins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::report::{cargo, checkout, say};

/// Functions of the same machine code become one: a quarter of a plugin are copies of generic code. Rust promises no
/// function an address of its own (`std::ptr::fn_addr_eq`). Only where the linker that comes with Rust is the default
/// (<https://blog.rust-lang.org/2025/09/01/rust-lld-on-1.90.0-stable>): others may not know the option.
const FOLD: Option<&str> = if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
    Some("link-arg=-Wl,--icf=all")
} else {
    None
};

/// Builds the plugins named, and says where they are, how large, and how to pin them.
pub(crate) fn build(names: &[String]) -> Result<()> {
    for name in names {
        let manifest = manifest(name);
        if !manifest.with_file_name("src").join("lib.rs").is_file() {
            bail!("there is no plugin in plugins/{name}; plugins/README.md lists them");
        }
        let file = build_one(name, &manifest)?;
        let bytes = fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let tenths = (bytes.len() + 50_000) / 100_000;
        say(&format!(
            "{}: {}.{} MB\n\n[providers.{name}]\nplugin = \"/usr/lib/landlord/{}\"\nsha256 = \"{digest}\"\n",
            file.display(),
            tenths / 10,
            tenths % 10,
            file.file_name().unwrap_or_default().display()
        ));
    }
    Ok(())
}

/// Manifest of a plugin in a folder of `plugins/`.
pub(crate) fn manifest(name: &str) -> PathBuf {
    checkout().join("plugins").join(name).join("Cargo.toml")
}

/// Builds the package of the manifest, whatever its name.
pub(crate) fn build_one(name: &str, manifest: &Path) -> Result<PathBuf> {
    say(&format!("==> plugins/{name}, profile plugin"));
    let mut command: Command = cargo();
    command
        .args(["rustc", "--profile", "plugin", "--lib", "--crate-type", "cdylib", "--manifest-path"])
        .arg(manifest)
        .arg("--message-format=json-render-diagnostics");
    if let Some(fold) = FOLD {
        command.args(["--", "-C", fold]);
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("can't run cargo; install Rust with rustup, see https://rustup.rs")?;
    if !output.status.success() {
        bail!("plugins/{name} was not built: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own = messages.filter(|message| message["manifest_path"].as_str().map(Path::new) == Some(manifest));
    let mut files = own.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let found = files.find_map(|file| file.as_str().filter(|path| path.ends_with(".so")).map(PathBuf::from));
    found.with_context(|| format!("cargo built no library of plugins/{name}"))
}
