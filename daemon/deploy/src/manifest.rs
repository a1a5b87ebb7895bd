//! What stacks and platforms have in common on disk: a folder with a manifest that names releases and their charts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use landlord_core::{AppName, ids::InvalidName};
use landlord_kube::{file, yaml};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    chart::{self, ChartMirrors, ChartRef},
    error::{Error, Result},
    revisions::{self, OwnValues, Packed},
    values::merge_map,
};

/// A manifest is a few KiB; whatever is larger is not one.
const BYTES_MAX: u64 = 256 * 1024;

/// What every release of a manifest says, in its own words.
pub(crate) struct ReleaseFacts<'a> {
    pub(crate) name: &'a AppName,
    pub(crate) depends_on: &'a [AppName],
    pub(crate) chart: &'a str,
    pub(crate) version: &'a str,
    /// Empty, or the digest of a referenced chart's archive.
    pub(crate) digest: &'a str,
}

/// A release of a manifest, whatever that is of.
pub(crate) trait ManifestRelease {
    /// What every release says.
    fn facts(&self) -> ReleaseFacts<'_>;

    /// Its values, over the contract's.
    fn values(&mut self) -> &mut Map<String, Value>;
}

/// Reads a manifest, and has it checked.
///
/// # Errors
/// [`Error::Stack`] with everything that `check` finds.
pub(crate) fn read<M: DeserializeOwned>(path: &Path, check: impl FnOnce(&M) -> Vec<String>) -> Result<M> {
    let text = file::text(path, BYTES_MAX).map_err(Error::file("read", path))?;
    let manifest = yaml::read(&text).map_err(|error| problem(path, error))?;
    let problems = check(&manifest);
    if problems.is_empty() { Ok(manifest) } else { Err(problem(path, problems.join("; "))) }
}

/// Where the charts of a manifest's releases are. `path`: the manifest's; folders of charts lie beside it.
///
/// # Errors
/// [`Error::Stack`] with the first folder that holds no chart.
pub(crate) fn charts<R: ManifestRelease>(
    path: &Path,
    releases: &[R],
    mirrors: &ChartMirrors,
) -> Result<BTreeMap<AppName, ChartRef>> {
    let found = |release: &R| {
        let ReleaseFacts { name, chart, version, digest, .. } = release.facts();
        let found = if chart::is_reference(chart) {
            ChartRef::referenced(chart, version, digest, mirrors)
        } else {
            ChartRef::in_folder(&path.with_file_name(chart)).map_err(|p| problem(path, format!("{name}: {p}")))?
        };
        Ok((name.clone(), found))
    };
    releases.iter().map(found).collect()
}

/// Lays values of this installation over those of a manifest's releases (another registry, other sizes), and packs the manifest in
/// `folder`, which is called `manifest`, with its charts and these values.
///
/// # Errors
/// [`Error::UnknownRelease`]; what can't be read.
pub(crate) fn revise<R: ManifestRelease>(
    folder: &Path,
    manifest: &str,
    releases: &mut [R],
    values: &OwnValues,
) -> Result<Packed> {
    for (name, values) in values {
        let found = releases.iter_mut().find(|release| release.facts().name.as_str() == name);
        let release = found.ok_or_else(|| Error::UnknownRelease { name: name.clone() })?;
        merge_map(release.values(), values);
    }
    let folders = releases.iter().map(R::facts).filter(|release| !chart::is_reference(release.chart));
    let charts: Vec<PathBuf> = folders.map(|release| folder.join(release.chart)).collect();
    revisions::pack(folder, manifest, &charts, values)
}

/// The folders below `folder` that have a manifest of this name, by the name that each is known by.
///
/// # Errors
/// An unreadable folder, a name that can't be one.
pub(crate) fn folders<N>(folder: &Path, manifest: &str) -> Result<Vec<(N, PathBuf)>>
where
    N: TryFrom<String, Error = InvalidName>,
{
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("read", folder))? {
        let path = entry.map_err(Error::file("read", folder))?.path();
        if !path.join(manifest).is_file() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = N::try_from(name).map_err(|error| problem(&path, error.to_string()))?;
        found.push((name, path.canonicalize().map_err(Error::file("resolve", &path))?));
    }
    Ok(found)
}

/// What does not fit in a release that comes after those that were `seen`.
pub(crate) fn release_problems(release: &impl ManifestRelease, seen: &mut BTreeSet<AppName>) -> Vec<String> {
    let ReleaseFacts { name, depends_on, chart, version, digest } = release.facts();
    // Dependencies on earlier releases only: there can be no circle.
    let later = depends_on.iter().filter(|needed| !seen.contains(*needed));
    let mut problems: Vec<String> =
        later.map(|needed| format!("{name} depends on {needed}, which does not stand before it")).collect();
    if !seen.insert(name.clone()) {
        problems.push(format!("{name} stands there twice"));
    }
    if let Some(problem) = chart::problem(chart, version, digest) {
        problems.push(format!("{name}: {problem}"));
    }
    problems
}

fn problem(path: &Path, problem: String) -> Error {
    Error::Stack { path: path.to_owned(), problem }
}
