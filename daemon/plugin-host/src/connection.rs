//! One running child as the daemon sees it: the socket, the calls in flight, the log lines.

use std::{
    collections::HashMap,
    io::IoSlice,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use landlord_core::ports::ProviderKey;
use parking_lot::Mutex;
use prost::Message as _;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::{Mutex as AsyncMutex, oneshot},
    task::JoinSet,
};

use crate::{
    PluginFile, PluginOptions,
    child::{CHILD_ARGUMENT, HEADER_BYTES},
    frame::{Answer, Body, Call, FRAME_BYTES_MAX, Frame, encode},
};

/// Loading a library of a hundred MiB on a busy machine takes seconds.
const LOAD_PATIENCE: Duration = Duration::from_secs(30);
/// A cancelled call may still answer for this long; then the child is taken for hung.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Longest line of a plugin's standard error that is logged.
const STDERR_LINE_BYTES_MAX: usize = 4_096;

/// How a call did not succeed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The child died, or was killed, before it answered.
    Gone,
    /// It did not answer in time, not even to the cancellation: it was killed.
    Hung,
    /// It did not answer in time, and ended the call when asked.
    Late,
    /// The request is longer than a frame.
    TooLong,
}

/// A running child. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    writer: AsyncMutex<OwnedWriteHalf>,
    next_id: AtomicU64,
    pub(crate) pid: u32,
    /// Reader, log lines and the wait for the process; they end with the connection.
    _tasks: JoinSet<()>,
    kill: Mutex<Option<oneshot::Sender<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    dead: AtomicBool,
}

impl Shared {
    /// Nobody will answer any more.
    fn bury(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.waiting.lock().clear();
    }
}

impl Connection {
    /// Starts a child with the checked library.
    ///
    /// # Errors
    /// Why it did not come up, in words for the operator.
    pub(crate) async fn start(
        key: &ProviderKey,
        file: &PluginFile,
        options: &PluginOptions,
    ) -> Result<Self, String> {
        let (ours, theirs) = StdStream::pair().map_err(|error| error.to_string())?;
        let mut child = spawn(options, theirs)?;
        let pid = child.id().unwrap_or_default();
        let mut tasks = JoinSet::new();
        if let Some(stderr) = child.stderr.take() {
            let key = key.clone();
            tasks.spawn(async move { log_stderr(&key, stderr).await });
        }
        pass_library(&ours, file, options.memory_max_mib)?;
        ours.set_nonblocking(true).map_err(|error| error.to_string())?;
        let stream = UnixStream::from_std(ours).map_err(|error| error.to_string())?;
        let (mut reader, writer) = stream.into_split();
        let loaded = tokio::time::timeout(LOAD_PATIENCE, read_frame(&mut reader)).await;
        match loaded {
            Ok(Ok(Some(Frame { body: Some(Body::Loaded(loaded)) }))) if loaded.error.is_empty() => {
                tracing::debug!(plugin = %key, pid, abi = %format_args!("{}.{}", loaded.abi_major, loaded.abi_minor), "plugin loaded");
            }
            Ok(Ok(Some(Frame { body: Some(Body::Loaded(loaded)) }))) => return Err(loaded.error),
            Ok(Ok(_)) => return Err("its process ended while it was loaded".into()),
            Ok(Err(problem)) => return Err(problem),
            Err(_) => return Err(format!("it was not loaded within {LOAD_PATIENCE:?}")),
        }
        let shared = Arc::new(Shared::default());
        let (kill, killed) = oneshot::channel();
        let (reading, waiting, name) = (Arc::clone(&shared), Arc::clone(&shared), key.clone());
        let owner = key.clone();
        tasks.spawn(async move { receive(&owner, reader, &reading).await });
        tasks.spawn(async move { reap(&name, child, killed, &waiting).await });
        Ok(Self {
            shared,
            writer: AsyncMutex::new(writer),
            next_id: AtomicU64::new(1),
            pid,
            _tasks: tasks,
            kill: Mutex::new(Some(kill)),
        })
    }

    /// Whether it can still answer.
    pub(crate) fn is_alive(&self) -> bool {
        !self.shared.dead.load(Ordering::SeqCst)
    }

    /// Ends the process.
    pub(crate) fn kill(&self) {
        self.shared.bury();
        if let Some(kill) = self.kill.lock().take() {
            let _ = kill.send(());
        }
    }

