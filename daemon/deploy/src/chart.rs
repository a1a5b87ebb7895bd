//! Charts as they lie on disk or are referenced. Knows nothing of whose releases they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use landlord_kube::{file, yaml};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Charts lie in memory as a digest only, but a mistaken path should not read a disk.
const CHART_FILES_MAX: usize = 2_000;
/// Largest file of a chart: a stack or platform has no more with all of its charts together.
pub(crate) const CHART_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where charts are taken from instead: by reference, the path of a folder or archive, or another reference. For networks
/// that can't reach the registries.
pub type ChartMirrors = BTreeMap<String, String>;

/// Where Helm finds a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChartRef {
    pub(crate) location: String,
    pub(crate) version: Option<String>,
    /// Changes when the chart does.
    pub(crate) digest: String,
    /// SHA-256 of the archive, as 64 hexadecimal digits, that a referenced chart must have; `None`: whatever the registry gives.
    pub(crate) pinned: Option<String>,
    /// Whether it is a folder whose files the digest is over.
    is_folder: bool,
}

/// How a digest is written.
const DIGEST_PREFIX: &str = "sha256:";

impl ChartRef {
    /// A referenced chart, or what stands for it; `pinned` is empty, or its digest.
    pub(crate) fn referenced(chart: &str, version: &str, pinned: &str, mirrors: &ChartMirrors) -> Self {
        let location = mirrors.get(chart).map_or(chart, String::as_str);
        let digest =
            if pinned.is_empty() { format!("{chart}@{version}") } else { format!("{chart}@{version}@{pinned}") };
        Self {
            location: location.to_owned(),
            version: is_reference(location).then(|| version.to_owned()),
            digest,
            pinned: pinned.strip_prefix(DIGEST_PREFIX).map(str::to_owned),
            is_folder: false,
        }
    }

    /// What no release has: Helm finds nothing there.
    pub(crate) fn missing(release: &str) -> Self {
        Self {
            location: format!("the chart of {release}"),
            version: None,
            digest: String::new(),
            pinned: None,
            is_folder: false,
        }
    }

    /// The chart's own values, if it lies in a folder; of others nothing is known here.
    pub(crate) fn own_values(&self) -> Value {
        let path = Path::new(&self.location).join("values.yaml");
        let text = file::text(&path, CHART_FILE_BYTES_MAX).unwrap_or_default();
        yaml::read(&text).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
    }

    /// A chart in a folder.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, String> {
        let (location, digest) = (folder.display().to_string(), digest(folder)?);
        Ok(Self { location, version: None, digest, pinned: None, is_folder: true })
    }

    /// Takes a copy of a chart in a folder, from which Helm reads from now on: what was hashed is what is delivered, whatever
    /// becomes of the folder while the daemon runs. Anything else stays where it is.
    pub(crate) fn keep_in(&mut self, copies: &Path) -> Result<()> {
        if !self.is_folder {
            return Ok(());
        }
        let source = PathBuf::from(&self.location);
        let copy = copies.join(&self.digest);
        // An earlier daemon's, if nobody touched it.
        if digest(&copy).as_ref() != Ok(&self.digest) {
            copy_files(&source, &copy)?;
        }
        if digest(&copy).as_ref() != Ok(&self.digest) {
            let problem = "changed while it was read; start the daemon again when nobody changes it".to_owned();
            return Err(Error::Stack { path: source, problem });
        }
        self.location = copy.display().to_string();
        Ok(())
    }
}

/// The files of a folder, and nothing else that was in the other.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(Error::file("remove", to))?;
    }
    // Links are followed as by the digest: what they lead to is part of the chart.
    for entry in walkdir::WalkDir::new(from).follow_links(true) {
        let unreadable = |error: walkdir::Error| Error::Stack { path: from.to_owned(), problem: error.to_string() };
        let entry = entry.map_err(unreadable)?;
        let target = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).map_err(Error::file("make", &target))?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &target).map_err(Error::file("copy a chart to", &target))?;
        }
    }
    Ok(())
}

/// Removes copies that no chart is read from any more.
pub(crate) fn forget_others(copies: &Path, kept: &BTreeSet<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(copies) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if !kept.contains(&path.display().to_string()) {
            fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
        }
    }
    Ok(())
}

