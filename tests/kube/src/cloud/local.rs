//! Volumes of a real node: folders of this machine, since no disk can be attached to it. The simulated cloud keeps its disk
//! all the same, so that an account shows what it would have to pay for.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use kube::ResourceExt as _;

use super::nodes::FAKE_NODE;

/// The cloud's name of the disk that a folder stands for.
pub(super) const VOLUME_ID: &str = "landlord.test/volume-id";

/// Where volumes of a real node lie.
#[derive(Debug, Clone)]
pub struct LocalVolumes {
    /// A folder for each volume is made in here, and removed with it.
    pub folder: PathBuf,
    /// What the volume of a claim holds at first, by the claim's name: a folder that is copied into it. For what a pod would
    /// download where anything can be reached.
    pub seeds: BTreeMap<String, PathBuf>,
}

/// Whether a node runs containers.
pub(super) fn is_real(node: &Node) -> bool {
    !node.annotations().contains_key(FAKE_NODE.0)
}

impl LocalVolumes {
    /// The folder of a volume, filled; what is there stays.
    pub(super) fn ensure(&self, volume: &str, claim: &str) -> io::Result<PathBuf> {
        let path = self.folder.join(volume);
        if path.is_dir() {
            return Ok(path);
        }
        let unfinished = self.folder.join(format!("{volume}.unfinished"));
        remove(&unfinished)?;
        fs::create_dir_all(&unfinished)?;
        // As a new disk: whoever the pod runs as may write.
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o777))?;
        if let Some(seed) = self.seeds.get(claim) {
            let copied = Command::new("cp").args(["-rL", "-T"]).arg(seed).arg(&unfinished).status()?;
            if !copied.success() {
                return Err(io::Error::other(format!("cp of {} ended with {copied}", seed.display())));
            }
        }
        fs::rename(&unfinished, &path)?;
        Ok(path)
    }
}

/// Removes the folder of a volume that has one.
pub(super) fn forget(volume: &PersistentVolume) -> io::Result<()> {
    let local = volume.spec.as_ref().and_then(|spec| spec.local.as_ref());
    local.map_or(Ok(()), |local| remove(Path::new(&local.path)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_filled_once() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let seed = folder.path().join("seed");
        fs::create_dir_all(&seed)?;
        fs::write(seed.join("model"), "weights")?;
        let volumes = LocalVolumes { folder: folder.path().join("volumes"), seeds: [("llm".to_owned(), seed)].into() };
        let path = volumes.ensure("pvc-1", "llm")?;
        assert_eq!(fs::read_to_string(path.join("model"))?, "weights");
        fs::remove_file(path.join("model"))?;
        assert_eq!(volumes.ensure("pvc-1", "llm")?, path);
        assert!(!path.join("model").exists(), "what its pods removed came back");
        assert!(volumes.ensure("pvc-2", "files")?.is_dir());
        Ok(())
    }
}
