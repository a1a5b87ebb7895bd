//! Where the built Kubernetes parts lie, and whether they are there.
//!
//! Knows nothing about running them. The sources are part of this crate, so a build needs no clone; the key of
//! a build is made of everything that decides its result, so two clones share one and a changed pin is a new one.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    build::{self, MANIFEST, Manifest, SOURCES},
    error::{Error, Result},
};

/// Raised when the build itself changes in a way that the sources do not show.
const BUILD_REVISION: &str = "1";
/// Hexadecimal digits of the key that name its folder: 64 bits are plenty for a handful of builds.
const KEY_DIGITS: usize = 16;

/// The built binaries and manifests.
///
/// Cheap to clone. The files stay as they are for ever: another build has another key and folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Artifacts {
    /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl in one binary: the first
    /// argument chooses (`kubebox kubectl get pods`).
    pub kubebox: PathBuf,
    /// The kubelet of pretended nodes.
    pub kwok: PathBuf,
    /// Helm.
    pub helm: PathBuf,
    /// The Gateway API's standard channel (custom resources and their admission policy) in one YAML file.
    pub gateway_crds: PathBuf,
    /// Version of Helm as it says itself: `v4.3.1`.
    pub helm_version: String,
    /// Version of Kubernetes: `v1.37.2`.
    pub kubernetes_version: String,
}

impl Artifacts {
    /// The artifacts if they have been built on this machine.
    ///
    /// # Errors
    /// [`Error::GoMissing`] (the Go version is part of the key), [`Error::NoCacheFolder`], unreadable files.
    pub fn cached() -> Result<Option<Self>> {
        Self::in_folder(&folder()?)
    }

    /// The artifacts, built first if they are missing.
    ///
    /// Cold on two cores this takes 10 to 16 minutes and downloads about 300 MB from the Go module proxy; after
    /// that, milliseconds. `progress` hears a line at every step that Go reports (module downloaded, package compiled) and
    /// at least every five seconds. Several callers, also in different processes, build once: the others wait.
    /// An interrupted build leaves nothing that would be taken for a finished one, and Go's own cache keeps
    /// what it had compiled.
    ///
    /// # Errors
    /// [`Error::GoMissing`], [`Error::Build`] with the compiler's own words, [`Error::NoCacheFolder`], unusable
    /// cache folder.
    pub fn ensure(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let folder = folder()?;
        if let Some(found) = Self::in_folder(&folder)? {
            return Ok(found);
        }
        build::build(&folder, progress)?;
        Self::in_folder(&folder)?.ok_or(Error::Damaged { what: "the finished build", path: folder })
    }

    fn in_folder(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(MANIFEST);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let manifest: Manifest = serde_json::from_str(&text)
            .map_err(|_| Error::Damaged { what: "the list of built Kubernetes parts", path })?;
        Ok(Some(Self {
            kubebox: folder.join("kubebox"),
            kwok: folder.join("kwok"),
            helm: folder.join("helm"),
            gateway_crds: folder.join("gateway-crds.yaml"),
            helm_version: manifest.helm_version,
            kubernetes_version: manifest.kubernetes_version,
        }))
    }
}

/// `…/landlord/kube/<key>`, whether or not it exists.
fn folder() -> Result<PathBuf> {
    Ok(cache_folder()?.join("kube").join(key(&go_version()?)))
}

/// The project's cache folder, for everything that outlives a clone: `LANDLORD_CACHE_DIR`, or `landlord` in the user's.
///
/// # Errors
/// No variable of the environment names one.
pub fn cache_folder() -> Result<PathBuf> {
    cache_root(|name| std::env::var_os(name))
}

fn cache_root(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LANDLORD_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("landlord")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/landlord")))
        .ok_or(Error::NoCacheFolder)
}

pub(crate) fn go_version() -> Result<String> {
    let output = Command::new("go").arg("version").output().map_err(|source| Error::GoMissing { source })?;
    if !output.status.success() {
        let reported = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::GoMissing { source: std::io::Error::other(reported) });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Changes with everything that changes the binaries.
fn key(go_version: &str) -> String {
    let mut digest = Sha256::new();
    let flags = build::flags();
    let inputs = SOURCES.iter().flat_map(|(name, text)| [*name, *text]);
    for input in inputs.chain([go_version, BUILD_REVISION]).chain(flags.iter().map(String::as_str)) {
        // The length keeps two neighbouring inputs apart.
        digest.update(input.len().to_le_bytes());
        digest.update(input.as_bytes());
    }
    hex::encode(digest.finalize())[..KEY_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_root_prefers_the_most_specific_variable() {
        let cases: [(&[(&str, &str)], &str); 4] = [
            (&[("LANDLORD_CACHE_DIR", "/l"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], "/l"),
            (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], "/x/landlord"),
            (&[("LANDLORD_CACHE_DIR", ""), ("XDG_CACHE_HOME", ""), ("HOME", "/h")], "/h/.cache/landlord"),
            (&[("HOME", "/h")], "/h/.cache/landlord"),
        ];
        for (environment, expected) in cases {
            let found = cache_root(|name| {
                environment.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            });
            assert_eq!(found.unwrap(), PathBuf::from(expected), "{environment:?}");
        }
        assert!(matches!(cache_root(|_| None), Err(Error::NoCacheFolder)));
    }

    #[test]
    fn key_depends_on_the_go_version() {
        assert_eq!(key("go1"), key("go1"));
        assert_ne!(key("go1"), key("go2"));
        assert_eq!(key("go1").len(), KEY_DIGITS);
    }

    #[test]
    fn a_folder_without_manifest_is_not_a_build() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Artifacts::in_folder(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join(MANIFEST), "{").unwrap();
        assert!(matches!(Artifacts::in_folder(folder.path()), Err(Error::Damaged { .. })));
        std::fs::write(folder.path().join(MANIFEST), r#"{"helm_version":"v4","kubernetes_version":"v1"}"#).unwrap();
        let found = Artifacts::in_folder(folder.path()).unwrap().unwrap();
        assert_eq!((found.helm_version.as_str(), found.helm), ("v4", folder.path().join("helm")));
    }
}
