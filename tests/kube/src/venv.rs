//! Python environments for tests and tools in that language: one for each requirements file, in the cache folder.
//!
//! Knows nothing about what is installed. The key is made of the file's content and the Python version.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    artifacts::cache_folder,
    error::{Error, Result},
};

/// Python of the environment for a requirements file, made first if it is missing, which needs the package index.
///
/// Several callers make it once: the others wait. What an interrupted one left is recreated.
///
/// # Errors
/// [`Error::Python`] with pip's own words, [`Error::NoCacheFolder`], unusable files.
pub fn python_env(requirements: &Path) -> Result<PathBuf> {
    let text = std::fs::read(requirements).map_err(Error::file("read", requirements))?;
    let mut digest = Sha256::new();
    digest.update(run(Command::new("python3").arg("--version"))?);
    digest.update(&text);
    let venvs = cache_folder()?.join("venvs");
    std::fs::create_dir_all(&venvs).map_err(Error::file("create", &venvs))?;
    let folder = venvs.join(hex::encode(&digest.finalize()[..8]));
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    let lock_path = folder.with_extension("lock");
    let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    if done.is_file() {
        return Ok(python);
    }
    let _ = std::fs::remove_dir_all(&folder);
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(arguments).arg(requirements))?;
    std::fs::write(&done, text).map_err(Error::file("write", &done))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let reported = |text: String| Error::Python { output: text };
    let output = command.output().map_err(|source| reported(source.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(reported(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
