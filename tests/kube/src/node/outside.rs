//! What stands for the Internet beside a node: an ACME server that validates as a real one does, by the names and addresses
//! that the node's own resolver and network give.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::config::ADDRESS;
use crate::{
    credentials::write_secret,
    error::{Error, Result},
};

/// Port of its ACME directory.
const ACME_PORT: u16 = 14_000;
/// Port at which it gives away the root of what it issues.
const MANAGEMENT_PORT: u16 = 15_000;

/// An ACME server in a node's network. What it issues is vouched for by a root of its own, new with each start.
#[derive(Debug, Clone)]
pub struct AcmeServer {
    folder: PathBuf,
}

impl AcmeServer {
    /// The server whose own certificate is kept in `folder`, made if there is none yet.
    ///
    /// # Errors
    /// An unusable folder.
    pub fn ensure(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let server = Self { folder: folder.to_owned() };
        if !server.certificate().is_file() {
            let made = rcgen::generate_simple_self_signed(vec![ADDRESS.to_owned()]);
            let made = made.map_err(|error| Error::file("make", server.certificate())(std::io::Error::other(error)))?;
            write_secret(&server.key(), &made.signing_key.serialize_pem())?;
            // Last: without it both are made again.
            write_secret(&server.certificate(), &made.cert.pem())?;
        }
        Ok(server)
    }

    /// The certificate of its directory, which vouches for itself: PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("acme.crt")
    }

    /// URL of its directory, from within the node.
    #[must_use]
    pub fn directory() -> String {
        format!("https://{ADDRESS}:{ACME_PORT}/dir")
    }

    /// Where it gives away its root: address and path, HTTPS.
    #[must_use]
    pub fn root() -> (String, &'static str) {
        (format!("{ADDRESS}:{MANAGEMENT_PORT}"), "/roots/0")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("acme.key")
    }

    /// Its configuration file's text.
    pub(super) fn config(&self) -> String {
        json!({ "pebble": {
            "listenAddress": format!("{ADDRESS}:{ACME_PORT}"),
            "managementListenAddress": format!("{ADDRESS}:{MANAGEMENT_PORT}"),
            "certificate": self.certificate(),
            "privateKey": self.key(),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        } })
        .to_string()
    }
}
