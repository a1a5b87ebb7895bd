//! The Debian package, put together by `dpkg-deb`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    Programs, architecture, content,
    tree::{Content, Tree},
};
use crate::report::{checkout, run};

/// Scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Makes the package; gives its file.
pub(crate) fn make(programs: &Programs, out: &Path, (time, is_fast): (u64, bool)) -> Result<Vec<PathBuf>> {
    let tree = content::machine(programs)?;
    let folder = tempfile::tempdir().context("no folder for the package's files")?;
    write(&tree, folder.path())?;
    control(&tree, &folder.path().join("DEBIAN"))?;
    let version = env!("CARGO_PKG_VERSION");
    let file = out.join(format!("landlord_{version}_{}.deb", architecture()?));
    let mut command = Command::new("dpkg-deb");
    let compression = if is_fast { "-Znone" } else { "-Zxz" };
    command.args(["--root-owner-group", compression, "--build"]).arg(folder.path()).arg(&file);
    run("dpkg-deb", command.env("SOURCE_DATE_EPOCH", time.to_string()), "it is part of dpkg")?;
    Ok(vec![file])
}

fn control(tree: &Tree, folder: &Path) -> Result<()> {
    let sources = checkout().join("config/packaging/debian");
    fs::create_dir(folder)?;
    let control = fs::read_to_string(sources.join("control"))?
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", architecture()?)
        .replace("@LIBC@", &libc_version()?)
        .replace("@SIZE@", &tree.size().div_ceil(1024).to_string());
    fs::write(folder.join("control"), control)?;
    fs::write(folder.join("conffiles"), "/etc/landlord/landlord.toml\n")?;
    for script in SCRIPTS {
        fs::copy(sources.join(script), folder.join(script))?;
        fs::set_permissions(folder.join(script), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The C library that the programs were linked with, and so the oldest one that they are known to run with.
fn libc_version() -> Result<String> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().context("can't run getconf")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().nth(1).context("getconf knows no version of glibc")?.to_owned())
}

fn write(tree: &Tree, root: &Path) -> Result<()> {
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    for (path, entry) in &tree.0 {
        let at = root.join(path);
        match &entry.content {
            Content::Folder => fs::create_dir(&at)?,
            Content::File(bytes) => fs::write(&at, bytes)?,
            Content::Link(target) => {
                symlink(target, &at)?;
                continue;
            }
        }
        fs::set_permissions(&at, fs::Permissions::from_mode(entry.mode))?;
    }
    Ok(())
}
