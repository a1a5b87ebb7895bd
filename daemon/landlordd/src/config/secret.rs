//! Which keys of the configuration would hold secrets.

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
