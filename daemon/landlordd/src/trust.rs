//! Whether somebody else could replace what the daemon relies on: its configuration, its plugins, its store.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _, path::Path};

const WRITABLE_BY_ALL: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
/// In a sticky folder each file is its owner's alone.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// Why a file or folder can't be relied on, and what to do; `None`: only its owner, root's group and the daemon's own group
/// write it, or it is not there.
pub(crate) fn problem(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let (who, remedy) = fault(&metadata, rustix::process::getegid().as_raw())?;
    Some(format!("{0} can be written by {who}; run `chmod {remedy} {0}`", path.display()))
}

/// Who could write it that should not, and the mode that ends that.
fn fault(metadata: &Metadata, own_group: u32) -> Option<(String, &'static str)> {
    let (mode, group) = (metadata.mode(), metadata.gid());
    if metadata.is_dir() && mode & STICKY != 0 {
        return None;
    }
    if mode & WRITABLE_BY_ALL != 0 {
        return Some(("everybody".to_owned(), "o-w"));
    }
    let foreign = mode & WRITABLE_BY_GROUP != 0 && group != ROOT && group != own_group;
    foreign.then(|| (format!("the group {group}, which is not the daemon's ({own_group})"), "g-w"))
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

    #[test]
    fn what_a_foreign_group_writes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let of = |mode: u32, own_group: u32| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            fault(&fs::metadata(folder.path()).unwrap(), own_group)
        };
        let group = fs::metadata(folder.path()).unwrap().gid();
        assert_eq!((of(0o770, group), of(0o750, group + 1), of(0o1770, group + 1)), (None, None, None));
        // Root's group is root's to fill.
        assert_eq!(of(0o770, group + 1).map(|(_, remedy)| remedy), (group != ROOT).then_some("g-w"));
        let mut other = of(0o700, group);
        if rustix::process::geteuid().is_root() {
            rustix::fs::chown(folder.path(), None, Some(rustix::fs::Gid::from_raw(4711))).unwrap();
            other = of(0o770, group);
            assert!(other.as_ref().is_some_and(|(who, _)| who.contains("4711")), "{other:?}");
        }
        assert_eq!(other.is_some(), rustix::process::geteuid().is_root());
        of(0o700, group);
    }
}
