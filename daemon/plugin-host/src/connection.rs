//! One running child as the daemon sees it: the socket, the calls in flight, its end.

use std::{
    collections::HashMap,
    os::unix::net::UnixStream as StdStream,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use landlord_core::ports::ProviderKey;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Child,
    sync::{Mutex as AsyncMutex, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Measurements, PluginFile, PluginOptions,
    frame::{Body, Call, FRAME_BYTES_MAX, Frame, Loaded, Response, encode},
    output_limits::{self, LINE_BYTES_MAX, Lines},
    spawn::{hand_over, log_output, spawn},
};

/// Loading a library of a hundred MiB on a busy machine takes seconds.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A cancelled call may still respond for this long; then the child is taken for hung.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Between the socket's end and the news of how the process ended; it is usually there first.
const REAP_TIMEOUT: Duration = Duration::from_millis(200);
/// Frames of callers that went away may wait for a child that does not read: a few of the longest, then it is taken for hung.
const UNSENT_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// Why a child did not come up, in words for the operator.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The library, or the sandbox that it is to be loaded in, is refused: it never comes up as it is.
    Refused(String),
    /// It may come up another time.
    Down(String),
}

impl From<String> for StartError {
    fn from(problem: String) -> Self {
        Self::Down(problem)
    }
}

/// How a call did not succeed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The child died, or was killed, before it responded: how.
    Gone(String),
    /// It did not respond in time, not even to the cancellation: it was killed, after this time.
    Hung(Duration),
    /// It did not respond in time, and ended the call when cancelled, after this time.
    Late(Duration),
    /// The request is longer than a frame.
    TooLong,
}

/// A running child. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    outbox: AsyncMutex<Outbox>,
    next_id: AtomicU64,
    pub(crate) pid: u32,
    /// Reader, log lines and the wait for the process; they end with the connection.
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Response>>>,
    /// Set once nobody will respond any more; the process is killed then, if it still runs.
    dead: CancellationToken,
    /// How it ended.
    ending: OnceLock<String>,
}

impl Shared {
    /// Nobody will respond any more. The first cause stays.
    fn mark_dead(&self, cause: impl Into<String>) {
        let _ = self.ending.set(cause.into());
        self.dead.cancel();
        self.waiting.lock().clear();
    }

    fn ending(&self) -> String {
        self.ending.get().cloned().unwrap_or_else(|| "it ended".into())
    }
}

/// The writing half. A frame whose sender went away in the middle is finished by the next
/// sender, so that no frame is ever torn.
#[derive(Debug)]
struct Outbox {
    writer: OwnedWriteHalf,
    unsent: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Whether there is room for another frame behind those that wait.
    fn takes(&self, frame: &[u8]) -> bool {
        self.unsent.len() - self.sent + frame.len() <= UNSENT_BYTES_MAX
    }

    async fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.unsent.drain(..self.sent);
        self.sent = 0;
        self.unsent.extend_from_slice(frame);
        while self.sent < self.unsent.len() {
            self.sent += self.writer.write(&self.unsent[self.sent..]).await?;
        }
        // Given back: the longest frame is a thousand times the usual one, and some hold secrets.
        self.unsent = Vec::new();
        self.sent = 0;
        Ok(())
    }
}

