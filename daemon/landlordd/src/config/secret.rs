//! Which keys of the configuration would hold secrets, and files that do.

use landlord_auth::{secret_file, small_file};

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
    let shown = path.display();
    let failed = |error: &dyn std::fmt::Display| format!("can't read {shown}: {error}");
    let (bytes, metadata) = small_file::read(path, SECRET_FILE_BYTES_MAX).map_err(|error| failed(&error))?;
    if let Some(problem) = secret_file::exposure(&metadata) {
        return Err(format!("{shown}: {problem}"));
    }
    // Not the library's error, which holds what was read.
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is no text (UTF-8)"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
