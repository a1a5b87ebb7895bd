//! Folders and files of the user who calls.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
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

/// Held by one program at a time; given back when it is dropped, or its program ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// That of a file, beside it. `None`: another program has it.
    pub(crate) fn of(path: &Path) -> io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        // Kept when it is not needed any more: who removed it could remove another's.
        let file = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Gives a file new content, which others can't read. Written beside and renamed, so that no reader sees half of it; the lock is the
/// file's own.
pub(crate) fn replace(path: &Path, _: &Lock, content: &[u8]) -> Result<(), Error> {
    let written = (|| {
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        // Of a process of the same number that was killed.
        let _ = std::fs::remove_file(&beside);
        let mut file = make_file(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    written.map_err(|error| Error::Usage(format!("{} can't be written: {error}", path.display())))
}

/// A new file that others can't read, from its beginning.
fn make_file(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.write(true).create_new(true).open(path)
}
