//! Files that are refused, each with its own reason.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use landlord_plugin_host::{FileError, PluginFile};

use crate::world::{World, fake_library};

fn plain(world: &World) -> PathBuf {
    let path = world.path("plugin.so");
    fs::write(&path, b"\x7fELF and so on").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn refused(path: &Path, sha256: Option<&str>) -> (FileError, String) {
    let error = PluginFile::check(path, sha256).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
    (error, text)
}

#[test]
fn a_missing_file() {
    let world = World::new();
    let (error, text) = refused(&world.path("nowhere.so"), None);
    assert!(matches!(error, FileError::Open { .. }), "{text}");
}

#[test]
fn a_link() {
    let world = World::new();
    let link = world.path("link.so");
    symlink(plain(&world), &link).unwrap();
    let (error, text) = refused(&link, None);
    assert!(matches!(error, FileError::Link { .. }), "{text}");
}

#[test]
fn a_folder() {
    let world = World::new();
    let (error, text) = refused(world.dir.path(), None);
    assert!(matches!(error, FileError::NotAPlugin { .. }), "{text}");
}

#[test]
fn a_pipe_does_not_hang_the_daemon() {
    let world = World::new();
    let pipe = world.path("pipe.so");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (error, text) = refused(&pipe, None);
    assert!(matches!(error, FileError::NotAPlugin { .. }), "{text}");
}

#[test]
fn a_file_that_others_can_change() {
    let world = World::new();
    let path = plain(&world);
    for mode in [0o757, 0o775] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (error, text) = refused(&path, None);
        assert!(matches!(error, FileError::Untrusted { .. }), "{mode:o}: {text}");
        assert!(text.contains("chmod 755"), "{text}");
    }
}

#[test]
fn a_file_with_another_hash() {
    let world = World::new();
    let path = plain(&world);
    let wrong = "0".repeat(64);
    let (error, text) = refused(&path, Some(&wrong));
    let FileError::Hash { found, .. } = error else { panic!("{text}") };
    let file = PluginFile::check(&path, Some(&found.to_uppercase())).unwrap();
    assert_eq!(file.sha256(), found);
}

#[test]
fn a_file_that_is_no_library() {
    let world = World::new();
    let path = plain(&world);
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let (error, text) = refused(&path, None);
    assert!(matches!(error, FileError::NotAPlugin { .. }), "{text}");
}

#[test]
fn a_good_file() {
    let file = PluginFile::check(&fake_library(), None).unwrap();
    assert_eq!(file.sha256().len(), 64);
}
