//! Python environments for the tests that foreign clients drive: one for each requirements
//! file, in the cache folder, keyed by the file's content and the Python version.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use landlord_test_kube::cache_folder;
use sha2::{Digest as _, Sha256};

use crate::report::{checkout, run, say};

const MISSING: &str = "install Python 3.11 or newer (Debian: python3 python3-venv)";

/// A suite of pytest and its environment.
pub(crate) struct Venv {
    /// Folder with `requirements.txt` and the tests.
    pub(crate) suite: PathBuf,
    /// Its Python.
    pub(crate) python: PathBuf,
}

/// Folders whose requirements file is for a pytest suite.
const SUITES: [&str; 3] =
    ["tests/cloudsim/tests/boto3", "tests/cloudsim/tests/google", "tests/cloudsim/tests/microsoft"];

/// Makes what is missing.
pub(crate) fn all() -> Result<Vec<Venv>> {
    SUITES.iter().map(|suite| ensure(&checkout().join(suite))).collect()
}

fn ensure(suite: &Path) -> Result<Venv> {
    let requirements = suite.join("requirements.txt");
    let text =
        std::fs::read_to_string(&requirements).with_context(|| format!("can't read {}", requirements.display()))?;
    let version = Command::new("python3").arg("--version").output().context(MISSING)?.stdout;
    let mut hash = Sha256::new();
    hash.update(&version);
    hash.update(&text);
    let key = hex::encode(&hash.finalize()[..8]);
    let folder = cache_folder()?.join("venvs").join(key);
    let python = folder.join("bin/python");
    let done = folder.join("installed");
    if !done.is_file() {
        // A half-made environment of an interrupted run is made anew.
        let _ = std::fs::remove_dir_all(&folder);
        run("venv", Command::new("python3").args(["-m", "venv"]).arg(&folder), MISSING)?;
        run(
            "pip install",
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&requirements),
            MISSING,
        )?;
        std::fs::write(&done, text)?;
    }
    say(&format!("    {}", folder.display()));
    Ok(Venv { suite: suite.to_owned(), python })
}
