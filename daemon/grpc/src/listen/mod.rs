//! Listening: where, for whom, and how many.
//!
//! # Guarantees
//! - A connection that does not speak HTTP/2 within [`HANDSHAKE_TIMEOUT`] is closed.
//! - Each listener has its own share of the process's descriptors, so that a flood at one of them leaves the other one,
//!   the store and the plugins alone. Connections beyond the share are closed at once, and logged.
//! - Running out of descriptors all the same ends nothing: accepting goes on when some are free.

mod connection;

use std::{
    fs::Permissions,
    future::Future,
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, stream};
use rustix::process::{Resource, getrlimit};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    time::Instant,
};

pub(crate) use self::connection::Connection;
use crate::serve_error::ServeError;

/// A client that has not sent its HTTP/2 preface and settings by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of a listener at the same moment, where the process may have enough descriptors.
const CONNECTIONS_MAX: usize = 4_096;
/// A listener's share of the process's descriptors: half of them stay for the store, plugins and clusters.
const SHARE_OF_DESCRIPTORS: usize = 4;
/// Between two tries to accept while there is no descriptor for it.
const ACCEPT_WAIT: Duration = Duration::from_millis(200);
/// A listener that refuses connections logs it this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Unix socket.
    pub socket: PathBuf,
    /// TCP address.
    pub tcp: Option<SocketAddr>,
}

/// Connections that a listener may have at the same moment.
pub(crate) fn connections_max() -> usize {
    let descriptors =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
    (descriptors / SHARE_OF_DESCRIPTORS).clamp(1, CONNECTIONS_MAX)
}

/// Binds the Unix socket, for its user alone.
///
/// # Errors
/// Another daemon or a file in its place; a folder that is not ours.
pub(crate) async fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    let error = |source| ServeError::Socket { path: path.to_owned(), source };
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(ServeError::NotASocket { path: path.to_owned() });
        }
        // The file of a daemon that was killed is in the way; a living one accepts.
        if UnixStream::connect(path).await.is_ok() {
            return Err(ServeError::InUse { path: path.to_owned() });
        }
        std::fs::remove_file(path).map_err(error)?;
    }
    let listener = UnixListener::bind(path).map_err(error)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(error)?;
    Ok(listener)
}

/// Connections of our own user and of root; the socket's mode says the same, and this holds also where someone has
/// changed it.
pub(crate) fn unix(listener: UnixListener) -> impl Stream<Item = io::Result<Connection<UnixStream>>> {
    let listener = Arc::new(listener);
    incoming("the Unix socket", move || {
        let listener = listener.clone();
        async move {
            let (stream, _) = listener.accept().await?;
            let own = rustix::process::geteuid().as_raw();
            let allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
            if !allowed {
                tracing::warn!("a connection of another user was refused");
            }
            Ok(allowed.then_some(stream))
        }
    })
}

/// Connections over TCP.
pub(crate) fn tcp(listener: TcpListener) -> impl Stream<Item = io::Result<Connection<TcpStream>>> {
    let listener = Arc::new(listener);
    incoming("the TCP address", move || {
        let listener = listener.clone();
        async move {
            let (stream, _) = listener.accept().await?;
            // Small messages are sent at once; a connection that refuses this is of no less use.
            let _ = stream.set_nodelay(true);
            Ok(Some(stream))
        }
    })
}

/// What a listener remembers between two connections.
struct Accepting<F> {
    accept: F,
    places: Arc<Semaphore>,
    listener: &'static str,
    warned: Option<Instant>,
}

/// Never ends and never fails: whatever can't be accepted is logged.
fn incoming<S, F, A>(listener: &'static str, accept: F) -> impl Stream<Item = io::Result<Connection<S>>>
where
    F: Fn() -> A,
    A: Future<Output = io::Result<Option<S>>>,
{
    let places = Arc::new(Semaphore::new(connections_max()));
    let accepting = Accepting { accept, places, listener, warned: None };
    stream::unfold(accepting, |mut accepting| async move {
        loop {
            match (accepting.accept)().await {
                Ok(None) => {}
                Ok(Some(stream)) => match accepting.places.clone().try_acquire_owned() {
                    Ok(place) => return Some((Ok(Connection::new(stream, place, HANDSHAKE_TIMEOUT)), accepting)),
                    // Closed by dropping it.
                    Err(_) => accepting.warn("has all the connections it may have; further ones are closed", None),
                },
                Err(error) => {
                    accepting.warn("can't accept connections; is the limit of open files too low?", Some(&error));
                    tokio::time::sleep(ACCEPT_WAIT).await;
                }
            }
        }
    })
}

impl<F> Accepting<F> {
    /// Logs it, but not for every connection of a flood.
    fn warn(&mut self, what: &str, error: Option<&io::Error>) {
        if self.warned.is_some_and(|warned| warned.elapsed() < WARNING_INTERVAL) {
            return;
        }
        self.warned = Some(Instant::now());
        let error = error.map(tracing::field::display);
        tracing::warn!(listener = self.listener, connections_max = connections_max(), error, "the listener {what}");
    }
}
