//! Manual pages and completions, as the programs themselves write them; the changelog.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};

use super::{Programs, tree::Tree};
use crate::report::checkout;

/// Shell, and where it looks for the completions of a program.
const SHELLS: [(&str, &str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions", "", ""),
    ("zsh", "usr/share/zsh/vendor-completions", "_", ""),
    ("fish", "usr/share/fish/vendor_completions.d", "", ".fish"),
];

/// Adds them.
pub(crate) fn add(tree: &mut Tree, programs: &Programs) -> Result<()> {
    for (name, program) in [("landlordd", &programs.landlordd), ("landlord", &programs.landlord)] {
        for (shell, folder, before, after) in SHELLS {
            let script = output(program, &["completion", shell])?;
            tree.file(&format!("{folder}/{before}{name}{after}"), 0o644, script);
        }
        let folder = tempfile::tempdir().context("no folder for manual pages")?;
        output(program, &["man", &folder.path().to_string_lossy()])?;
        let pages =
            fs::read_dir(folder.path())?.map(|page| Ok(page?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
        for page in pages {
            let file = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
            tree.file(&format!("usr/share/man/man1/{file}.gz"), 0o644, gzip(&fs::read(&page)?)?);
        }
    }
    let changelog = fs::read(checkout().join("CHANGELOG.md"))?;
    tree.file("usr/share/doc/landlord/changelog.gz", 0o644, gzip(&changelog)?);
    Ok(())
}

fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).env_clear().output();
    let output = output.with_context(|| format!("can't run {}", program.display()))?;
    if !output.status.success() {
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{} {}: {reported}", program.display(), arguments.join(" "));
    }
    Ok(output.stdout)
}

/// Without the time, so that the same bytes give the same file.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}
