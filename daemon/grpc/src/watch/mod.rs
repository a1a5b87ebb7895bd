//! Watches: events as a stream that can be resumed.
//!
//! # Expected flow
//! Each watch has a task. It sleeps until the store announces an event for it, takes a page from
//! [`RecentEvents`], and puts the messages into a bounded channel that the connection empties at the client's speed.
//!
//! # Guarantees
//! - A client's speed holds nothing but its own task and at most [`WAITING_MAX`] messages: pages are read whole before
//!   the first message is sent.
//! - An idle watch makes no call to the store; watches that follow the newest events share one read.
//! - A client that takes nothing for [`STALL_MAX`] is cut with ABORTED, reason `WATCH_TOO_SLOW`, after the messages that
//!   wait for it; the resume token of the last message is where to go on.

mod recent;
mod visible;

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use landlord_core::{
    access::Resource,
    ports::{Event, EventQuery, EventScope},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::recent::{EventSource, RecentEvents};
use crate::{
    access::Access,
    error::{Error, maybe, violation},
    opaque::OpaqueTokens,
    ports::Ports,
};

/// Heartbeats come at these times, whatever else is sent: proxies and clients drop silent streams after a minute, and a
/// heartbeat that waited for what others do would reveal it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Events of a page, and messages that wait for a slow client: some 200 KiB with the longest texts.
const WAITING_MAX: usize = 100;
/// A client that takes no message for this long is cut, with the place where to resume. A client that is only slow may be cut
/// too: its transport takes messages a window at a time.
const STALL_MAX: Duration = Duration::from_secs(60);

/// What resume tokens are sealed for.
const TOKEN_SCOPE: &str = "watch";
/// Also a resume token: all events that are kept, from the oldest on.
const OLDEST: &str = "0";

/// One message before it has the form of its API method.
pub(crate) struct Message {
    /// What happened; `None`: a heartbeat.
    pub(crate) event: Option<Arc<Event>>,
    /// Where to resume after this message.
    pub(crate) position: i64,
}

impl Message {
    /// As the API's clients hand it back.
    pub(crate) fn resume_token(&self, tokens: &OpaqueTokens) -> String {
        tokens.seal(TOKEN_SCOPE, &self.position.to_string())
    }
}

/// Begins a watch of what `query` chooses and `access` shows.
///
/// # Errors
/// As [`Watches::open`]; NOT_FOUND for one name that the caller may not read.
pub(crate) async fn open(
    watches: &Watches,
    mut query: EventQuery,
    resume_token: &str,
    access: Access,
    ports: &Ports,
) -> Result<impl Stream<Item = Result<Message, Error>> + Send + 'static, Error> {
    if let EventScope::Environment(name) = &query.scope {
        let resource = match maybe(ports.store.get(name).await)? {
            Some(environment) => Resource::from(&environment),
            None => Resource::Environment { name: name.clone(), attributes: None },
        };
        access.check(&resource)?;
    }
    // What others do does not even wake it.
    if let (EventScope::Tenants, Some(own)) = (&query.scope, &access.principal().customer) {
        query.scope = EventScope::Customer(own.clone());
    }
    let messages = watches.open(query, resume_token).await?;
    Ok(visible::visible(access, messages))
}

/// Opens watches. Clones share one set of recent events.
#[derive(Clone)]
pub(crate) struct Watches {
    recent: Arc<RecentEvents>,
    tokens: Arc<OpaqueTokens>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Watches {
    /// Watches end with UNAVAILABLE, reason `DAEMON_STOPPING`, once `stop` is cancelled.
    pub(crate) fn new(source: Arc<dyn EventSource>, tokens: Arc<OpaqueTokens>, stop: CancellationToken) -> Self {
        Self { recent: Arc::new(RecentEvents::new(source)), tokens, tasks: TaskTracker::new(), stop }
    }

    /// Begins a watch of what `query` chooses (its position and limit are set here).
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a token that this daemon never gave; OUT_OF_RANGE for one that is older than the events kept.
    pub(crate) async fn open(
        &self,
        query: EventQuery,
        resume_token: &str,
    ) -> Result<impl Stream<Item = Result<Message, Error>> + Send + 'static, Error> {
        let source = self.recent.source();
        let newest = source.newest_event().await?;
        let after_seq = match resume_token {
            "" => newest,
            OLDEST => 0,
            // A position that was never reached comes from another store, and would wait for ever.
            token => self.position(token).filter(|seq| (0..=newest).contains(seq)).ok_or_else(|| {
                let problem = "is not a token of this daemon's watches; list the resources again and watch without one";
                violation("resume_token", problem)
            })?,
        };
        let query = EventQuery { after_seq, limit: u32::try_from(WAITING_MAX).unwrap_or(u32::MAX), ..query };
        // A token that is too old is refused before the stream begins.
        let probe = EventQuery { limit: 1, ..query.clone() };
        source.events(&probe).await?;
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let watch = Watch { recent: self.recent.clone(), tokens: self.tokens.clone(), query, sender };
        Ok(self.fed(receiver, watch.run()))
    }

