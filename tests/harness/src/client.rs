//! gRPC clients of the daemon over its unix socket.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

/// A channel to the daemon that listens on `socket`.
///
/// # Errors
/// Nobody listens.
pub async fn connect(socket: &Path) -> Result<Channel> {
    let path: PathBuf = socket.to_owned();
    // The authority is never resolved: the connector ignores it.
    Endpoint::from_static("http://landlord.invalid")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(path).await?)) }
        }))
        .await
        .with_context(|| format!("can't reach the daemon at {}", socket.display()))
}

/// A channel that connects when it is used, and again after its daemon was restarted.
#[must_use]
pub fn lazy(socket: &Path) -> Channel {
    let path: PathBuf = socket.to_owned();
    Endpoint::from_static("http://landlord.invalid").connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(path).await?)) }
    }))
}
