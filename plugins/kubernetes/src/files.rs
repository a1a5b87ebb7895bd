//! The files that a credential scope or a kubeconfig names: bounded, regular, and if they hold secrets, private.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use landlord_provider_api::ProviderError;
use secrecy::SecretString;

use crate::error::invalid;

/// Certificates, keys and tokens have a few KiB.
const REFERENCED_BYTES_MAX: u64 = 64 * 1024;
const READABLE_BY_ALL: u32 = 0o004;

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

/// A file that others must not be able to read.
///
/// # Errors
/// INVALID.
pub(crate) fn read_private(path: &Path, bytes_max: u64) -> Result<SecretString, ProviderError> {
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
    let misfit = || {
        invalid(
            format!("{shown} is no regular file of at most {bytes_max} bytes"),
            "name the right file in the credential scope or the kubeconfig",
        )
    };
    // Inspected before it is opened: a pipe without a writer would be waited for.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(misfit());
    }
    let file = File::open(path).map_err(unreadable)?;
    // What the name leads to may have changed since.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > bytes_max {
        return Err(misfit());
    }
    if private && metadata.mode() & READABLE_BY_ALL != 0 {
        return Err(invalid(format!("{shown} can be read by everybody"), format!("run `chmod 600 {shown}`")));
    }
    let mut text = String::new();
    // Bounded, should it grow meanwhile.
    file.take(bytes_max).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

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