impl Connection {
    /// Starts a child with the checked library.
    ///
    /// # Errors
    /// Why it did not come up.
    pub(crate) async fn start(
        key: &ProviderKey,
        file: &PluginFile,
        options: &PluginOptions,
        measurements: &Measurements,
    ) -> Result<Self, StartError> {
        let (ours, theirs) = StdStream::pair().map_err(|error| error.to_string())?;
        let mut child = spawn(options, theirs)?;
        let pid = child.id().unwrap_or_default();
        let mut tasks = JoinSet::new();
        let lines = Arc::new(Lines::new());
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            let (out, error) = ((key.clone(), Arc::clone(&lines)), (key.clone(), Arc::clone(&lines)));
            tasks.spawn(async move { log_output(&out.0, &out.1, "stdout", stdout).await });
            tasks.spawn(async move { log_output(&error.0, &error.1, "stderr", stderr).await });
        }
        // The child reads at once, or never.
        ours.set_write_timeout(Some(CANCEL_GRACE)).map_err(|error| error.to_string())?;
        let ours = hand_over(ours, file, options).await?;
        ours.set_nonblocking(true).map_err(|error| error.to_string())?;
        let stream = UnixStream::from_std(ours).map_err(|error| error.to_string())?;
        let (mut reader, writer) = stream.into_split();
        let log_sink = LogSink { key: key.clone(), measurements: measurements.clone(), lines };
        match tokio::time::timeout(LOAD_TIMEOUT, read_loaded(&log_sink, &mut reader)).await {
            Ok(Ok(Some(loaded))) if loaded.error.is_empty() => {
                let abi = format_args!("{}.{}", loaded.abi_major, loaded.abi_minor);
                tracing::debug!(plugin = %key, pid, %abi, "plugin loaded");
            }
            Ok(Ok(Some(loaded))) => return Err(StartError::Refused(output_limits::problem(loaded.error))),
            Ok(Ok(None)) => {
                let status = tokio::time::timeout(REAP_TIMEOUT, child.wait()).await;
                let how = status.ok().and_then(Result::ok).map(|status| status.to_string());
                let how = how.unwrap_or_else(|| "it closed its socket".into());
                return Err(format!("its process ended while it was loaded: {how}").into());
            }
            Ok(Err(problem)) => return Err(problem.into()),
            Err(_) => return Err(format!("it hung while it was loaded: not done within {LOAD_TIMEOUT:?}").into()),
        }
        let shared = Arc::new(Shared::default());
        let (reading, waiting) = (Arc::clone(&shared), Arc::clone(&shared));
        let name = key.clone();
        tasks.spawn(async move { receive(&log_sink, reader, &reading).await });
        tasks.spawn(async move { reap(&name, child, &waiting).await });
        let outbox = AsyncMutex::new(Outbox { writer, unsent: Vec::new(), sent: 0 });
        Ok(Self { shared, outbox, next_id: AtomicU64::new(1), pid, _tasks: tasks })
    }

    /// Whether it can still response.
    pub(crate) fn is_alive(&self) -> bool {
        !self.shared.dead.is_cancelled()
    }

    /// How it ended, once it did.
    pub(crate) fn ending(&self) -> String {
        self.shared.ending()
    }

    /// Ends the process; the cause is what its health says afterwards.
    pub(crate) fn kill(&self, cause: impl Into<String>) {
        self.shared.mark_dead(cause);
    }

    /// Carries a call. Dropping the future forgets the response.
    pub(crate) async fn call(&self, method: u32, request: Vec<u8>, deadline: Duration) -> Result<Response, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let frame = encode(Body::Call(Call { id, method, deadline_ms, request })).ok_or(CallError::TooLong)?;
        let (response, mut wait) = oneshot::channel();
        self.shared.waiting.lock().insert(id, response);
        let _pending = PendingGuard { shared: &self.shared, id };
        if !self.is_alive() {
            return Err(self.gone());
        }
        let began = Instant::now();
        self.send(&frame).await?;
        if let Ok(result) = tokio::time::timeout(deadline, &mut wait).await {
            return result.map_err(|_| self.gone());
        }
        if let Some(cancel) = encode(Body::Cancel(id)) {
            self.send(&cancel).await?;
        }
        match tokio::time::timeout(CANCEL_GRACE, &mut wait).await {
            Ok(Ok(_)) => Err(CallError::Late(began.elapsed())),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => {
                let took = began.elapsed();
                self.kill(format!(
                    "it hung and was killed: a call with a deadline of {deadline:?} had no end after {took:.1?}"
                ));
                Err(CallError::Hung(took))
            }
        }
    }

    async fn send(&self, frame: &[u8]) -> Result<(), CallError> {
        let mut outbox = self.outbox.lock().await;
        if !outbox.takes(frame) {
            self.kill("it read nothing any more and was killed");
            return Err(self.gone());
        }
        // A child that does not read for this long has a full socket and a stuck reader.
        match tokio::time::timeout(CANCEL_GRACE, outbox.send(frame)).await {
            Ok(Ok(())) => return Ok(()),
            // It went away; how is known in a moment.
            Ok(Err(_)) => {
                let _ = tokio::time::timeout(REAP_TIMEOUT, self.shared.dead.cancelled()).await;
                self.kill("it closed its socket");
            }
            Err(_) => self.kill("it read nothing any more and was killed"),
        }
        Err(self.gone())
    }

    fn gone(&self) -> CallError {
        CallError::Gone(self.shared.ending())
    }
}

