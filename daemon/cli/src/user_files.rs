//! Folders and files of the user who calls.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

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

/// Makes a folder, and those above it, that others can't look into. On Windows a profile's folders are its user's alone.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)
}

/// A new file that others can't read, from its beginning.
pub(crate) fn make_file(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.write(true).create_new(true).open(path)
}
