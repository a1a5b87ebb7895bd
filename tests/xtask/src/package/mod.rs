//! What is installed: a Debian package, and an OCI image made without a container engine. Both are the same bytes for the same
//! programs and commit.

mod content;
mod deb;
mod documents;
mod image;
mod layer;
mod sbom;
mod tree;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    plugin,
    report::{cargo, checkout, run, say},
};

/// Plugins that are shipped, by their folders.
const PLUGINS: [&str; 4] = ["aks", "eks", "gke", "kubernetes"];

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A package for Debian and Ubuntu.
    Deb,
    /// An OCI image layout in a tar archive.
    Oci,
}

/// How a package is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct Package {
    /// What is made.
    form: Form,
    /// Folder with landlordd, landlord and plugins that are built already [default: they are built, for release].
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Folder for what is made.
    #[arg(long, value_name = "FOLDER", default_value = "target/packages")]
    out: PathBuf,
    /// Helm 4 for the image [default: the one that the tests build].
    #[arg(long, value_name = "FILE")]
    helm: Option<PathBuf>,
    /// Not compressed: made in a moment, for tests.
    #[arg(long)]
    fast: bool,
}

/// Programs by the name that they are installed under.
pub(crate) struct Programs {
    pub(crate) landlordd: PathBuf,
    pub(crate) landlord: PathBuf,
    /// Plugin libraries, with their file names.
    pub(crate) plugins: Vec<PathBuf>,
}

/// Makes it, and says where it is.
pub(crate) fn make(package: &Package) -> Result<()> {
    let programs = match &package.programs {
        Some(folder) => Programs::in_folder(folder)?,
        None => Programs::build()?,
    };
    std::fs::create_dir_all(&package.out).with_context(|| format!("can't make {}", package.out.display()))?;
    let time = commit_time(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
    let made = match package.form {
        Form::Deb => deb::make(&programs, &package.out, (time, package.fast))?,
        Form::Oci => image::make(&programs, package.helm.as_deref(), &package.out, (time, package.fast))?,
    };
    for file in made {
        let bytes = std::fs::metadata(&file)?.len();
        say(&format!("{}: {}.{} MB", file.display(), bytes / 1_000_000, bytes / 100_000 % 10));
    }
    Ok(())
}

impl Programs {
    fn in_folder(folder: &Path) -> Result<Self> {
        let file = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { Ok(path) } else { bail!("{} is not there; build it first", path.display()) }
        };
        // Whatever plugins were built: a package for one cloud needs one.
        let library = |name: &&str| folder.join(format!("liblandlord_plugin_{name}.so"));
        let plugins = PLUGINS.iter().map(library).filter(|path| path.is_file()).collect();
        Ok(Self { landlordd: file("landlordd")?, landlord: file("landlord")?, plugins })
    }

    fn build() -> Result<Self> {
        let rust = "install Rust with rustup (https://rustup.rs)";
        run("cargo build", cargo().args(["build", "--release", "-p", "landlordd", "-p", "landlord-cli"]), rust)?;
        let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
        let plugins = PLUGINS.iter().map(|name| plugin::build_one(name, &plugin::manifest(name)));
        let plugins = plugins.collect::<Result<_>>()?;
        Ok(Self { landlordd: built.join("release/landlordd"), landlord: built.join("release/landlord"), plugins })
    }
}

/// Seconds since 1970 that all files bear: when the sources were committed, unless `SOURCE_DATE_EPOCH` says otherwise
/// (<https://reproducible-builds.org/docs/source-date-epoch/>).
fn commit_time(ordered: Option<&str>) -> Result<u64> {
    if let Some(time) = ordered {
        return time.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {time:?}, not a number of seconds"));
    }
    let output = Command::new("git").current_dir(checkout()).args(["log", "-1", "--format=%ct"]).output();
    let output = output.context("can't run git; set SOURCE_DATE_EPOCH")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().context("git knows no commit here; set SOURCE_DATE_EPOCH")
}

/// The processor as Debian and OCI name it.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("packages are made on x86_64 and aarch64, not on {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_bear_the_time_of_the_commit_unless_another_is_ordered() {
        assert_eq!(commit_time(Some("1764000000")).ok(), Some(1_764_000_000));
        assert!(commit_time(Some("yesterday")).is_err_and(|error| error.to_string().contains("\"yesterday\"")));
        // No source of this project is older than this.
        assert!(commit_time(None).is_ok_and(|time| time > 1_700_000_000));
    }
}
