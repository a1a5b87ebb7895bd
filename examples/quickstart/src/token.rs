//! The token by which the commands of the quickstart are somebody's: of an issuer that runs as long as it does, and that the daemon
//! believes, as it would a company's login.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use landlord_test_tokens::{Issuer, Key, claims, header, now, with};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

/// A quickstart that runs for longer is started again.
const TOKEN_SECS: i64 = 24 * 3_600;

/// The issuer and what it gave.
pub(crate) struct Token {
    /// Where the token is; its user's alone.
    pub(crate) file: PathBuf,
    /// Has the daemon believe it.
    pub(crate) config: String,
    _issuer: Issuer,
    _runtime: Runtime,
}

impl Token {
    /// A token of this run, in `folder`.
    pub(crate) fn give(folder: &Path) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (issuer, key) = (runtime.block_on(Issuer::start())?, Key::new("one"));
        issuer.publish(&[key.jwk()]);
        let claims = with(&claims(issuer.url(), "you"), "groups", json!(["operators"]));
        let token = key.sign(&header(), &with(&claims, "exp", json!(now() + TOKEN_SECS)));
        let file = folder.join("token");
        std::fs::create_dir_all(folder)?;
        let _ = std::fs::remove_file(&file);
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        let written = open.and_then(|mut open| open.write_all(token.as_bytes()));
        written.with_context(|| format!("can't write {}", file.display()))?;
        let config = format!(
            "[auth.issuers.quickstart]\nissuer = '{}'\naudiences = ['landlord']\nalgorithms = ['ES256']\n\
             groups = {{ operators = 'landlord:operators' }}\n",
            issuer.url()
        );
        Ok(Self { file, config, _issuer: issuer, _runtime: runtime })
    }
}
