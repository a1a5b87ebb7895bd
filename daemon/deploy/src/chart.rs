//! Charts as they lie on disk or are referenced. Knows nothing of whose releases they are.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use sha2::{Digest as _, Sha256};

/// Charts lie in memory as a digest only, but a mistaken path should not read a disk.
const CHART_FILES_MAX: usize = 2_000;

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
}

impl ChartRef {
    /// A referenced chart, or what stands for it.
    pub(crate) fn referenced(chart: &str, version: &str, mirrors: &ChartMirrors) -> Self {
        let location = mirrors.get(chart).map_or(chart, String::as_str);
        Self {
            location: location.to_owned(),
            version: is_reference(location).then(|| version.to_owned()),
            digest: format!("{chart}@{version}"),
        }
    }

    /// What no release has: Helm finds nothing there, and says so.
    pub(crate) fn missing(release: &str) -> Self {
        Self { location: format!("the chart of {release}"), version: None, digest: String::new() }
    }

    /// A chart in a folder.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, String> {
        Ok(Self { location: folder.display().to_string(), version: None, digest: digest(folder)? })
    }
}

pub(crate) fn is_reference(chart: &str) -> bool {
    chart.starts_with("oci://") || chart.starts_with("https://")
}

/// What does not fit in where a release's chart is said to be.
pub(crate) fn problem(chart: &str, version: &str) -> Option<&'static str> {
    if is_reference(chart) == version.is_empty() {
        return Some("a referenced chart needs a version, a folder must not have one");
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
        let content = std::fs::read(entry.path()).map_err(|error| error.to_string())?;
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
        let mirrored = ChartRef::referenced("oci://a/b", "1.0.0", &mirrors);
        assert_eq!((mirrored.location.as_str(), mirrored.version.as_deref()), ("/charts/b.tgz", None));
        let direct = ChartRef::referenced("oci://a/b", "1.0.0", &ChartMirrors::new());
        assert_eq!((direct.location.as_str(), direct.version.as_deref()), ("oci://a/b", Some("1.0.0")));
        assert_eq!(mirrored.digest, direct.digest, "the same chart from elsewhere is no change");
    }
}
