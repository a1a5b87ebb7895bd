//! The file of a store, held: locked by its own inode, and compared with what its path leads to.

use std::{
    fs::{File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::lock::{self, Locked};
use crate::{Error, guard::Guard};

/// Whether there is a store at `path`: a file with content.
pub(crate) fn is_there(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.len() > 0)
}

/// The path without links, also of a file that is not there yet.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    if path.symlink_metadata().is_ok() {
        return path.canonicalize();
    }
    let absolute = std::path::absolute(path)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")),
    }
}

/// What root makes in a folder of the daemon's user belongs to that user, who could not open it otherwise: `landlordd restore` is often
/// run as root. SQLite gives its own files beside it to the same user.
pub(crate) fn belong_to_folder(file: &File, path: &Path) {
    let given = (|| {
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).metadata()?;
        let is_roots = file.metadata()?.uid() == 0 && rustix::process::geteuid().is_root();
        if is_roots && folder.uid() != 0 { fchown(file, Some(folder.uid()), Some(folder.gid())) } else { Ok(()) }
    })();
    if let Err(error) = given {
        // Root itself can work with it.
        tracing::warn!(%error, path = %path.display(), "the file can't be given to the user whose folder it is in");
    }
}

type Inode = (u64, u64);

fn inode(file: &Metadata) -> Inode {
    (file.dev(), file.ino())
}

/// What the mark beside a store says: how far a daemon had acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Whose.
    pub(crate) id: String,
    /// Position of the newest event.
    pub(crate) position: i64,
}

impl Mark {
    /// The mark of the store at a resolved path, if there is one.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(mark_path(path)).ok()?;
        let (id, position) = text.trim().split_once(' ')?;
        Some(Self { id: id.to_owned(), position: position.parse().ok()? })
    }
}

fn mark_path(path: &Path) -> PathBuf {
    path.with_added_extension("mark")
}

/// A store's file, open and locked.
#[derive(Debug)]
pub(crate) struct HeldFile {
    /// As configured: links may be turned while the daemon runs.
    path: PathBuf,
    /// Without links.
    pub(crate) resolved: PathBuf,
    inode: Inode,
    /// The write-ahead log, which holds what was acknowledged last.
    log: Mutex<Option<Inode>>,
    mark: Mutex<Option<(File, String)>>,
    // Closed last: closing any descriptor of the file ends SQLite's own locks on it. The lock file goes after it, so that nobody
    // else in this process has opened the store by then.
    _file: Locked,
    _lock: Locked,
}

impl HeldFile {
    /// Opens, or makes, the file and locks it.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::File`].
    pub(crate) fn hold(path: &Path) -> Result<Self, Error> {
        let file_error = |source| Error::File { path: path.to_owned(), source };
        let resolved = resolve(path).map_err(file_error)?;
        let lock = lock::lock(&resolved)?;
        belong_to_folder(&lock, &resolved);
        // SQLite itself would make it readable to all that the umask admits.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&resolved)
            .map_err(file_error)?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(file_error)?;
        // By its inode: the same file may have other names, and then other lock files.
        let Ok(file) = Locked::lock(file).map_err(file_error)? else {
            return Err(Error::InUse { path: path.to_owned(), holder: "(unknown: it uses another path)".into() });
        };
        belong_to_folder(&file, &resolved);
        let inode = inode(&file.metadata().map_err(file_error)?);
        Ok(Self {
            path: path.to_owned(),
            resolved,
            inode,
            log: Mutex::default(),
            mark: Mutex::default(),
            _file: file,
            _lock: lock,
        })
    }

    /// Remembers the write-ahead log, and goes on with the mark. Called once the database is open.
    ///
    /// # Errors
    /// A mark that can't be written.
    pub(crate) fn opened(&self, id: &str, position: i64) -> io::Result<()> {
        let log = self.log_path().metadata().ok().map(|log| inode(&log));
        *self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = log;
        let mark =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(mark_path(&self.resolved))?;
        belong_to_folder(&mark, &self.resolved);
        *self.mark.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((mark, id.to_owned()));
        self.committed(position);
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        let mut path = self.resolved.clone().into_os_string();
        path.push("-wal");
        path.into()
    }
}

impl Guard for HeldFile {
    fn check(&self) -> Result<(), String> {
        let shown = self.path.display();
        let remedy = "nothing is written any more; stop the daemon, put the file back or restore a backup \
                      (`landlordd restore`), and start it again";
        match self.path.metadata() {
            Ok(found) if inode(&found) == self.inode => {}
            Ok(_) => return Err(format!("the store {shown} was replaced while the daemon had it open; {remedy}")),
            Err(error) => {
                return Err(format!(
                    "the store {shown} is not there any more while the daemon has it open ({error}); {remedy}"
                ));
            }
        }
        let opened = *self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = self.log_path().metadata().ok().map(|log| inode(&log));
        if opened.is_some() && found != opened {
            let log = self.log_path();
            return Err(format!("{} was removed or replaced while the daemon had it open; {remedy}", log.display()));
        }
        Ok(())
    }

    fn committed(&self, position: i64) {
        let mark = self.mark.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Not forced to the disk: after a power cut an older mark proves less, and nothing wrong.
        if let Some((file, id)) = &*mark
            && let Err(error) = file.write_all_at(format!("{id} {position:019}\n").as_bytes(), 0)
        {
            tracing::warn!(%error, "the mark of the store can't be written; a copy that is put back may go unnoticed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As while a process is being started by another thread: it has copies of the descriptors until it becomes its program.
    #[test]
    fn what_was_let_go_is_free_while_copies_of_its_descriptors_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landlord.db");
        let held = HeldFile::hold(&path).unwrap();
        let _copies = [held._file.try_clone().unwrap(), held._lock.try_clone().unwrap()];
        assert!(matches!(HeldFile::hold(&path), Err(Error::InUse { .. })));
        drop(held);
        HeldFile::hold(&path).unwrap();
    }
}
