//! Which keys of the configuration would hold secrets, and files that do.

/// A credential file is a few KiB; whatever is larger is not one.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Parts of key names whose values are never shown. Paths to secret files may be seen.
const SECRET_WORDS: [&str; 6] = ["secret", "token", "password", "private_key", "access_key", "kubeconfig"];

/// Whether the last part of a path names a secret value rather than a file that holds one.
pub(super) fn is_secret(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    !key.ends_with("_file")
        && !key.ends_with("_arn")
        && !key.ends_with("_id")
        && path.contains(".credentials.")
        && SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Reads a file that nobody but its owner and the daemon's own groups can read.
///
/// # Errors
/// What is wrong with it; nothing of what is in it.
pub(crate) fn read_secret(path: &std::path::Path) -> Result<String, String> {
    use std::{io::Read as _, os::unix::fs::OpenOptionsExt as _};
    let shown = path.display();
    let failed = |error: std::io::Error| format!("can't read {shown}: {error}");
    // Opening a FIFO waits for somebody who writes, and reading a device may never end.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{shown} is no regular file; write the secret to one"));
    }
    if metadata.len() > SECRET_FILE_BYTES_MAX {
        return Err(format!("{shown} has more than {SECRET_FILE_BYTES_MAX} bytes; is it the right file?"));
    }
    if let Some(problem) = landlord_auth::secret_file::exposure(&metadata) {
        return Err(format!("{shown}: {problem}"));
    }
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
