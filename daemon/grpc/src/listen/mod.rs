//! Listening: where, for whom, and how many.
//!
//! # Guarantees
//! - A connection that has not ended its TLS handshake and begun to speak HTTP/2 within [`HANDSHAKE_TIMEOUT`] is closed.
//! - Handshakes wait for nobody: a slow one delays neither another one nor what is accepted after it.
//! - Each connection takes the newest TLS configuration, and keeps it.
//! - Each listener has its own share of the process's descriptors, so that a flood at one of them leaves the other one,
//!   the store and the plugins alone. Connections beyond the share are closed at once, and logged, while all others are at work.
//! - One address has a share of a listener's places at most.
//! - Where all places are taken, whoever has had no call open for the longest time makes room; without need it may stay for
//!   [`ListenBounds::idle_timeout`]. Whoever must leave is sent GOAWAY.
//! - A connection that is older than [`ListenBounds::age_max`] is sent GOAWAY, ends with its last call, and is closed after
//!   [`ListenBounds::age_grace`] whatever is open: whoever holds it must show again who it is, so that a revoked certificate or a
//!   removed user does not stay for ever.
//! - Running out of descriptors all the same ends nothing: accepting goes on when some are free.

mod activity;
mod authority;
mod client_stream;
mod connection;
mod places;

use std::{
    collections::BTreeSet,
    fs::Permissions,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net as unix_net,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::ready, stream};
use landlord_core::ports::Peer;
use rustix::process::{Resource, getrlimit};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

pub use self::places::ListenBounds;
pub(crate) use self::{
    activity::{Activity, OpenCall},
    connection::Connection,
};
use self::{
    client_stream::ClientStream,
    places::{NoPlace, Place, Places},
};
use crate::serve_error::ServeError;

/// A client that has not sent its HTTP/2 preface and settings by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// No call but a stream takes longer, whatever deadline its client set; the longest is a wait.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(310);
/// A listener's share of the process's descriptors: half of them stay for the store, plugins and clusters.
const SHARE_OF_DESCRIPTORS: usize = 4;
/// Between two tries to accept while there is no descriptor for it.
const ACCEPT_WAIT: Duration = Duration::from_millis(200);
/// A listener that refuses connections logs it this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What the layers above know of the connection that a request came by.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// Who is on the other end.
    pub(crate) peer: Peer,
    /// Until when what the peer has shown counts.
    pub(crate) ends: Instant,
    /// What the connection does.
    pub(crate) activity: Arc<Activity>,
}

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Unix socket.
    pub socket: PathBuf,
    /// Users that may connect to it beside the daemon's own and root.
    pub local_users: BTreeSet<u32>,
    /// The Unix socket itself, if whoever started the daemon opened it: it is neither made nor removed here.
    pub passed: Option<Arc<unix_net::UnixListener>>,
    /// TCP listeners.
    pub tcp: Vec<ListenTcp>,
    /// Bounds of each listener.
    pub bounds: ListenBounds,
}

/// A TCP listener.
#[derive(Debug, Clone)]
pub struct ListenTcp {
    /// Address.
    pub address: SocketAddr,
    /// The listening socket, if whoever started the daemon opened it.
    pub passed: Option<Arc<std::net::TcpListener>>,
    /// TLS of the next connection; `None`: without, which is for the loopback interface only.
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
}

/// The bounds, as far as the process may have enough descriptors.
fn affordable(bounds: ListenBounds) -> ListenBounds {
    let descriptors =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
    let connections_max = bounds.connections_max.min(descriptors / SHARE_OF_DESCRIPTORS).max(1);
    // An address keeps its part of what there is.
    let share = bounds.connections_max / bounds.connections_per_address_max.clamp(1, bounds.connections_max.max(1));
    let connections_per_address_max = (connections_max / share).min(bounds.connections_per_address_max).max(1);
    ListenBounds { connections_max, connections_per_address_max, ..bounds }
}

/// Binds every listener; what they accept comes as one stream, which never ends.
///
/// # Errors
/// An address or a socket that can't be used.
pub(crate) async fn bind(listen: &Listen) -> Result<impl Stream<Item = io::Result<Connection>>, ServeError> {
    let bounds = affordable(listen.bounds);
    let mut all = Vec::with_capacity(listen.tcp.len() + 1);
    let socket = match &listen.passed {
        Some(passed) => of_unix(passed).map_err(|source| ServeError::Socket { path: listen.socket.clone(), source })?,
        None => bind_unix(&listen.socket, &listen.local_users).await?,
    };
    all.push(unix(socket, listen.local_users.clone(), bounds).boxed());
    for ListenTcp { address, passed, tls: config } in &listen.tcp {
        let failed = |source| ServeError::Tcp { address: *address, source };
        let listener = match passed {
            Some(passed) => of_tcp(passed).map_err(failed)?,
            None => TcpListener::bind(address).await.map_err(failed)?,
        };
        // Logged, since port 0 is whichever was free.
        let address = listener.local_addr().map_err(failed)?;
        match config {
            Some(config) => {
                tracing::info!(%address, "listening with TLS");
                all.push(tls(listener, config.clone(), bounds).boxed());
            }
            None => {
                tracing::warn!(%address, "listening WITHOUT TLS: tokens and responses can be read on this interface");
                all.push(tcp(listener, bounds).boxed());
            }
        }
    }
    Ok(stream::select_all(all))
}

