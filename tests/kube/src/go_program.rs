//! One program of a Go module that only tests use, built once into the cache.
//!
//! Knows nothing about what the program does.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{
    artifacts::{cache_folder, go_version},
    build::go,
    error::{Error, Result},
};

/// Hexadecimal digits of the key that name its folder.
const KEY_DIGITS: usize = 16;

/// What is built.
pub(crate) struct GoProgram {
    /// Name of the program, and of its folder in the cache.
    pub(crate) name: &'static str,
    /// The Go module that pins it: names and texts of its files.
    pub(crate) sources: &'static [(&'static str, &'static str)],
    /// Its package.
    pub(crate) command: &'static str,
    /// Folders that are kept beside the program: module, folder in it.
    pub(crate) folders: &'static [(&'static str, &'static str)],
}

#[derive(Deserialize)]
struct Downloaded {
    #[serde(rename = "Dir")]
    dir: PathBuf,
}

impl GoProgram {
    /// Path of the program, built first if it is missing. Its folders lie beside it.
    ///
    /// Several callers build once: the others wait. An interrupted build leaves nothing that would be taken for a finished one.
    pub(crate) fn ensure(&self, progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let folder = cache_folder()?.join(self.name).join(self.key(&go_version()?));
        let binary = folder.join(self.name);
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
        for (name, text) in self.sources {
            let path = module.join(name);
            std::fs::write(&path, text).map_err(Error::file("write", path))?;
        }
        let building = format!("building {}", self.name);
        progress(&building);
        let unfinished = folder.join("unfinished");
        let output = unfinished.display().to_string();
        let arguments =
            ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-v", "-o", &output, self.command];
        go(&module, "build", &arguments, &mut |line| progress(line.unwrap_or(&building)))?;
        for (of, path) in self.folders {
            keep(&module, of, path, &folder)?;
        }
        // The name appears when the file is whole.
        std::fs::rename(&unfinished, &binary).map_err(Error::file("rename", unfinished))?;
        std::fs::remove_dir_all(&module).map_err(Error::file("remove", module))?;
        Ok(binary)
    }

    fn key(&self, go_version: &str) -> String {
        let mut digest = Sha256::new();
        for input in self.sources.iter().flat_map(|(name, text)| [*name, *text]).chain([go_version]) {
            digest.update(input.len().to_le_bytes());
            digest.update(input.as_bytes());
        }
        hex::encode(digest.finalize())[..KEY_DIGITS].to_owned()
    }
}

/// Copies the files of a module's folder into one of the same last name.
fn keep(module: &Path, of: &str, path: &str, target: &Path) -> Result<()> {
    let reported = go(module, "mod", &["download", "-json", of], &mut |_| {})?;
    let downloaded: Downloaded = serde_json::from_str(&reported)
        .map_err(|_| Error::Damaged { what: "Go's response about a module", path: module.to_owned() })?;
    let source = downloaded.dir.join(path);
    let target = target.join(Path::new(path).file_name().unwrap_or_default());
    std::fs::create_dir_all(&target).map_err(Error::file("create", &target))?;
    for entry in std::fs::read_dir(&source).map_err(Error::file("read", &source))?.filter_map(|entry| entry.ok()) {
        if entry.path().is_file() {
            let text = std::fs::read(entry.path()).map_err(Error::file("read", entry.path()))?;
            let copy = target.join(entry.file_name());
            std::fs::write(&copy, text).map_err(Error::file("write", copy))?;
        }
    }
    Ok(())
}
