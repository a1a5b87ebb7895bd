//! Files as they are installed: path, mode, owner and content, in the order of their paths.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};

/// One file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    /// User and group, by number.
    pub(crate) owner: u64,
    pub(crate) content: Content,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Folder,
    File(Vec<u8>),
    Link(String),
}

/// Entries by path, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Entry>);

impl Tree {
    /// Adds a file, with the folders above it.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.above(path);
        self.0.insert(path.to_owned(), Entry { mode, owner: 0, content: Content::File(bytes.into()) });
    }

    /// Adds a file of this machine.
    pub(crate) fn copy(&mut self, path: &str, mode: u32, from: &Path) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
        self.file(path, mode, bytes);
        Ok(())
    }

    /// Adds what a folder of this machine holds, readable by all; a program stays one.
    pub(crate) fn copy_all(&mut self, path: &str, from: &Path) -> Result<()> {
        let failed = || format!("can't read {}", from.display());
        for entry in fs::read_dir(from).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let at = format!("{path}/{}", entry.file_name().to_string_lossy());
            let found = entry.metadata().with_context(failed)?;
            if found.is_dir() {
                self.copy_all(&at, &entry.path())?;
            } else {
                let mode = if found.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                self.copy(&at, mode, &entry.path())?;
            }
        }
        Ok(())
    }

    /// Adds a folder that belongs to a user.
    pub(crate) fn folder(&mut self, path: &str, mode: u32, owner: u64) {
        self.above(path);
        self.0.insert(path.to_owned(), Entry { mode, owner, content: Content::Folder });
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.above(path);
        self.0.insert(path.to_owned(), Entry { mode: 0o777, owner: 0, content: Content::Link(target.to_owned()) });
    }

    fn above(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            let folder = || Entry { mode: 0o755, owner: 0, content: Content::Folder };
            self.0.entry(path[..at].to_owned()).or_insert_with(folder);
        }
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        let size = |entry: &Entry| match &entry.content {
            Content::File(bytes) => bytes.len() as u64,
            Content::Folder | Content::Link(_) => 0,
        };
        self.0.values().map(size).sum()
    }
}
