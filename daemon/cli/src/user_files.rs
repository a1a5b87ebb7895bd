//! Folders and files of the user who calls.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// A folder of the user, by the XDG base directory specification.
pub(crate) fn folder(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| std::env::home_dir().map(|home| home.join(usual)))
}

/// Reads a file that the connection names.
pub(crate) fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::Usage(format!("{flag} {}: can't be read: {error}", path.display())))
}
