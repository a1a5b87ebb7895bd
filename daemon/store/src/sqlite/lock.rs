//! Being the only process that has a store open.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    ops::Deref,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use fs4::fs_std::FileExt;

use crate::Error;

/// An open file, locked by this process; dropping it unlocks it, whoever else has it open.
///
/// Closing it is not enough: a process that this one is starting at the moment has a copy of every descriptor until it becomes its
/// program, and a lock lasts until the last copy is closed, unless it is taken away (flock(2)).
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Locked {
    /// Locks a file, which is given back if another process, or another descriptor of this one, has it locked.
    pub(crate) fn lock(file: File) -> std::io::Result<Result<Self, File>> {
        Ok(if file.try_lock_exclusive()? { Ok(Self(file)) } else { Err(file) })
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // It fails for descriptors only that are none of a file.
        let _ = FileExt::unlock(&self.0);
    }
}

/// Locks the store at `path` until what this returns is dropped.
///
/// # Errors
/// [`Error::InUse`], [`Error::File`].
pub(crate) fn lock(path: &Path) -> Result<Locked, Error> {
    let lock_path = path.with_added_extension("lock");
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(file_error)?;
    let locked = match Locked::lock(file).map_err(file_error)? {
        Ok(locked) => locked,
        Err(mut file) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "unknown" } else { holder };
            return Err(Error::InUse { path: path.to_owned(), holder: holder.to_owned() });
        }
    };
    let mut file: &File = &locked;
    file.set_len(0).map_err(file_error)?;
    file.rewind().map_err(file_error)?;
    writeln!(file, "{}", std::process::id()).map_err(file_error)?;
    Ok(locked)
}
