//! Credential scopes: where the kubeconfig comes from. Secrets enter here and stay in types that
//! do not print them.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use landlord_provider_api::ProviderError;
use landlord_provider_sdk::settings;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{access::Access, error::invalid, kubeconfig};

/// A kubeconfig with a hundred clusters and their certificates has about this size.
const KUBECONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Certificates, keys and tokens have a few KiB.
const REFERENCED_BYTES_MAX: u64 = 64 * 1024;
const READABLE_BY_ALL: u32 = 0o004;

/// `credential_json`.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scope {
    /// The kubeconfig itself.
    Kubeconfig {
        /// Its text.
        kubeconfig: SecretString,
        /// Context; empty: its current one.
        #[serde(default)]
        context: String,
    },
    /// A file, read anew for every use.
    KubeconfigFile {
        /// Where; the sandbox must let it be read.
        path: PathBuf,
        /// Context; empty: its current one.
        #[serde(default)]
        context: String,
    },
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kubeconfig { .. } => "Scope::Kubeconfig",
            Self::KubeconfigFile { .. } => "Scope::KubeconfigFile",
        })
    }
}

impl Scope {
    /// Parses a scope.
    ///
    /// # Errors
    /// INVALID. The message never holds a value.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        let remedy = "use {\"kind\": \"kubeconfig\", \"kubeconfig\": \"…\"} (in the daemon's configuration: kubeconfig_file = \
                      \"PATH\") or {\"kind\": \"kubeconfig_file\", \"path\": \"…\"}; `context` chooses one of several";
        settings::credential(bytes, remedy)
    }

    /// The access as it is now: files are read at every call, so that what is rotated is seen.
    ///
    /// # Errors
    /// INVALID: what can't be read or used, with what to do.
    pub(crate) fn access(&self) -> Result<Access, ProviderError> {
        match self {
            Self::Kubeconfig { kubeconfig, context } => {
                let chosen = kubeconfig::choose(kubeconfig.expose_secret(), context)?;
                Access::resolve(chosen, None)
            }
            Self::KubeconfigFile { path, context } => {
                let text = read_private(path, KUBECONFIG_BYTES_MAX)?;
                let chosen = kubeconfig::choose(text.expose_secret(), context)?;
                Access::resolve(chosen, path.parent())
            }
        }
    }
}

/// A file that a kubeconfig names, relative to the kubeconfig's own folder.
///
/// # Errors
/// INVALID.
pub(crate) fn read_referenced(path: &Path, folder: Option<&Path>) -> Result<SecretString, ProviderError> {
    read(&place(path, folder)?, REFERENCED_BYTES_MAX, false)
}

/// The same for a private key, which others must not be able to read.
///
/// # Errors
/// INVALID.
pub(crate) fn read_referenced_private(path: &Path, folder: Option<&Path>) -> Result<SecretString, ProviderError> {
    read_private(&place(path, folder)?, REFERENCED_BYTES_MAX)
}

fn place(path: &Path, folder: Option<&Path>) -> Result<PathBuf, ProviderError> {
    match folder {
        Some(folder) => Ok(folder.join(path)),
        None if path.is_absolute() => Ok(path.to_owned()),
        None => Err(invalid(
            format!("the kubeconfig names the file {} relative to a folder that is not known", path.display()),
            "name it with its whole path, or put its content into the kubeconfig (the keys that end in -data)",
        )),
    }
}

fn read_private(path: &Path, bytes_max: u64) -> Result<SecretString, ProviderError> {
    read(path, bytes_max, true)
}

fn read(path: &Path, bytes_max: u64, private: bool) -> Result<SecretString, ProviderError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        invalid(
            format!("{shown} can't be read: {error}"),
            format!(
                "make it readable for the daemon's user and name it in providers.NAME.sandbox.read_paths, like {shown}"
            ),
        )
    };
    // Looked at before it is opened: a pipe without a writer would be waited for.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > bytes_max {
        return Err(invalid(
            format!("{shown} is no regular file of at most {bytes_max} bytes"),
            "name the right file in the credential scope or the kubeconfig",
        ));
    }
    if private && metadata.mode() & READABLE_BY_ALL != 0 {
        return Err(invalid(format!("{shown} can be read by everybody"), format!("run `chmod 600 {shown}`")));
    }
    let mut text = String::new();
    // Bounded, should it grow meanwhile.
    let file = File::open(path).map_err(unreadable)?;
    file.take(bytes_max).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn scopes_are_parsed_and_never_printed() {
        for text in [
            r#"{"kind":"kubeconfig","kubeconfig":"hunter2"}"#,
            r#"{"kind":"kubeconfig","kubeconfig":"hunter2","context":"prod"}"#,
            r#"{"kind":"kubeconfig_file","path":"/hunter2"}"#,
        ] {
            let scope = Scope::parse(text.as_bytes()).unwrap();
            assert!(!format!("{scope:?}").contains("hunter2"));
        }
        for text in [
            "",
            r#"{"kind":"kubeconfig"}"#,
            r#"{"kind":"hunter2"}"#,
            r#"{"kind":"kubeconfig","kubeconfig":["hunter2"]}"#,
            r#"{"kind":"kubeconfig","kubeconfig":"hunter2","kontext":"x"}"#,
        ] {
            let error = Scope::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(error.remedy.contains("kubeconfig_file"));
        }
    }

    #[test]
    fn files_are_checked_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let problem = || read_private(&path, 10).unwrap_err();
        assert!(problem().remedy.contains("sandbox.read_paths"), "{:?}", problem());
        std::fs::write(&path, "12345678901").unwrap();
        assert!(problem().message.contains("at most 10 bytes"), "{:?}", problem());
        std::fs::write(&path, "1234567890").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(problem().remedy.contains("chmod 600"), "{:?}", problem());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read_private(&path, 10).unwrap().expose_secret(), "1234567890");
        let relative = Path::new("kubeconfig");
        assert!(read_referenced_private(relative, Some(folder.path())).is_ok());
        assert!(read_referenced_private(relative, None).unwrap_err().remedy.contains("whole path"));
    }
}
