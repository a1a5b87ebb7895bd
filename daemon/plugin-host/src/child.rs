//! The child process: takes the library over the socket, loads it, carries calls to it and
//! returns the responses. It has no configuration, no runtime and no secrets but those in the messages.
//!
//! Standard input is the socket. When it closes the daemon is gone or wants an end: a thread
//! that watches for nothing else kills the process at once, whatever the plugin is doing, so that
//! no child outlives its daemon. (The kernel's parent-death signal would also come when only the
//! daemon's *thread* that started the child ends, and runtimes end threads.)
//!
//! Limits and sandbox come before everything that the plugin could use: before a second thread, before the library.

use std::{
    ffi::OsStr,
    fs::File,
    io::{IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    sync::Arc,
};

use parking_lot::Mutex;
use prost::Message as _;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
    process::{DumpableBehavior, Resource, Rlimit, Signal, getpid, kill_process, set_dumpable_behavior, setrlimit},
};

use crate::{
    frame::{Body, FRAME_BYTES_MAX, Frame, Loaded as LoadedFrame, Log, Response, Setup, encode},
    load::{Loaded, Sink},
    sandbox::{self, Sandbox},
};

/// Argument that makes the daemon's binary run as a plugin child.
pub const CHILD_ARGUMENT: &str = "plugin-child";
/// Room for the one descriptor that is passed.
const ANCILLARY_BYTES: usize = rustix::cmsg_space!(ScmRights(1));
/// What the library's descriptor travels beside: a socket carries none alone.
pub(crate) const HEADER_BYTES: usize = 1;

struct Socket(Mutex<UnixStream>);

impl Socket {
    fn send(&self, body: Body) {
        let too_long = |body: &Body| match body {
            Body::Response(response) => Some(response.id),
            _ => None,
        };
        let long = too_long(&body);
        let bytes = encode(body).or_else(|| {
            let payload = b"the response is longer than a frame".to_vec();
            let status = landlord_provider_api::abi::STATUS_PANIC;
            encode(Body::Response(Response { id: long?, status, payload }))
        });
        let Some(bytes) = bytes else { return };
        if self.0.lock().write_all(&bytes).is_err() {
            // Nobody listens any more.
            std::process::exit(0);
        }
    }
}

impl Sink for Socket {
    fn respond(&self, id: u64, status: u32, payload: Vec<u8>) {
        self.send(Body::Response(Response { id, status, payload }));
    }

    fn log(&self, level: u32, json: String) {
        self.send(Body::Log(Log { level, json }));
    }

    fn broken(&self, problem: String) {
        self.send(Body::Broken(problem));
    }
}

/// Runs the child. Call it first thing in `main` when [`CHILD_ARGUMENT`] is given.
pub fn run_child() -> ! {
    let code = match serve() {
        Ok(()) => 0,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "plugin child: {problem}");
            1
        }
    };
    std::process::exit(code)
}

fn serve() -> Result<(), String> {
    let socket: OwnedFd = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| format!("standard input is no socket: {error}"))?;
    let mut socket = UnixStream::from(socket);
    hide_socket().map_err(|error| format!("standard input can't be replaced: {error}"))?;
    let library = receive_library(&socket)?;
    let Some(Frame { body: Some(Body::Setup(setup)) }) = read_frame(&mut socket)? else {
        return Err("the daemon went away".into());
    };
    limit(setup.memory_max_mib);
    let entered = sandbox::enter(&sandbox_of(&setup));
    // A thread of an unsandboxed process would stay so: the watcher comes after.
    watch(&socket)?;
    let writer = socket.try_clone().map_err(|error| error.to_string())?;
    let sink = Arc::new(Socket(Mutex::new(writer)));
    let loaded = match entered.and_then(|()| Loaded::open(&library, Arc::clone(&sink) as Arc<dyn Sink>)) {
        Ok(loaded) => loaded,
        Err(error) => {
            sink.send(Body::Loaded(LoadedFrame { error, ..LoadedFrame::default() }));
            return Ok(());
        }
    };
    drop(library);
    let (abi_major, abi_minor) = loaded.version();
    sink.send(Body::Loaded(LoadedFrame { error: String::new(), abi_major, abi_minor }));
    while let Some(frame) = read_frame(&mut socket)? {
        match frame.body {
            Some(Body::Call(call)) => {
                loaded.call(call.id, call.method, call.deadline_ms, &call.request);
            }
            Some(Body::Cancel(id)) => loaded.cancel(id),
            _ => return Err("the daemon sent a frame that is not its to send".into()),
        }
    }
    Ok(())
}

/// Puts nothing where the socket was, so that what a plugin executes does not inherit it.
fn hide_socket() -> std::io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(File::open("/dev/null")?)?)
}

/// Kills this process as soon as the daemon's end of the socket is closed.
fn watch(socket: &UnixStream) -> Result<(), String> {
    let watched = socket.try_clone().map_err(|error| error.to_string())?;
    let wait = move || {
        loop {
            // No events requested: only the end is reported.
            let mut ends = [PollFd::new(&watched, PollFlags::empty())];
            match poll(&mut ends, None) {
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        // Not `exit`: it runs handlers, and a plugin may hold their locks.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    let thread = std::thread::Builder::new().name("watch".into());
    thread.spawn(wait).map(drop).map_err(|error| error.to_string())
}

fn sandbox_of(setup: &Setup) -> Sandbox {
    let paths = |paths: &[Vec<u8>]| paths.iter().map(|path| OsStr::from_bytes(path).into()).collect();
    Sandbox {
        enabled: setup.sandboxed,
        best_effort: setup.best_effort,
        read_paths: paths(&setup.read_paths),
        write_paths: paths(&setup.write_paths),
        // Numbers that are no port come from no daemon of ours; left out, they grant nothing.
        connect_ports: setup.connect_ports.iter().filter_map(|port| u16::try_from(*port).ok()).collect(),
    }
}

/// The first message: the header, and the library's descriptor beside it.
fn receive_library(socket: &UnixStream) -> Result<OwnedFd, String> {
    let mut header = [0_u8; HEADER_BYTES];
    let mut space = [MaybeUninit::uninit(); ANCILLARY_BYTES];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut header)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL,
    )
    .map_err(|error| format!("no library came: {error}"))?;
    if received.bytes != HEADER_BYTES {
        return Err("the daemon went away".into());
    }
    let library = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    library.ok_or_else(|| "no library came".into())
}

/// Bounds what a plugin can take from the machine. Where a limit can't be set the plugin runs
/// without it: the daemon's own bounds still hold.
fn limit(memory_mib: u64) {
    let hard = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    // A core dump would write secrets to disk, and a process of the same user could read them.
    let _ = setrlimit(Resource::Core, hard(0));
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if memory_mib > 0 {
        let _ = setrlimit(Resource::As, hard(memory_mib << 20));
    }
}

fn read_frame(socket: &mut UnixStream) -> Result<Option<Frame>, String> {
    let mut length = [0_u8; 4];
    if let Err(error) = socket.read_exact(&mut length) {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => Ok(None),
            _ => Err(error.to_string()),
        };
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes came"));
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    Frame::decode(bytes.as_slice()).map(Some).map_err(|error| error.to_string())
}