    /// Carries a call. Dropping the future forgets the answer.
    pub(crate) async fn call(
        &self,
        method: u32,
        request: Vec<u8>,
        deadline: Duration,
    ) -> Result<Answer, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let frame = encode(Body::Call(Call { id, method, deadline_ms, request }))
            .ok_or(CallError::TooLong)?;
        let (answer, mut wait) = oneshot::channel();
        self.shared.waiting.lock().insert(id, answer);
        if !self.is_alive() {
            self.shared.waiting.lock().remove(&id);
            return Err(CallError::Gone);
        }
        let _forget = Forget { shared: &self.shared, id };
        self.send(&frame).await?;
        if let Ok(result) = tokio::time::timeout(deadline, &mut wait).await {
            return result.map_err(|_| CallError::Gone);
        }
        if let Some(cancel) = encode(Body::Cancel(id)) {
            self.send(&cancel).await?;
        }
        match tokio::time::timeout(CANCEL_GRACE, &mut wait).await {
            Ok(Ok(_)) => Err(CallError::Late),
            Ok(Err(_)) => Err(CallError::Gone),
            Err(_) => {
                self.kill();
                Err(CallError::Hung)
            }
        }
    }

    async fn send(&self, frame: &[u8]) -> Result<(), CallError> {
        let mut writer = self.writer.lock().await;
        // A child that does not read for this long has a full socket and a stuck reader.
        let sent = tokio::time::timeout(CANCEL_GRACE, writer.write_all(frame)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.kill();
            return Err(CallError::Gone);
        }
        Ok(())
    }
}

/// Removes a call whose caller went away.
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting.lock().remove(&self.id);
    }
}

fn spawn(options: &PluginOptions, socket: StdStream) -> Result<Child, String> {
    let mut command = Command::new(&options.program);
    command
        .arg(CHILD_ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in &options.environment {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.spawn().map_err(|error| {
        format!("its process can't be started ({}): {error}", options.program.display())
    })
}

fn pass_library(socket: &StdStream, file: &PluginFile, memory_mib: u64) -> Result<(), String> {
    let header: [u8; HEADER_BYTES] = memory_mib.to_be_bytes();
    let descriptors = [file.memory().as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(&header)], &mut ancillary, SendFlags::NOSIGNAL)
        .map(|_| ())
        .map_err(|error| format!("its library can't be handed over: {error}"))
}

async fn read_frame(reader: &mut OwnedReadHalf) -> Result<Option<Frame>, String> {
    let Ok(length) = reader.read_u32().await else { return Ok(None) };
    if length as usize > FRAME_BYTES_MAX {
        return Err(format!("it sent a frame of {length} bytes"));
    }
    let mut bytes = vec![0; length as usize];
    if reader.read_exact(&mut bytes).await.is_err() {
        return Ok(None);
    }
    let frame = Frame::decode(bytes.as_slice());
    frame.map(Some).map_err(|error| format!("it sent garbage: {error}"))
}

async fn receive(key: &ProviderKey, reader: OwnedReadHalf, shared: &Shared) {
    let mut reader = reader;
    loop {
        match read_frame(&mut reader).await {
            Ok(Some(Frame { body: Some(Body::Answer(answer)) })) => {
                let waiting = shared.waiting.lock().remove(&answer.id);
                if let Some(waiting) = waiting {
                    // The caller may have gone away meanwhile.
                    let _ = waiting.send(answer);
                }
            }
            Ok(Some(Frame { body: Some(Body::Log(log)) })) => log_line(key, log.level, &log.json),
            Ok(Some(_)) => {
                tracing::warn!(plugin = %key, "the plugin's process sent a frame that is not its to send");
                break;
            }
            Ok(None) => break,
            Err(problem) => {
                tracing::warn!(plugin = %key, problem, "the plugin's process can't be understood");
                break;
            }
        }
    }
    shared.bury();
}

async fn reap(key: &ProviderKey, mut child: Child, killed: oneshot::Receiver<()>, shared: &Shared) {
    let status: Option<ExitStatus> = tokio::select! {
        status = child.wait() => status.ok(),
        _ = killed => {
            let _ = child.kill().await;
            child.wait().await.ok()
        }
    };
    shared.bury();
    let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
    tracing::warn!(plugin = %key, status, "the plugin's process ended");
}

async fn log_stderr(key: &ProviderKey, stderr: tokio::process::ChildStderr) {
    let mut lines = BufReader::new(stderr.take(u64::MAX)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let shown: String = line.chars().take(STDERR_LINE_BYTES_MAX).collect();
        tracing::warn!(plugin = %key, "{shown}");
    }
}

fn log_line(key: &ProviderKey, level: u32, json: &str) {
    let fields: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let message = fields["message"].as_str().unwrap_or_default();
    match level {
        1 => tracing::error!(plugin = %key, fields = json, "{message}"),
        2 => tracing::warn!(plugin = %key, fields = json, "{message}"),
        3 => tracing::info!(plugin = %key, fields = json, "{message}"),
        _ => tracing::debug!(plugin = %key, fields = json, "{message}"),
    }
}
