//! An engine for network policies that is not Kubernetes' and not ours, built once into the cache.
//!
//! Knows nothing about control planes: it reads policies and judges traffic in files.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::{
    artifacts::{cache_folder, go_version},
    build::go,
    error::{Error, Result},
};

/// The Go module that pins it.
const SOURCES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../cyclonus/go.mod")),
    ("go.sum", include_str!("../cyclonus/go.sum")),
    ("tools.go", include_str!("../cyclonus/tools.go")),
];
const COMMAND: &str = "github.com/mattfenwick/cyclonus/cmd/cyclonus";
/// Hexadecimal digits of the key that name its folder.
const KEY_DIGITS: usize = 16;

/// Path of the binary, built first if it is missing: 1.5 minutes on two cores. Use `analyze --mode query-traffic`.
///
/// Several callers build once: the others wait. An interrupted build leaves nothing that would be taken for a finished one.
///
/// # Errors
/// [`Error::GoMissing`], [`Error::Build`] with the compiler's own words, [`Error::NoCacheFolder`], unusable cache folder.
pub fn cyclonus(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let folder = cache_folder()?.join("cyclonus").join(key(&go_version()?));
    let binary = folder.join("cyclonus");
    if binary.is_file() {
        return Ok(binary);
    }
    std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let lock_path = folder.join("lock");
    let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    if binary.is_file() {
        return Ok(binary);
    }
    let module = folder.join("module");
    std::fs::create_dir_all(&module).map_err(Error::file("create", &module))?;
    for (name, text) in SOURCES {
        let path = module.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    progress("building cyclonus");
    let unfinished = folder.join("unfinished");
    let output = unfinished.display().to_string();
    let arguments = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-v", "-o", &output, COMMAND];
    go(&module, "build", &arguments, &mut |line| progress(line.unwrap_or("building cyclonus")))?;
    // The name appears when the file is whole.
    std::fs::rename(&unfinished, &binary).map_err(Error::file("rename", unfinished))?;
    std::fs::remove_dir_all(&module).map_err(Error::file("remove", module))?;
    Ok(binary)
}

fn key(go_version: &str) -> String {
    let mut digest = Sha256::new();
    for input in SOURCES.iter().flat_map(|(name, text)| [*name, *text]).chain([go_version]) {
        digest.update(input.len().to_le_bytes());
        digest.update(input.as_bytes());
    }
    hex::encode(digest.finalize())[..KEY_DIGITS].to_owned()
}
