//! Ports on the loopback interface.
//!
//! They are chosen free and bound a moment later by somebody else, so a start must be ready to choose again.

use std::{net::TcpListener, path::Path};

/// Where a control plane listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) etcd: u16,
    pub(crate) kwok: u16,
}

/// Free ports; the API server's is the one it had before if nobody has taken it since.
pub(crate) fn choose(folder: &Path) -> std::io::Result<Ports> {
    let before = std::fs::read_to_string(folder.join("api-port")).ok().and_then(|text| text.trim().parse().ok());
    let again = before.and_then(|port: u16| TcpListener::bind(("127.0.0.1", port)).ok());
    // All are held until all are chosen, or the kernel could give one twice.
    let any = || TcpListener::bind(("127.0.0.1", 0));
    let listeners = [again.map_or_else(any, Ok)?, any()?, any()?];
    let port = |index: usize| listeners[index].local_addr().map(|address| address.port());
    Ok(Ports { api: port(0)?, etcd: port(1)?, kwok: port(2)? })
}

/// A hint only: without it the cluster gets another port.
pub(crate) fn remember(folder: &Path, port: u16) {
    if let Err(error) = std::fs::write(folder.join("api-port"), port.to_string()) {
        tracing::debug!(%error, "the API server's port is not remembered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The remembered port is one that this test holds, since a free one can be taken by any other process of the
    /// machine between two lines.
    #[test]
    fn a_remembered_port_that_is_taken_is_not_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let first = choose(folder.path()).unwrap();
        assert!(first.api != first.etcd && first.etcd != first.kwok && first.api != first.kwok);
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        remember(folder.path(), taken);
        assert_ne!(choose(folder.path()).unwrap().api, taken);
    }

    /// Other processes may take the port in between, so it is requested with several ports; no machine takes them all.
    #[test]
    fn a_remembered_port_that_is_free_is_chosen_again() {
        let folder = tempfile::tempdir().unwrap();
        let again = (0..20).any(|_| {
            let port = choose(folder.path()).unwrap().api;
            remember(folder.path(), port);
            choose(folder.path()).unwrap().api == port
        });
        assert!(again, "a free port was never chosen again");
    }
}
