//! Revisions of stacks and platforms: a folder packed by what it holds, and one unpacked as it was.
//!
//! # Guarantees
//! The same files and the same values of the installation are the same revision, on every machine. What is unpacked is what was
//! packed, or an error: its digest is the revision's name. A chart that is a reference is pinned by its version, and not packed.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use landlord_core::revision::RevisionId;
use landlord_kube::file;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Files of one stack or platform with its charts together; ours have some 100 KiB.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Values of an installation, by release.
pub(crate) type OwnValues = BTreeMap<String, Map<String, Value>>;

/// A content and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its name.
    pub id: RevisionId,
    /// All of it, for the store.
    pub content: Arc<[u8]>,
}

/// What is packed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Content {
    /// Base64 by path below the folder.
    files: BTreeMap<String, String>,
    /// Of the installation, over those of the stack or platform.
    values: OwnValues,
}

impl Content {
    fn id(&self) -> Result<RevisionId> {
        let mut values = serde_json::to_value(&self.values).unwrap_or_default();
        values.sort_all_objects();
        let mut digest = Sha256::new();
        let files = self.files.iter().flat_map(|(path, file)| [path.as_str(), file.as_str()]);
        for part in files.chain([values.to_string().as_str()]) {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let id = RevisionId::of_digest(&hex::encode(digest.finalize()));
        id.map_err(|error| Error::Revision { name: String::new(), problem: error.to_string() })
    }
}

/// Packs the manifest in `folder` and the chart folders that it names.
pub(crate) fn pack(folder: &Path, manifest: &str, charts: &[PathBuf], values: &OwnValues) -> Result<Packed> {
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    for root in std::iter::once(folder.join(manifest)).chain(charts.iter().cloned()) {
        for entry in walkdir::WalkDir::new(&root).follow_links(true) {
            let unreadable = |error: walkdir::Error| Error::Stack { path: root.clone(), problem: error.to_string() };
            let entry = entry.map_err(unreadable)?;
            if !entry.file_type().is_file() {
                continue;
            }
            let content = file::read(entry.path(), BYTES_MAX as u64).map_err(Error::file("read", entry.path()))?;
            bytes += content.len();
            if bytes > BYTES_MAX {
                let problem = format!("it has more than {BYTES_MAX} bytes with its charts");
                return Err(Error::Stack { path: folder.to_owned(), problem });
            }
            let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            files.insert(path.to_string_lossy().into_owned(), BASE64_STANDARD.encode(content));
        }
    }
    let content = Content { files, values: values.clone() };
    let id = content.id()?;
    let text = serde_json::to_vec(&content).unwrap_or_default();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let failed = Error::file("pack", folder);
    let packed = packed.write_all(&text).and_then(|()| packed.finish()).map_err(failed)?;
    Ok(Packed { id, content: packed.into() })
}

/// Unpacks a content into `folder`, and gives the values that belong to it.
pub(crate) fn unpack(id: &RevisionId, content: &[u8], folder: &Path) -> Result<OwnValues> {
    let broken = |problem: String| Error::Revision { name: id.to_string(), problem };
    let mut text = Vec::new();
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(2);
    GzDecoder::new(content).take(limit).read_to_end(&mut text).map_err(|error| broken(error.to_string()))?;
    let content: Content = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    if content.id()? != *id {
        return Err(broken("what is kept is not what it is called by".into()));
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::file("remove", folder))?;
    }
    for (path, file) in &content.files {
        let relative = Path::new(path);
        if relative.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(broken(format!("{path:?} leads out of it")));
        }
        let target = folder.join(relative);
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        let bytes = BASE64_STANDARD.decode(file).map_err(|error| broken(error.to_string()))?;
        fs::write(&target, bytes).map_err(Error::file("write", &target))?;
    }
    Ok(content.values)
}

/// An earlier revision, or why it can't be used.
type Earlier<T> = std::result::Result<Arc<T>, String>;

/// What there is of stacks or platforms: what lies on disk, and earlier revisions that environments still run.
pub(crate) struct Revised<N, T> {
    current: BTreeMap<N, (Option<RevisionId>, Arc<T>)>,
    earlier: RwLock<BTreeMap<(N, RevisionId), Earlier<T>>>,
}

impl<N: Ord + Clone + ToString, T> Revised<N, T> {
    pub(crate) fn new(current: BTreeMap<N, T>, id: impl Fn(&T) -> Option<RevisionId>) -> Self {
        let current = current.into_iter().map(|(name, content)| (name, (id(&content), Arc::new(content)))).collect();
        Self { current, earlier: RwLock::default() }
    }

