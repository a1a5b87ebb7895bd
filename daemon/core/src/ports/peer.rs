//! The other end of a connection, as the kernel and TLS prove it.

use std::{fmt, net::SocketAddr, sync::Arc};

/// The other end of a connection.
#[derive(Clone, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine, by the credentials of its Unix socket.
    Local {
        /// User id.
        uid: u32,
    },
    /// Somebody on the network.
    Remote {
        /// Address; `None`: the connection was closed before it could be read.
        address: Option<SocketAddr>,
        /// The client's certificate in DER, which a CA of the listener has signed; `None`: it showed none.
        certificate: Option<Arc<[u8]>>,
    },
}

/// Fit for a log: a certificate is public, and too long for a line.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid } => f.debug_struct("Local").field("uid", uid).finish(),
            Self::Remote { address, certificate } => f
                .debug_struct("Remote")
                .field("address", address)
                .field("certificate_bytes", &certificate.as_ref().map(|der| der.len()))
                .finish(),
        }
    }
}