fn of_unix(passed: &unix_net::UnixListener) -> io::Result<UnixListener> {
    let socket = passed.try_clone()?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

fn of_tcp(passed: &std::net::TcpListener) -> io::Result<TcpListener> {
    let socket = passed.try_clone()?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Binds the Unix socket.
///
/// # Errors
/// Another daemon or a file in its place; a folder that is not ours.
async fn bind_unix(path: &Path, local_users: &BTreeSet<u32>) -> Result<UnixListener, ServeError> {
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
    // The kernel names who connects; the mode only keeps out those who would be refused anyway.
    let others = local_users.iter().any(|uid| ![0, rustix::process::geteuid().as_raw()].contains(uid));
    let mode = if others { 0o666 } else { 0o600 };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(error)?;
    Ok(listener)
}

/// Connections of our own user, of root and of those that are named; the socket's mode says the same, and this holds also where someone has
/// changed it.
fn unix(
    listener: UnixListener,
    local_users: BTreeSet<u32>,
    bounds: ListenBounds,
) -> impl Stream<Item = io::Result<Connection>> {
    let listener = Arc::new(listener);
    let accepted = accepted("the Unix socket".to_owned(), bounds, move || {
        let (listener, local_users) = (listener.clone(), local_users.clone());
        async move {
            let (stream, _) = listener.accept().await?;
            let own = rustix::process::geteuid().as_raw();
            let uid = stream.peer_cred().map(|peer| peer.uid());
            let allowed = uid.ok().filter(|uid| *uid == own || *uid == 0 || local_users.contains(uid));
            if allowed.is_none() {
                tracing::warn!("a connection of another user was refused");
            }
            Ok(allowed.map(|uid| (ClientStream::Unix { stream, uid }, None)))
        }
    });
    accepted.map(move |accepted| Ok(accepted.connection(bounds).with_local_authority()))
}

/// Connections over TCP without TLS.
fn tcp(listener: TcpListener, bounds: ListenBounds) -> impl Stream<Item = io::Result<Connection>> {
    accept_tcp(listener, bounds).map(move |accepted| {
        let Incoming { stream, place, deadline } = accepted;
        Ok(Connection::new(ClientStream::Tcp(stream), place, deadline, bounds))
    })
}

/// Connections over TCP with TLS, each once its handshake has ended.
fn tls(
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    bounds: ListenBounds,
) -> impl Stream<Item = io::Result<Connection>> {
    let tasks = TaskTracker::new();
    accept_tcp(listener, bounds)
        // Each in a task of its own, so that what it computes runs beside the others. It ends by its deadline.
        .map(move |accepted| tasks.spawn(handshake(accepted, config.borrow().clone(), bounds)))
        // As many as there may be connections: a handshake holds a place already.
        .buffer_unordered(bounds.connections_max)
        .filter_map(|connection| ready(connection.ok().flatten().map(Ok)))
}

async fn handshake(
    accepted: Incoming<TcpStream>,
    config: Arc<ServerConfig>,
    bounds: ListenBounds,
) -> Option<Connection> {
    let Incoming { stream, place, deadline } = accepted;
    let address = stream.peer_addr().ok();
    let evicted = place.activity().evicted();
    let accepting = timeout_at(deadline, TlsAcceptor::from(config).accept(stream));
    match evicted.run_until_cancelled(accepting).await? {
        Ok(Ok(stream)) => Some(Connection::new(ClientStream::Tls(Box::new(stream)), place, deadline, bounds)),
        Ok(Err(error)) => {
            tracing::debug!(address = address.map(tracing::field::display), %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(address = address.map(tracing::field::display), "a TLS handshake did not end in time");
            None
        }
    }
}

fn accept_tcp(listener: TcpListener, bounds: ListenBounds) -> impl Stream<Item = Incoming<TcpStream>> {
    let name = listener.local_addr().map_or_else(|_| "a TCP address".to_owned(), |address| address.to_string());
    let listener = Arc::new(listener);
    accepted(name, bounds, move || {
        let listener = listener.clone();
        async move {
            let (stream, address) = listener.accept().await?;
            // Small messages are sent at once; a connection that refuses this is of no less use.
            let _ = stream.set_nodelay(true);
            Ok(Some((stream, Some(address.ip()))))
        }
    })
}

/// What was accepted, and until when it must begin to speak.
struct Incoming<S> {
    stream: S,
    /// Given back when the connection closes.
    place: Place,
    deadline: Instant,
}

impl Incoming<ClientStream> {
    fn connection(self, bounds: ListenBounds) -> Connection {
        Connection::new(self.stream, self.place, self.deadline, bounds)
    }
}

/// What a listener remembers between two connections.
struct Accepting<F> {
    accept: F,
    places: Places,
    listener: String,
    bounds: ListenBounds,
    warned: Option<Instant>,
}

/// Never ends and never fails: whatever can't be accepted is logged. `accept` gives a stream and, over a network, its address.
fn accepted<S, F, A>(listener: String, bounds: ListenBounds, accept: F) -> impl Stream<Item = Incoming<S>>
where
    F: Fn() -> A,
    A: Future<Output = io::Result<Option<(S, Option<IpAddr>)>>>,
{
    let places = Places::new(bounds);
    let accepting = Accepting { accept, places, listener, bounds, warned: None };
    stream::unfold(accepting, |mut accepting| async move {
        loop {
            match (accepting.accept)().await {
                Ok(None) => {}
                Ok(Some((stream, address))) => match accepting.places.take(address) {
                    Ok(place) => {
                        if place.evicts {
                            accepting.warn("closes connections without a call, since others need their places", None);
                        }
                        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
                        return Some((Incoming { stream, place, deadline }, accepting));
                    }
                    // Closed by dropping it.
                    Err(NoPlace::Full) => {
                        accepting.warn("has all the connections it may have; further ones are closed", None);
                    }
                    Err(NoPlace::Address) => accepting.warn("closes further connections of an address", None),
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
        let connections_max = self.bounds.connections_max;
        tracing::warn!(listener = %self.listener, connections_max, error, "the listener {what}");
    }
}