pub(crate) fn is_reference(chart: &str) -> bool {
    chart.starts_with("oci://") || chart.starts_with("https://")
}

/// What does not fit in where a release's chart is reported to be.
pub(crate) fn problem(chart: &str, version: &str, pinned: &str) -> Option<&'static str> {
    if is_reference(chart) == version.is_empty() {
        return Some("a referenced chart needs a version, a folder must not have one");
    }
    let hexadecimal =
        |digest: &str| digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_digest = pinned.strip_prefix(DIGEST_PREFIX).is_some_and(hexadecimal);
    if !pinned.is_empty() && (!is_reference(chart) || !is_digest) {
        return Some("digest must be sha256: and 64 hexadecimal digits, of the archive of a referenced chart");
    }
    let escapes = Path::new(chart).components().any(|part| part == Component::ParentDir);
    (escapes || chart.starts_with('/')).then_some("the chart's folder must lie beside the manifest")
}

/// Digest over names and contents of a chart's files.
fn digest(folder: &Path) -> Result<String, String> {
    let mut digest = Sha256::new();
    let mut files = 0;
    for entry in walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| error.to_string())?;
        if !entry.file_type().is_file() {
            continue;
        }
        files += 1;
        if files > CHART_FILES_MAX {
            return Err(format!("{} has more than {CHART_FILES_MAX} files", folder.display()));
        }
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
        let content = file::read(entry.path(), CHART_FILE_BYTES_MAX);
        let content = content.map_err(|error| format!("{}: {error}", entry.path().display()))?;
        for part in [name.as_bytes(), &content] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
    }
    if !folder.join("Chart.yaml").is_file() {
        return Err(format!("{} is no chart", folder.display()));
    }
    Ok(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_stands_for_a_reference() {
        let mirrors: ChartMirrors = [("oci://a/b".to_owned(), "/charts/b.tgz".to_owned())].into();
        let mirrored = ChartRef::referenced("oci://a/b", "1.0.0", "", &mirrors);
        assert_eq!((mirrored.location.as_str(), mirrored.version.as_deref()), ("/charts/b.tgz", None));
        let direct = ChartRef::referenced("oci://a/b", "1.0.0", "", &ChartMirrors::new());
        assert_eq!((direct.location.as_str(), direct.version.as_deref()), ("oci://a/b", Some("1.0.0")));
        assert_eq!(mirrored.digest, direct.digest, "the same chart from elsewhere is no change");
    }

    #[test]
    fn what_was_hashed_is_what_is_read_from_then_on() {
        let (charts, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| fs::write(charts.path().join(name), text).unwrap();
        fs::create_dir(charts.path().join("templates")).unwrap();
        write("Chart.yaml", "name: a");
        write("templates/a.yaml", "one");
        let shared = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(shared.path(), charts.path().join("templates/shared.yaml")).unwrap();
        let mut chart = ChartRef::in_folder(charts.path()).unwrap();
        chart.keep_in(copies.path()).unwrap();
        write("templates/a.yaml", "two");
        let copy = PathBuf::from(&chart.location);
        assert_eq!(fs::read_to_string(copy.join("templates/a.yaml")).unwrap(), "one");
        assert!(
            copy.join("templates/shared.yaml").symlink_metadata().unwrap().is_file(),
            "what a link leads to is copied"
        );
        // A copy that somebody touched is recreated; one of a chart that changed meanwhile is refused.
        let mut again = ChartRef::in_folder(charts.path()).unwrap();
        assert_ne!(again.digest, chart.digest);
        write("templates/a.yaml", "three");
        assert!(again.keep_in(copies.path()).unwrap_err().to_string().contains("changed while it was read"));
        fs::write(copy.join("templates/b.yaml"), "foreign").unwrap();
        write("templates/a.yaml", "one");
        let mut back = ChartRef::in_folder(charts.path()).unwrap();
        back.keep_in(copies.path()).unwrap();
        assert_eq!((&back.location, copy.join("templates/b.yaml").exists()), (&chart.location, false));
        forget_others(copies.path(), &[back.location.clone()].into()).unwrap();
        assert_eq!(fs::read_dir(copies.path()).unwrap().count(), 1);
    }
}
