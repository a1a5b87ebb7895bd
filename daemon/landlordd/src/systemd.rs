//! What systemd is notified of: ready, reloading, stopping, alive; and the sockets that it passes. Elsewhere nobody listens, nothing is
//! sent, and nothing is passed.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc, OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;

/// States that wait for systemd: what comes every few seconds, and a reload.
const WAITING_MAX: usize = 16;

/// What a start asks for when it goes on, and how often: longer than a busy machine is late.
const START_EXTENSION: Duration = Duration::from_secs(60);
const START_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum State {
    Starting,
    Ready,
    Reloading,
    Stopping,
    Alive,
}

/// Waits for a part of the start that may take longer than the unit's `TimeoutStartSec`, and that has a bound of its own: systemd learns
/// that it goes on. A long migration that were killed would begin again for ever.
pub(crate) async fn starting<T>(part: impl Future<Output = T>) -> T {
    let mut part = pin!(part);
    loop {
        tokio::select! {
            done = &mut part => return done,
            () = tokio::time::sleep(START_INTERVAL) => send(State::Starting),
        }
    }
}

/// Clients can connect; or a reload is over.
pub fn ready() {
    send(State::Ready);
}

/// The configuration is read again; [`ready`] ends it.
pub fn reloading() {
    send(State::Reloading);
}

/// The daemon drains.
pub fn stopping() {
    send(State::Stopping);
}

/// Says that the runtime turns, twice as often as asked for. Never ends; dropped with the runtime.
pub async fn watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    loop {
        send(State::Alive);
        tokio::time::sleep(interval / 2).await;
    }
}

/// In a thread of its own, which nobody waits for: a systemd that reads nothing stops nobody here.
fn send(state: State) {
    static SENDER: OnceLock<Option<SyncSender<State>>> = OnceLock::new();
    let start = || {
        std::env::var_os("NOTIFY_SOCKET")?;
        let (sender, states) = sync_channel(WAITING_MAX);
        let notify = move || states.into_iter().for_each(notify);
        std::thread::Builder::new().name("systemd".to_owned()).spawn(notify).ok()?;
        Some(sender)
    };
    if let Some(sender) = SENDER.get_or_init(start) {
        // Full: systemd reads nothing, and would learn nothing.
        let _ = sender.try_send(state);
    }
}

fn notify(state: State) {
    let sent = match state {
        State::Starting => {
            let extension = u32::try_from(START_EXTENSION.as_micros()).unwrap_or(u32::MAX);
            sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(extension)])
        }
        State::Ready => sd_notify::notify(&[NotifyState::Ready]),
        State::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        State::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        State::Reloading => match NotifyState::monotonic_usec_now() {
            // Type=notify-reload identifies by the time which reload this is.
            Ok(now) => sd_notify::notify(&[NotifyState::Reloading, now]),
            Err(_) => sd_notify::notify(&[NotifyState::Reloading]),
        },
    };
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd is not notified how the daemon is");
    }
}

/// Sockets that were opened before the daemon, and stay open after it.
#[derive(Debug, Default)]
pub struct Passed {
    unix: Vec<(PathBuf, UnixListener)>,
    tcp: Vec<(SocketAddr, TcpListener)>,
}

impl Passed {
    /// Those of the environment (`LISTEN_FDS`), which are given once.
    ///
    /// # Errors
    /// One that no listener can be.
    pub fn take() -> Result<Self> {
        let mut all = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..all.len() {
            if let Ok(Some(socket)) = all.take_unix_listener(index) {
                let address = socket.local_addr().context("a passed socket has no address")?;
                let path = address.as_pathname().context("a passed Unix socket has no path (ListenStream=/PATH)")?;
                passed.unix.push((path.to_owned(), socket));
            } else if let Ok(Some(socket)) = all.take_tcp_listener(index) {
                passed.tcp.push((socket.local_addr().context("a passed socket has no address")?, socket));
            } else {
                bail!(
                    "passed socket {index} is neither a listening Unix nor a TCP socket; its unit needs ListenStream="
                );
            }
        }
        Ok(passed)
    }

    /// The one at a path.
    pub(crate) fn unix(&mut self, path: &Path) -> Option<Arc<UnixListener>> {
        let found = self.unix.iter().position(|(at, _)| at == path)?;
        Some(Arc::new(self.unix.swap_remove(found).1))
    }

    /// The one at an address.
    pub(crate) fn tcp(&mut self, address: SocketAddr) -> Option<Arc<TcpListener>> {
        let found = self.tcp.iter().position(|(at, _)| *at == address)?;
        Some(Arc::new(self.tcp.swap_remove(found).1))
    }

    /// That all were taken: clients of another one would wait for ever.
    pub(crate) fn all_taken(self) -> Result<()> {
        let paths = self.unix.iter().map(|(path, _)| path.display().to_string());
        let left: Vec<String> = paths.chain(self.tcp.iter().map(|(address, _)| address.to_string())).collect();
        if left.is_empty() {
            return Ok(());
        }
        bail!(
            "passed sockets that no listener is configured for: {}; name them in server.socket or server.listeners, or remove \
             them from the socket unit",
            left.join(", ")
        )
    }
}
