//! Starting a child process: what it is given, and what becomes of what it writes.

use std::{
    io::{IoSlice, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    path::PathBuf,
    process::Stdio,
    time::Instant,
};

use landlord_core::ports::ProviderKey;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
};

use crate::{
    PluginFile, PluginOptions,
    child::{CHILD_ARGUMENT, HEADER_BYTES},
    frame::{Body, Setup, encode},
    output_limits::{LINE_BYTES_MAX, Lines},
};

/// Starts the process. Standard input is the socket; the environment is what the options name.
pub(crate) fn spawn(options: &PluginOptions, socket: UnixStream) -> Result<Child, String> {
    let mut command = Command::new(&options.program);
    command
        .arg(CHILD_ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in &options.environment {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.spawn().map_err(|error| format!("its process can't be started ({}): {error}", options.program.display()))
}

/// Hands over the library by [`pass_library`], and gives the socket back. A child that does not read blocks the write, so it
/// runs on a thread that may block; the socket's write timeout bounds it, also when the caller goes away.
///
/// # Errors
/// Why the library could not be handed over, in words for the operator.
pub(crate) async fn hand_over(
    socket: UnixStream,
    file: &PluginFile,
    options: &PluginOptions,
) -> Result<UnixStream, String> {
    let library = file.memory().as_fd().try_clone_to_owned();
    let library = library.map_err(|error| format!("its library can't be handed over: {error}"))?;
    let options = options.clone();
    let handed_over =
        tokio::task::spawn_blocking(move || pass_library(&socket, &library, &options).map(|()| socket)).await;
    handed_over.map_err(|error| format!("its library can't be handed over: {error}"))?
}

/// Sends the first messages: the library's descriptor, then how the child is to live.
fn pass_library(socket: &UnixStream, library: &OwnedFd, options: &PluginOptions) -> Result<(), String> {
    let header = [0_u8; HEADER_BYTES];
    let descriptors = [library.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(&header)], &mut ancillary, SendFlags::NOSIGNAL)
        .map_err(|error| format!("its library can't be handed over: {error}"))?;
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    let setup = Body::Setup(Setup {
        memory_max_mib: options.memory_max_mib,
        sandboxed: options.sandbox.enabled,
        best_effort: options.sandbox.best_effort,
        read_paths: paths(&options.sandbox.read_paths),
        write_paths: paths(&options.sandbox.write_paths),
        connect_ports: options.sandbox.connect_ports.iter().copied().map(u32::from).collect(),
    });
    let bytes = encode(setup).ok_or("its sandbox names too many paths")?;
    let mut socket = socket;
    socket.write_all(&bytes).map_err(|error| format!("its setup can't be handed over: {error}"))
}

/// Logs what a plugin writes to its standard output or error, until it closes it. What is too much is read all the same, so
/// that the plugin does not block.
pub(crate) async fn log_output(key: &ProviderKey, lines: &Lines, stream: &str, output: impl AsyncRead + Unpin) {
    let mut output = BufReader::with_capacity(LINE_BYTES_MAX, output);
    while let Some(line) = next_line(&mut output).await {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if !line.is_empty()
            && let Some(left_out) = lines.admit(Instant::now())
        {
            tracing::warn!(plugin = %key, stream, left_out, "{line}");
        }
    }
}

/// The next line, or the next piece of a long one: the rest of it follows as lines of its own, so that no line grows in the
/// daemon's memory.
async fn next_line(output: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    while line.len() < LINE_BYTES_MAX {
        let bytes = output.fill_buf().await.ok()?;
        if bytes.is_empty() {
            return (!line.is_empty()).then_some(line);
        }
        let room = bytes.len().min(LINE_BYTES_MAX - line.len());
        let end = bytes[..room].iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(room);
        line.extend_from_slice(&bytes[..taken]);
        output.consume(taken);
        if end.is_some() {
            break;
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_come_in_pieces() {
        let text = [b"one\n".to_vec(), vec![b'x'; LINE_BYTES_MAX + 5], b"\n\xfflast".to_vec()];
        let text = text.concat();
        let mut output = BufReader::with_capacity(7, text.as_slice());
        let mut lengths = Vec::new();
        while let Some(line) = next_line(&mut output).await {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [4, LINE_BYTES_MAX, 6, 5]);
    }
}