/// Removes a call whose caller went away.
struct PendingGuard<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for PendingGuard<'_> {
    fn drop(&mut self) {
        self.shared.waiting.lock().remove(&self.id);
    }
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

/// Where a plugin's own log lines and figures go.
struct LogSink {
    key: ProviderKey,
    measurements: Measurements,
    lines: Arc<Lines>,
}

/// The child's first words, after what the plugin logs while it is loaded.
async fn read_loaded(log_sink: &LogSink, reader: &mut OwnedReadHalf) -> Result<Option<Loaded>, String> {
    loop {
        match read_frame(reader).await? {
            Some(Frame { body: Some(Body::Loaded(loaded)) }) => return Ok(Some(loaded)),
            Some(Frame { body: Some(Body::Log(log)) }) => log_sink.log_line(log.level, &log.json),
            Some(_) => return Err("it sent something else before it was loaded".into()),
            None => return Ok(None),
        }
    }
}

async fn receive(log_sink: &LogSink, mut reader: OwnedReadHalf, shared: &Shared) {
    loop {
        match read_frame(&mut reader).await {
            Ok(Some(Frame { body: Some(Body::Response(response)) })) => {
                let waiting = shared.waiting.lock().remove(&response.id);
                if let Some(waiting) = waiting {
                    // The caller may have gone away meanwhile.
                    let _ = waiting.send(response);
                }
            }
            Ok(Some(Frame { body: Some(Body::Log(log)) })) => log_sink.log_line(log.level, &log.json),
            Ok(Some(Frame { body: Some(Body::Broken(problem)) })) => {
                return shared.mark_dead(output_limits::problem(problem));
            }
            Ok(Some(_)) => return shared.mark_dead("it sent a frame that is not its to send"),
            Ok(None) => {
                let _ = tokio::time::timeout(REAP_TIMEOUT, shared.dead.cancelled()).await;
                return shared.mark_dead("it closed its socket");
            }
            Err(problem) => return shared.mark_dead(problem),
        }
    }
}

async fn reap(key: &ProviderKey, mut child: Child, shared: &Shared) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = shared.dead.cancelled() => match child.start_kill() {
            Ok(()) => child.wait().await,
            Err(error) => Err(error),
        },
    };
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    shared.mark_dead(status.clone());
    tracing::warn!(plugin = %key, status, cause = shared.ending(), "the plugin's process ended");
}

impl LogSink {
    fn log_line(&self, level: u32, json: &str) {
        let key = &self.key;
        // A line that is cut is no JSON any more; it is shown as it is.
        let json = output_limits::shorten(json, LINE_BYTES_MAX);
        let fields: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        if let (Some(metric), Some(value)) = (fields["metric"].as_str(), fields["value"].as_f64())
            && self.measurements.own(key, metric, value)
        {
            // The figure says it all; at its rate a log line would drown the others.
            return;
        }
        let Some(left_out) = self.lines.admit(Instant::now()) else { return };
        let message = fields["message"].as_str().unwrap_or_default();
        match level {
            1 => tracing::error!(plugin = %key, fields = json, left_out, "{message}"),
            2 => tracing::warn!(plugin = %key, fields = json, left_out, "{message}"),
            3 => tracing::info!(plugin = %key, fields = json, left_out, "{message}"),
            _ => tracing::debug!(plugin = %key, fields = json, left_out, "{message}"),
        }
    }
}
