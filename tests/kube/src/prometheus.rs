//! Prometheus, promtool and the exporter of nodes from Debian's packages, in the cache folder.

use std::path::PathBuf;

use crate::{artifacts::cache_folder, debian, error::Error, error::Result};

/// Folder with the programs `prometheus`, `promtool` and `prometheus-node-exporter`, which are unpacked first if they are missing:
/// 30 MB, in seconds. Several callers do it once.
///
/// # Errors
/// [`Error::Debian`] where there is no apt, or no package archive to be reached.
pub fn prometheus() -> Result<PathBuf> {
    let cache = cache_folder()?;
    let (folder, part) = (cache.join("prometheus-2"), cache.join("prometheus-2.part"));
    let lock_path = cache.join("prometheus.lock");
    std::fs::create_dir_all(&cache).map_err(Error::file("create", &cache))?;
    let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    if !folder.is_dir() {
        let _ = std::fs::remove_dir_all(&part);
        debian::unpack(&["prometheus", "prometheus-node-exporter"], &part)?;
        std::fs::rename(&part, &folder).map_err(Error::file("rename", &part))?;
    }
    Ok(folder.join("usr/bin"))
}
