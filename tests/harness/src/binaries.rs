//! Builds the programs under test with cargo and finds them. Cargo decides what is stale.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::Cloud;

/// The programs of this workspace that a world consists of.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The daemon.
    pub landlordd: PathBuf,
    /// The command line client.
    pub landlord: PathBuf,
    /// The simulated clouds.
    pub cloudsim: PathBuf,
    /// The plugins by provider.
    pub plugins: BTreeMap<String, PathBuf>,
}

const PACKAGES: [&str; 3] = ["landlordd", "landlord-cli", "cloudsim"];

/// Root of the checkout that this crate was built from.
#[must_use]
pub fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

impl Binaries {
    /// Builds what is stale (nothing, on a second call) in the profile of this crate, with the
    /// plugins for `clouds`. `progress` gets each crate that was compiled.
    ///
    /// # Errors
    /// The compiler's messages, if it fails; a missing cargo.
    pub fn ensure(clouds: &[&Cloud], progress: &mut dyn FnMut(&str)) -> Result<Self> {
        Self::ensure_with(clouds, &[], progress)
    }

    /// The same with the plugins of `providers` that are no simulated cloud's. All in one build, so that none is
    /// compiled twice with other features.
    ///
    /// # Errors
    /// As [`Binaries::ensure`].
    pub fn ensure_with(clouds: &[&Cloud], providers: &[&str], progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let package = |provider: &str| format!("landlord-plugin-{provider}");
        let plugins = clouds.iter().map(|cloud| cloud.provider).chain(providers.iter().copied());
        let packages = PACKAGES.into_iter().map(str::to_owned).chain(plugins.clone().map(package));
        let files = match std::env::var_os(BUILT) {
            Some(folder) => listed(Path::new(&folder))?,
            None => build(packages, progress)?,
        };
        let library = |provider: &str| find(&files, &format!("liblandlord_plugin_{provider}.so"));
        Ok(Self {
            landlordd: find(&files, "landlordd")?,
            landlord: find(&files, "landlord")?,
            cloudsim: find(&files, "cloudsim")?,
            plugins: plugins.map(|provider| Ok((provider.to_owned(), library(provider)?))).collect::<Result<_>>()?,
        })
    }

    /// The plugin of a provider.
    ///
    /// # Errors
    /// If it was not requested.
    pub fn plugin(&self, provider: &str) -> Result<&Path> {
        let plugin = self.plugins.get(provider);
        plugin.map(PathBuf::as_path).with_context(|| format!("the plugin of {provider} was not built"))
    }
}

/// Folder of programs that whoever runs the tests has just built: `cargo xtask test` sets it, so that programs side by
/// side don't queue for cargo's lock.
const BUILT: &str = "LANDLORD_TEST_BUILT";

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{BUILT} names {}", folder.display()))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// Builds packages in the profile of this crate; the files that cargo made or found fresh.
fn build(packages: impl Iterator<Item = String>, progress: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout()).args(["build", "--message-format=json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    for package in packages {
        command.args(["--package", &package]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't run cargo; install Rust with rustup, see https://rustup.rs")?;
    let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("cargo has no output");
    };
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let mut files = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?)?;
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        if message["fresh"] == false {
            progress(message["target"]["name"].as_str().unwrap_or_default());
        }
        let paths = message["filenames"].as_array().into_iter().flatten();
        files.extend(paths.filter_map(|path| path.as_str().map(PathBuf::from)));
    }
    let status = child.wait()?;
    let errors = errors.join().unwrap_or_default();
    if !status.success() {
        bail!("cargo build failed:\n{errors}");
    }
    Ok(files)
}

fn find(files: &[PathBuf], name: &str) -> Result<PathBuf> {
    let found = files.iter().find(|path| path.file_name().is_some_and(|file| file == name));
    found.cloned().with_context(|| format!("cargo built no {name}"))
}
