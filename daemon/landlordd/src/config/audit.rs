//! `[audit]`: how long it is remembered who did what, and who signs it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How long it is remembered who did what, and who signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// File with the Ed25519 private key (PEM, PKCS #8) that signs heads of the log; empty: nothing is signed.
    pub signing_key_file: PathBuf,
    /// Entries older than so many days are exported and removed from the store; 0: never.
    pub kept_days: u32,
    /// Folder of the exports; empty: nothing is exported or removed.
    pub export_dir: PathBuf,
}

impl Default for Audit {
    fn default() -> Self {
        Self { signing_key_file: PathBuf::new(), kept_days: 400, export_dir: PathBuf::new() }
    }
}
