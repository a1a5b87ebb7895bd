//! The API's listeners as configured. Certificates that can't be used end the start, not the running daemon.

use anyhow::{Context as _, Result};
use landlord_auth::{
    authenticator::Callers,
    tls::{self, POLL_INTERVAL, Reloader, TlsFigures},
};
use landlord_grpc::{Listen, ListenTcp};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Listener, Server},
    systemd::Passed,
};

/// Reads what the listeners need, takes the sockets that were `passed` to the daemon, and follows their files until cancelled.
///
/// # Errors
/// Files that can't be used.
pub(crate) fn open(
    config: &Config,
    callers: &Callers,
    mut passed: Passed,
    figures: &TlsFigures,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Listen> {
    let server = &config.server;
    let mut tcp = Vec::with_capacity(server.listeners.len());
    for (index, Listener { address, tls, .. }) in server.listeners.iter().enumerate() {
        let tls = match tls {
            Some(tls) => {
                let reloader = Reloader::open(address, tls.files(), figures.clone()).with_context(|| at(index))?;
                let config = reloader.config();
                tasks.spawn(reloader.run(POLL_INTERVAL, stop.clone()));
                Some(config)
            }
            None => None,
        };
        let address = address.parse().with_context(|| at(index))?;
        tcp.push(ListenTcp { address, passed: passed.tcp(address), tls });
    }
    let unix = passed.unix(&server.socket);
    passed.all_taken()?;
    Ok(Listen {
        socket: server.socket.clone(),
        local_users: callers.local_users.uids().collect(),
        passed: unix,
        tcp,
        bounds: server.bounds(),
    })
}

/// Reads the files as a start would.
///
/// # Errors
/// Files that can't be used.
pub(crate) fn check(server: &Server) -> Result<()> {
    for (index, listener) in server.listeners.iter().enumerate() {
        if let Some(tls) = &listener.tls {
            tls::load(&tls.files()).with_context(|| at(index))?;
        }
    }
    Ok(())
}

fn at(index: usize) -> String {
    format!("server.listeners[{index}]")
}
