//! Whether somebody else could replace what the daemon relies on: its configuration, its plugins, its store.

use std::{os::unix::fs::MetadataExt as _, path::Path};

const WRITABLE_BY_ALL: u32 = 0o002;
/// In a sticky folder each file is its owner's alone.
const STICKY: u32 = 0o1000;

/// Why a file or folder can't be relied on, and what to do; `None`: only its owner and group write it, or it is not there.
pub(crate) fn problem(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let mode = metadata.mode();
    let open = mode & WRITABLE_BY_ALL != 0 && !(metadata.is_dir() && mode & STICKY != 0);
    open.then(|| format!("{0} can be written by everybody; run `chmod o-w {0}`", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_everybody_writes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let with = |mode: u32| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            problem(folder.path())
        };
        assert_eq!((with(0o700), with(0o775), with(0o1777)), (None, None, None));
        assert!(with(0o777).unwrap().contains("chmod o-w"));
        assert_eq!(problem(&folder.path().join("absent")), None);
        let file = folder.path().join("landlord.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(problem(&file).is_some());
        with(0o700);
    }
}
