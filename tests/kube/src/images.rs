//! Images for real nodes, put together from Debian's and PyPI's packages by `images/build.py`, in the cache folder.
//!
//! Knows nothing about nodes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    artifacts::cache_folder,
    error::{Error, Result},
    venv::python_env,
};

/// The builder and all that it reads.
const SOURCES: [(&str, &str); 5] = [
    ("build.py", include_str!("../images/build.py")),
    ("requirements.txt", include_str!("../images/requirements.txt")),
    ("files.txt", include_str!("../images/files.txt")),
    ("vectors.txt", include_str!("../images/vectors.txt")),
    ("chat.txt", include_str!("../images/chat.txt")),
];

/// OCI images in tar files for [`Node::import`](crate::Node::import), built first if they are missing: `pause` and
/// `base` (a shell, Python) in seconds; `files`, `vectors` and `chat` (the apps of the stack) from the package index.
/// An image `files` is known to a node as `landlord.test/files:1`.
///
/// Several callers build once: the others wait. An image is made anew when its packages' versions change.
///
/// # Errors
/// [`Error::Python`] with the builder's own words, [`Error::NoCacheFolder`], unusable files.
pub fn images(names: &[&str]) -> Result<Vec<PathBuf>> {
    let cache = cache_folder()?.join("images");
    let mut digest = Sha256::new();
    SOURCES.iter().for_each(|(_, text)| digest.update(text));
    let program = cache.join(format!("builder-{}", hex::encode(&digest.finalize()[..8])));
    std::fs::create_dir_all(&program).map_err(Error::file("create", &program))?;
    let lock_path = cache.join("lock");
    let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    for (name, text) in SOURCES {
        let path = program.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    let python = python_env(&program.join("requirements.txt"))?;
    let tools = python.parent().unwrap_or(Path::new("/"));
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(&python);
    command.arg(program.join("build.py")).arg(&cache).args(names).env("PATH", path);
    let output = command.output().map_err(|source| Error::Python { output: source.to_string() })?;
    if !output.status.success() {
        return Err(Error::Python { output: String::from_utf8_lossy(&output.stderr).trim().to_owned() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect())
}
