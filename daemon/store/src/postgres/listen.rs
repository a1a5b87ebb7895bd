//! Wakes this daemon's readers for what other daemons wrote: by LISTEN where the connection reaches the server itself, and by
//! polling in any case.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{AnyConnection, postgres::PgListener};
use tokio_util::sync::CancellationToken;

use crate::{
    connections::{Connections, Moment},
    dialect::{Dialect, HAND_OVER},
    notify::Notifier,
    target::Servers,
};

/// What the writers notify.
const CHANNEL: &str = "landlord";
/// Nothing of another daemon is noticed later.
const POLL: Duration = Duration::from_secs(1);
/// A server that can't be listened to is tried again so often; polling goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);

/// Runs until `stop`.
#[expect(
    clippy::disallowed_methods,
    reason = "ends by the token that the store holds; what it does is lost without harm"
)]
pub(crate) fn start(servers: Arc<Servers>, connections: Connections, notifier: Notifier, stop: CancellationToken) {
    let following = async move { follow(&servers, &connections, &notifier).await };
    tokio::spawn(async move { stop.run_until_cancelled(following).await });
}

async fn follow(servers: &Servers, connections: &Connections, notifier: &Notifier) {
    let mut listener = None;
    let mut next_try = Instant::now();
    loop {
        if listener.is_none() && Instant::now() >= next_try {
            listener = listen(servers).await;
            next_try = Instant::now() + LISTEN_AGAIN;
        }
        let woken = async {
            match &mut listener {
                Some(listener) => listener.recv().await.map(|notification| notification.payload() == HAND_OVER),
                None => std::future::pending().await,
            }
        };
        let received = tokio::select! {
            received = woken => received,
            () = tokio::time::sleep(POLL) => Ok(false),
        };
        match received {
            Ok(true) => notifier.handed_over.notify_one(),
            Ok(false) => {}
            Err(_) => listener = None,
        }
        let observation = async |connection: &mut AnyConnection| notifier.committed(connection).await;
        if let Err(error) = connections.read(Moment::Same, observation).await {
            tracing::warn!(%error, "can't search for what other daemons wrote; tried again");
        }
    }
}

async fn listen(servers: &Servers) -> Option<PgListener> {
    let listening = async {
        let mut listener = PgListener::connect(servers.options()?.database_url.as_str()).await?;
        listener.listen(CHANNEL).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    Dialect::Postgres
        .connected(listening)
        .await
        .inspect_err(|error| tracing::debug!(%error, "can't listen to the store; it is polled"))
        .ok()
}
