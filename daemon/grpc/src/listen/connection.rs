//! One connection: it has a place among its listener's, must begin to speak in time, and leaves when it does nothing for long or
//! its place is needed.
//!
//! Who leaves gets a GOAWAY, so that a client opens another connection for its next call instead of losing that call.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::{
    Accepted, ListenBounds, activity::Activity, authority::Authority, client_stream::ClientStream, places::Place,
};

/// The HTTP/2 preface (24 bytes) and the header of the settings that must follow it (9 bytes). From there on the
/// transport's keepalive finds a peer that is silent.
const GREETING_BYTES: usize = 24 + 9;
/// GOAWAY without an error and with the largest stream, RFC 9113 section 6.8: calls that are on their way are served, further
/// ones go elsewhere.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// Calls that were on their way when the peer was asked to leave come within this: more than a round trip around the world.
const LEAVING_TIME: Duration = Duration::from_secs(2);

/// A stream with its listener's place and the deadline of its greeting.
pub(crate) struct Connection {
    stream: ClientStream,
    /// `None`: the greeting was read.
    greeting: Option<Greeting>,
    /// `None`: the peer's `:authority` is a host.
    authority: Option<Authority>,
    leave: Leave,
    /// What was written last is not all out: nothing may come between.
    is_blocked: bool,
    /// Given back when the connection closes.
    place: Place,
}

/// When the connection ends by itself.
struct Leave {
    activity: Arc<Activity>,
    idle_timeout: Duration,
    look: Pin<Box<Sleep>>,
    /// The transport asks the peer to leave then.
    old: Instant,
    /// Whatever is open then ends.
    over: Pin<Box<Sleep>>,
    evicted: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The peer was asked to leave.
    is_asked: bool,
}

struct Greeting {
    bytes_left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// `deadline`: until when the greeting must be there.
    pub(super) fn new(stream: ClientStream, place: Place, deadline: Instant, bounds: ListenBounds) -> Self {
        let ListenBounds { idle_timeout, age_max, age_grace, .. } = bounds;
        let greeting = Greeting { bytes_left: GREETING_BYTES, deadline: Box::pin(sleep_until(deadline)) };
        let activity = place.activity().clone();
        let leave = Leave {
            look: Box::pin(sleep_until(Instant::now() + idle_timeout)),
            evicted: Box::pin(activity.evicted().cancelled_owned()),
            old: activity.accepted() + age_max,
            over: Box::pin(sleep_until(activity.accepted() + age_max + age_grace)),
            activity,
            idle_timeout,
            is_asked: false,
        };
        Self { stream, greeting: Some(greeting), authority: None, leave, is_blocked: false, place }
    }

    /// Of a Unix socket, whose clients may send its path as their `:authority`.
    pub(crate) fn with_local_authority(self) -> Self {
        Self { authority: Some(Authority::new()), ..self }
    }

    /// Ready when the connection must end.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leave.evicted.as_mut().poll(cx).is_ready() {
            self.tell(cx);
            return Poll::Ready(());
        }
        if self.leave.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            ready!(self.leave.look.as_mut().poll(cx));
            let now = Instant::now();
            let idle = self.leave.activity.idle_since().map(|since| now.duration_since(since));
            let left = match idle {
                None => self.leave.idle_timeout,
                Some(idle) => self.leave.idle_timeout.saturating_sub(idle),
            };
            let wait = match (left.is_zero(), self.leave.is_asked) {
                (true, true) => return Poll::Ready(()),
                (true, false) => {
                    self.tell(cx);
                    LEAVING_TIME
                }
                (false, _) => left,
            };
            self.leave.look.as_mut().reset(now + wait);
        }
    }

    /// Has the peer take its further calls elsewhere, if it can be asked.
    fn tell(&mut self, cx: &mut Context<'_>) {
        if self.leave.is_asked || self.is_blocked || self.greeting.is_some() || self.leave.old <= Instant::now() {
            return;
        }
        self.leave.is_asked = true;
        // Seventeen bytes fit, or the peer reads nothing and is asked nothing; a part of them ends the connection as well.
        if Pin::new(&mut self.stream).poll_write(cx, &GOAWAY).is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
    }

    /// Whoever must leave and reads nothing is not waited for: its place is another's already, or its time is over.
    fn unless_gone<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Leave { evicted, over, .. } = &mut self.leave;
        if polled.is_pending() && (evicted.as_mut().poll(cx).is_ready() || over.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }

    /// Remembers whether all was written.
    fn written(&mut self, wanted: usize, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_blocked = !matches!(&written, Poll::Ready(Ok(count)) if *count == wanted);
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Some(authority) = &mut this.authority {
            authority.rewrite(&mut buf.filled_mut()[before..]);
        }
        if read.is_pending() && this.poll_leave(cx).is_ready() {
            // As if the peer had closed it.
            return Poll::Ready(Ok(()));
        }
        let Some(greeting) = &mut this.greeting else { return read };
        if read.is_pending() {
            ready!(greeting.deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client sent no HTTP/2 preface in time",
            )));
        }
        let bytes = buf.filled().len() - before;
        match greeting.bytes_left.checked_sub(bytes).filter(|left| *left > 0) {
            Some(left) => greeting.bytes_left = left,
            None => this.greeting = None,
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let written = self.written(bytes.len(), written);
        self.unless_gone(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let written = self.written(slices.iter().map(|slice| slice.len()).sum(), written);
        self.unless_gone(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_gone(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_gone(cx, ended)
    }
}

impl Connected for Connection {
    type ConnectInfo = Accepted;

    fn connect_info(&self) -> Accepted {
        let activity = self.place.activity().clone();
        Accepted { peer: self.stream.peer(), ends: self.leave.old, activity }
    }
}
