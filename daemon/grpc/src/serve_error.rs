//! Why the API can't be served.

use std::{net::SocketAddr, path::PathBuf};

/// Why the API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket can't be made.
    #[error("can't listen on {path}; does its folder exist and belong to the daemon's user?")]
    Socket {
        /// Socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something else is in its place, and is not ours to remove.
    #[error("{path} exists and is not a socket; name another path (server.socket)")]
    NotASocket {
        /// Path.
        path: PathBuf,
    },
    /// Somebody listens there already.
    #[error("another daemon listens on {path}; stop it first, or give this one a socket of its own (server.socket)")]
    InUse {
        /// Socket.
        path: PathBuf,
    },
    /// The address can't be used.
    #[error("can't listen on {address}; is another program using it?")]
    Tcp {
        /// Address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server ended with an error.
    #[error("the gRPC server failed")]
    Transport(#[source] tonic::transport::Error),
    /// The descriptors can't be served.
    #[error("reflection can't be served")]
    Reflection(#[source] tonic_reflection::server::Error),
}