    /// One of them; without a revision what lies on disk. `None`: there is none of that name.
    pub(crate) fn get(&self, name: &N, revision: Option<&RevisionId>) -> Result<Option<Arc<T>>> {
        let current = self.current.get(name);
        let Some(revision) = revision else { return Ok(current.map(|(_, content)| Arc::clone(content))) };
        if let Some((_, content)) = current.filter(|(id, _)| id.as_ref().is_none_or(|id| id == revision)) {
            return Ok(Some(Arc::clone(content)));
        }
        let key = (name.clone(), revision.clone());
        let name = || format!("{} {revision}", name.to_string());
        match self.earlier.read().get(&key) {
            Some(Ok(content)) => Ok(Some(Arc::clone(content))),
            Some(Err(problem)) => Err(Error::RevisionUnusable { name: name(), problem: problem.clone() }),
            None => Err(Error::RevisionNotLoaded { name: name() }),
        }
    }

    /// Whether a revision is there.
    pub(crate) fn has(&self, name: &N, revision: &RevisionId) -> bool {
        matches!(self.get(name, Some(revision)), Ok(Some(_)))
    }

    pub(crate) fn add(&self, name: N, revision: RevisionId, content: T) {
        self.earlier.write().insert((name, revision), Ok(Arc::new(content)));
    }

    /// Remembers why a revision can't be used, until it is added.
    pub(crate) fn refuse(&self, name: N, revision: RevisionId, problem: String) {
        self.earlier.write().insert((name, revision), Err(problem));
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &N> {
        self.current.keys()
    }
}

#[cfg(test)]
mod tests {
    use landlord_core::StackName;

    use super::*;
    use crate::{
        chart::ChartMirrors,
        stack::{self, Values},
    };

    fn stacks() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks")
    }

    #[test]
    fn what_is_packed_is_unpacked_as_it_was() {
        let name: StackName = "ai-fileserver-pg".parse().unwrap();
        let values = serde_json::json!({ "storage": { "className": "fast" } }).as_object().cloned().unwrap();
        let values: Values = [(name.to_string(), [("vectors".to_owned(), values)].into())].into();
        let loaded = stack::load_all(&stacks(), &values, &ChartMirrors::new()).unwrap().remove(&name).unwrap();
        let packed = loaded.packed.clone().unwrap();
        let plain = stack::load_all(&stacks(), &Values::new(), &ChartMirrors::new()).unwrap().remove(&name).unwrap();
        assert_ne!(plain.packed.unwrap().id, packed.id, "values of the installation are part of it");
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("revision");
        let again = stack::Stack::unpack(&packed.id, &packed.content, &place, &ChartMirrors::new()).unwrap();
        assert_eq!(again.packed, Some(packed.clone()));
        let release = &again.manifest.releases[1];
        assert_eq!(release.values["storage"], serde_json::json!({ "size": "20Gi", "className": "fast" }));
        for release in &loaded.manifest.releases {
            assert_eq!(again.chart(release).digest, loaded.chart(release).digest, "{}", release.name);
        }
        // Under another name it is refused.
        let other = RevisionId::of_digest(&"0".repeat(64)).unwrap();
        let wrong = unpack(&other, &packed.content, &place).unwrap_err();
        assert!(wrong.to_string().contains("not what it is called by"), "{wrong}");
    }

    #[test]
    fn an_environment_runs_the_revision_that_it_names() {
        let id = |digit: char| RevisionId::of_digest(&digit.to_string().repeat(64)).unwrap();
        let name: StackName = "one".parse().unwrap();
        let revised = Revised::new([(name.clone(), "new")].into(), |_| Some(id('b')));
        let get = |revision: Option<RevisionId>| revised.get(&name, revision.as_ref()).map(|found| found.map(|f| *f));
        assert_eq!(get(None).unwrap(), Some("new"));
        assert_eq!(get(Some(id('b'))).unwrap(), Some("new"));
        assert!(matches!(get(Some(id('a'))), Err(Error::RevisionNotLoaded { .. })), "never another one instead");
        revised.refuse(name.clone(), id('a'), "it is cut off".into());
        let refused = get(Some(id('a'))).unwrap_err();
        assert!(matches!(refused, Error::RevisionUnusable { .. }) && refused.to_string().contains("cut off"));
        revised.add(name.clone(), id('a'), "old");
        assert_eq!(get(Some(id('a'))).unwrap(), Some("old"));
        assert!(revised.get(&"two".parse().unwrap(), None).unwrap().is_none());
    }
}
