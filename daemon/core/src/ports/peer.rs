//! The other end of a connection, as the kernel and TLS prove it.

use std::{net::SocketAddr, sync::Arc};

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
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
