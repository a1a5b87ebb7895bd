//! Files as an operator leaves them.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Writes a file that is its user's alone, as the daemon wants whatever holds a secret.
///
/// # Errors
/// The operating system's.
pub fn private(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}
