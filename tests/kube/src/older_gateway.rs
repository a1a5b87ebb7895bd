//! Manifests of an older Gateway API than [`Artifacts::gateway_crds`](crate::Artifacts), from its own pinned Go module.
//!
//! Knows nothing about control planes.

use std::path::PathBuf;

use crate::{
    artifacts::cache_folder,
    build::copy_gateway_crds,
    error::{Error, Result},
};

/// The Go module that pins it.
const SOURCES: [(&str, &str); 2] =
    [("go.mod", include_str!("../gateway-older/go.mod")), ("go.sum", include_str!("../gateway-older/go.sum"))];
/// Name of the file beside the module.
const FILE: &str = "gateway-crds.yaml";

/// A YAML file with the standard CRDs of the Gateway API 1.2, which knows no ListenerSet. Downloaded once a machine.
///
/// # Errors
/// [`Error::GoMissing`], [`Error::Build`] with Go's own words, [`Error::NoCacheFolder`], unusable cache folder.
pub fn older_gateway_crds() -> Result<PathBuf> {
    let folder = cache_folder()?.join("gateway-older");
    std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let lock_path = folder.join("lock");
    let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    // Go keeps what it downloaded: copying again costs milliseconds, and a changed pin is seen.
    for (name, text) in SOURCES {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    let unfinished = folder.join("unfinished");
    std::fs::create_dir_all(&unfinished).map_err(Error::file("create", &unfinished))?;
    copy_gateway_crds(&unfinished, &folder)?;
    // Another test may be reading it: it changes in one step.
    let file = folder.join(FILE);
    std::fs::rename(unfinished.join(FILE), &file).map_err(Error::file("rename", &file))?;
    Ok(file)
}