    /// A stream of what `receiver` gets from `feed`, which runs until it ends or the daemon stops; then of why. That needs no room among
    /// what waits, so that a client that takes nothing learns of it.
    pub(crate) fn fed<T, F>(
        &self,
        receiver: mpsc::Receiver<T>,
        feed: F,
    ) -> impl Stream<Item = Result<T, Error>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Future<Output = Option<Error>> + Send + 'static,
    {
        let (end, ended) = oneshot::channel();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Some(error) = stop.run_until_cancelled(feed).await.unwrap_or(Some(Error::Stopping)) {
                // The client may be gone.
                let _ = end.send(error);
            }
        });
        stream::unfold(Some((receiver, ended)), next)
    }

    fn position(&self, token: &str) -> Option<i64> {
        self.tokens.open(TOKEN_SCOPE, token)?.parse().ok()
    }
}

/// What a stream is fed by, and the error with which it ends.
type Fed<T> = (mpsc::Receiver<T>, oneshot::Receiver<Error>);

/// The messages, then the error with which they ended.
async fn next<T>(state: Option<Fed<T>>) -> Option<(Result<T, Error>, Option<Fed<T>>)> {
    let (mut receiver, ended) = state?;
    match receiver.recv().await {
        Some(message) => Some((Ok(message), Some((receiver, ended)))),
        None => ended.await.ok().map(|error| (Err(error), None)),
    }
}

struct Watch {
    recent: Arc<RecentEvents>,
    tokens: Arc<OpaqueTokens>,
    query: EventQuery,
    sender: mpsc::Sender<Message>,
}

impl Watch {
    /// Runs until the client is gone (`None`), or ends it with an error.
    async fn run(mut self) -> Option<Error> {
        let sender = self.sender.clone();
        tokio::select! {
            biased;
            () = sender.closed() => None,
            error = self.follow() => Some(error),
        }
    }

    async fn follow(&mut self) -> Error {
        // Shows where the stream begins, before anything happens.
        let mut announced = self.query.after_seq;
        if let Err(error) = self.send(None, announced).await {
            return error;
        }
        let mut behind = true;
        let mut heartbeat = Instant::now() + HEARTBEAT_INTERVAL;
        loop {
            if Instant::now() >= heartbeat {
                heartbeat = Instant::now() + HEARTBEAT_INTERVAL;
                if let Err(error) = self.send(None, self.query.after_seq).await {
                    return error;
                }
            }
            if !behind {
                let news = self.recent.source().wait_for_event(&self.query);
                match tokio::time::timeout_at(heartbeat, news).await {
                    Ok(position) => announced = position,
                    Err(_) => continue,
                }
            }
            behind = match self.page(announced).await {
                Ok(behind) => behind,
                Err(error) => return error,
            };
        }
    }

    /// Sends a page. Whether more may follow at once.
    async fn page(&mut self, announced: i64) -> Result<bool, Error> {
        let page = self.recent.page(&self.query, announced).await?;
        for event in page.events {
            let position = event.seq;
            self.send(Some(event), position).await?;
            self.query.after_seq = position;
        }
        self.query.after_seq = page.position;
        Ok(page.more)
    }

    async fn send(&self, event: Option<Arc<Event>>, position: i64) -> Result<(), Error> {
        let too_slow = |_| {
            let resume_token = self.tokens.seal(TOKEN_SCOPE, &self.query.after_seq.to_string());
            Error::WatchTooSlow { resume_token }
        };
        let place = tokio::time::timeout(STALL_MAX, self.sender.reserve()).await.map_err(too_slow)?;
        // A client that is gone ends the task where it waits for that.
        if let Ok(place) = place {
            place.send(Message { event, position });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
