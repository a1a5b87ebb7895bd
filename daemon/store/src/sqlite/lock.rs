//! Being the only process that has a store open.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use fs4::fs_std::FileExt as _;

use crate::Error;

/// Locks the store at `path` for as long as the file that this returns is open.
///
/// # Errors
/// [`Error::InUse`], [`Error::File`].
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let lock_path = path.with_added_extension("lock");
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(file_error)?;
    if !file.try_lock_exclusive().map_err(file_error)? {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = holder.trim();
        let holder = if holder.is_empty() { "unknown" } else { holder };
        return Err(Error::InUse { path: path.to_owned(), holder: holder.to_owned() });
    }
    file.set_len(0).map_err(file_error)?;
    file.rewind().map_err(file_error)?;
    writeln!(file, "{}", std::process::id()).map_err(file_error)?;
    Ok(file)
}
