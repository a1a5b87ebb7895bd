//! One connection: it has a place among its listener's, and must begin to speak in time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tonic::transport::server::Connected;

use super::{Accepted, CONNECTION_AGE_MAX, authority::Authority, client_stream::ClientStream, places::Place};

/// The HTTP/2 preface (24 bytes) and the header of the settings that must follow it (9 bytes). From there on the
/// transport's keepalive finds a peer that is silent.
const GREETING_BYTES: usize = 24 + 9;

/// A stream with its listener's place and the deadline of its greeting.
pub(crate) struct Connection {
    stream: ClientStream,
    /// `None`: the greeting was read.
    greeting: Option<Greeting>,
    /// `None`: the peer's `:authority` is a host.
    authority: Option<Authority>,
    /// When it was accepted.
    accepted: Instant,
    /// Given back when the connection closes.
    _place: Place,
}

struct Greeting {
    bytes_left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// `deadline`: until when the greeting must be there.
    pub(super) fn new(stream: ClientStream, place: Place, deadline: Instant) -> Self {
        let greeting = Greeting { bytes_left: GREETING_BYTES, deadline: Box::pin(sleep_until(deadline)) };
        Self { stream, greeting: Some(greeting), authority: None, accepted: Instant::now(), _place: place }
    }

    /// Of a Unix socket, whose clients may send its path as their `:authority`.
    pub(crate) fn with_local_authority(self) -> Self {
        Self { authority: Some(Authority::new()), ..self }
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = Accepted;

    fn connect_info(&self) -> Accepted {
        Accepted { peer: self.stream.peer(), ends: self.accepted + CONNECTION_AGE_MAX }
    }
}
