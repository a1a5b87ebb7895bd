//! Why a simulator cannot start.

use std::{net::SocketAddr, path::PathBuf};

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: another program may use it; pick another port with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be opened or written.
    #[error("cannot open {path}: check that the folder exists and can be written", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The stored state cannot be read.
    #[error("the state in {path} cannot be read: remove the file to start again", path = path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}
