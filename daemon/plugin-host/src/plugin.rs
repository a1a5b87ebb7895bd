//! A plugin as the engine sees it: a provider that is sometimes between two processes.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use landlord_core::{
    Timestamp,
    ports::{ProviderHealth, ProviderKey},
};
use landlord_provider_api::{
    ErrorKind, Method, ProviderError,
    abi::{STATUS_ERROR, STATUS_OK},
    v1,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tracing::Instrument as _;

use crate::{
    Measurements, PluginFile, PluginOptions,
    attempts::Attempts,
    connection::{CallError, Connection, StartError},
    credentials::CredentialSource,
    output_limits,
};

/// Restarts that are not waited for: a single crash costs nothing but its calls.
const FREE_RESTARTS: u32 = 1;
/// First wait after that; doubles with each crash.
const RESTART_WAIT: Duration = Duration::from_millis(100);
/// Longest wait: a plugin that crashes at every call is tried twice a minute.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(30);
/// The remedy of a library that can't be loaded.
const REPLACE_PLUGIN: &str =
    "the operator gives the provider a library that fits this machine and this daemon, and restarts the daemon";
/// A child that lived this long is not counted among those that keep crashing.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// A plugin with its credential scope.
#[derive(Debug)]
pub struct Plugin {
    key: ProviderKey,
    file: PluginFile,
    configure: Mutex<v1::ConfigureRequest>,
    credentials: Option<CredentialSource>,
    /// How often the credentials were replaced: a process that was configured before is used by no new call.
    renewals: AtomicU64,
    options: PluginOptions,
    slots: Semaphore,
    description: OnceLock<v1::DescribeResponse>,
    /// Held while a child is started, so that one is.
    starting: AsyncMutex<()>,
    state: Mutex<State>,
    measurements: Measurements,
    attempts: Attempts,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// Of which credentials it knows.
    configured: u64,
    started: Option<(Instant, Timestamp)>,
    starts: u64,
    /// Crashes in a row.
    crashes: u32,
    not_before: Option<Instant>,
    last_problem: String,
}

impl Plugin {
    /// A plugin that is not started yet. The port of the endpoint that it is configured for is granted to its sandbox.
    #[must_use]
    pub fn new(
        key: ProviderKey,
        file: PluginFile,
        configure: v1::ConfigureRequest,
        mut options: PluginOptions,
    ) -> Self {
        options.sandbox.grant_endpoint(&configure.endpoint_override);
        let slots = Semaphore::new(options.calls_max.max(1) as usize);
        Self {
            key,
            file,
            configure: Mutex::new(configure),
            credentials: None,
            renewals: AtomicU64::new(0),
            options,
            slots,
            description: OnceLock::new(),
            starting: AsyncMutex::new(()),
            state: Mutex::new(State::default()),
            measurements: Measurements::default(),
            attempts: Attempts::default(),
        }
    }

    /// With credentials that may be replaced while the daemon runs: they are read again when a cloud refuses them.
    #[must_use]
    pub fn renewed_by(mut self, credentials: CredentialSource) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Reads the credentials again; whether they are others than before. The next call then starts a new process with them;
    /// calls under way end in the old one.
    pub fn renew_credentials(&self) -> bool {
        let Some(source) = &self.credentials else { return false };
        match source.read() {
            Ok(read) if read == self.configure.lock().credential_json => false,
            Ok(read) => {
                self.configure.lock().credential_json = read;
                self.renewals.fetch_add(1, Ordering::SeqCst);
                tracing::info!(plugin = %self.key, "the credentials were replaced; the plugin is started with the new ones");
                true
            }
            Err(problem) => {
                tracing::warn!(plugin = %self.key, problem, "the credentials can't be read again; the old ones stay");
                false
            }
        }
    }

    /// With figures that others read.
    #[must_use]
    pub fn measured(mut self, measurements: Measurements) -> Self {
        self.measurements = measurements;
        self
    }

    /// Starts the process, configures the plugin and reads its description.
    ///
    /// # Errors
    /// TRANSIENT: it can't be started now. INVALID: the library can't be loaded, or it refuses its configuration.
    pub async fn start(&self) -> Result<(), ProviderError> {
        self.connection().await.map(|_| ())
    }

    /// The description, once it was started.
    #[must_use]
    pub fn description(&self) -> Option<&v1::DescribeResponse> {
        self.description.get()
    }

    /// Why it never came up; `None` if it once did, or if no start has failed yet.
    pub(crate) fn start_failure(&self) -> Option<String> {
        let problem = self.state.lock().last_problem.clone();
        (self.description.get().is_none() && !problem.is_empty()).then_some(problem)
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> ProviderHealth {
        self.note_crash();
        let state = self.state.lock();
        let alive = state.connection.as_ref().filter(|connection| connection.is_alive());
        ProviderHealth {
            key: self.key.clone(),
            healthy: alive.is_some(),
            detail: match alive {
                Some(_) => "running".into(),
                None if state.last_problem.is_empty() => "not started".into(),
                None => state.last_problem.clone(),
            },
            path: self.file.path().display().to_string(),
            sha256: self.file.sha256().into(),
            pid: alive.map(|connection| connection.pid),
            restarts: state.starts.saturating_sub(1),
            ready_time: alive.and(state.started).map(|(_, time)| time),
            description: self.description.get().cloned(),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, ProviderError> {
        if let Some(connection) = self.alive() {
            return Ok(connection);
        }
        let _one = self.starting.lock().await;
        if let Some(connection) = self.alive() {
            return Ok(connection);
        }
        self.note_crash();
        if let Some(wait) = self.must_wait() {
            let state = self.state.lock();
            let problem = format!("plugin {} is down: {}", self.key, state.last_problem);
            return Err(ProviderError::new(ErrorKind::Transient, problem)
                .with_retry_after(wait)
                .with_remedy("see the daemon's log for why its process keeps ending"));
        }
        self.state.lock().starts += 1;
        self.measurements.started(&self.key);
        let renewals = self.renewals.load(Ordering::SeqCst);
        match self.bring_up().await {
            Ok(connection) => {
                let mut state = self.state.lock();
                state.started = Some((Instant::now(), SystemTime::now().into()));
                state.connection = Some(Arc::clone(&connection));
                state.configured = renewals;
                Ok(connection)
            }
            Err(error) => {
                let mut state = self.state.lock();
                state.crashes = state.crashes.saturating_add(1);
                // Its remedy is in the message: this is all that an operator sees of a plugin that never came up.
                state.last_problem = match error.remedy.as_str() {
                    "" => error.message.clone(),
                    remedy => format!("{}; {remedy}", error.message),
                };
                state.not_before = Some(Instant::now() + self.restart_wait(state.crashes));
                Err(error)
            }
        }
    }

    fn alive(&self) -> Option<Arc<Connection>> {
        let state = self.state.lock();
        let is_current = state.configured == self.renewals.load(Ordering::SeqCst);
        state.connection.clone().filter(|connection| is_current && connection.is_alive())
    }

    /// Counts the end of the last child, once.
    fn note_crash(&self) {
        let mut state = self.state.lock();
        let Some(ended) = state.connection.take_if(|connection| !connection.is_alive()) else {
            return;
        };
        let lived = state.started.map_or(Duration::ZERO, |(since, _)| since.elapsed());
        state.crashes =
            if lived >= HEALTHY_AFTER.mul_f64(self.options.time_scale) { 1 } else { state.crashes.saturating_add(1) };
        state.last_problem = format!("its process ended after {:.1} s: {}", lived.as_secs_f64(), ended.ending());
        state.not_before = Some(Instant::now() + self.restart_wait(state.crashes));
    }

    fn restart_wait(&self, crashes: u32) -> Duration {
        restart_wait(crashes).mul_f64(self.options.time_scale)
    }

    fn must_wait(&self) -> Option<Duration> {
        let not_before = self.state.lock().not_before?;
        let wait = not_before.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    async fn bring_up(&self) -> Result<Arc<Connection>, ProviderError> {
        let failed = |kind, problem: String| {
            ProviderError::new(kind, format!("plugin {}: {problem}", self.file.path().display()))
        };
        let started = Connection::start(&self.key, &self.file, &self.options, &self.measurements).await;
        let connection = started.map_err(|error| match error {
            StartError::Refused(problem) => failed(ErrorKind::Invalid, problem).with_remedy(REPLACE_PLUGIN),
            StartError::Down(problem) => failed(ErrorKind::Transient, problem),
        })?;
        let connection = Arc::new(connection);
        let description: v1::DescribeResponse =
            self.carry(&connection, Method::Describe, &v1::DescribeRequest {}).await?;
        let configure = self.configure.lock().clone();
        let _: v1::ConfigureResponse = self.carry(&connection, Method::Configure, &configure).await?;
        let _ = self.description.set(description);
        Ok(connection)
    }

    /// One call, in a span of its own: log lines of the call, the plugin's own among them, carry provider, call, attempt
    /// and tenant. `scope`: where the request says whom it is for; the plugin reads there which trace it is part of.
    pub(crate) async fn call<Q: Message, A: Message + Default>(
        &self,
        method: Method,
        mut request: Q,
        scope: impl Fn(&mut Q) -> Option<&mut v1::Scope> + Send,
    ) -> Result<A, ProviderError> {
        let tenant = scope(&mut request).map(|scope| scope.tenant_uid.clone()).unwrap_or_default();
        let tenant = tenant.as_str();
        let attempt = self.attempts.next(method, tenant);
        let span = tracing::info_span!(
            "call", otel.name = method.name(), otel.kind = "client", provider = %self.key, call = method.name(), attempt, "tenant.id" = tenant, outcome = tracing::field::Empty
        );
        if let Some(scope) = scope(&mut request) {
            scope.traceparent = span.in_scope(landlord_trace::traceparent).unwrap_or_default();
        }
        let response = self.measured_call(method, &request).instrument(span.clone()).await;
        let outcome = response.as_ref().map_or_else(|error: &ProviderError| error.kind.as_str(), |_| "ok");
        span.record("outcome", outcome);
        if response.is_ok() {
            self.attempts.succeeded(method, tenant);
        }
        response
    }

    async fn measured_call<Q: Message, A: Message + Default>(
        &self,
        method: Method,
        request: &Q,
    ) -> Result<A, ProviderError> {
        // Closed never: the semaphore lives as long as the plugin.
        let _slot = self.slots.acquire().await.map_err(|_| gone(method.name(), "shut down"))?;
        let used = self.renewals.load(Ordering::SeqCst);
        let first = self.attempt(method, request).await;
        // Whoever replaced a key expects that it is used: nobody has to restart the daemon for it. Another call may have
        // noticed it first.
        let is_refused = first.as_ref().is_err_and(|error| error.kind == ErrorKind::Auth);
        if is_refused && (self.renew_credentials() || self.renewals.load(Ordering::SeqCst) != used) {
            return self.attempt(method, request).await;
        }
        first
    }

    async fn attempt<Q: Message, A: Message + Default>(&self, method: Method, request: &Q) -> Result<A, ProviderError> {
        let connection = self.connection().await?;
        let began = Instant::now();
        let response = self.carry(&connection, method, request).await;
        let outcome = response.as_ref().map_or_else(|error: &ProviderError| error.kind.as_str(), |_| "ok");
        self.measurements.called(&self.key, method, outcome, began.elapsed());
        response
    }

    /// Carries bytes as they are, whatever they mean, and gives status and payload as they came: for tools that test how
    /// a plugin takes what it can't understand. `method` may be one that the contract does not have.
    ///
    /// # Errors
    /// TRANSIENT: no response came. INVALID: the request is longer than a frame.
    pub async fn exchange(&self, method: u32, request: Vec<u8>) -> Result<(u32, Vec<u8>), ProviderError> {
        let name = Method::from_number(method).map_or_else(|| format!("method {method}"), |m| m.name().to_owned());
        let connection = self.connection().await?;
        let deadline = self.options.call_deadline;
        let response = connection.call(method, request, deadline).await;
        response.map(|response| (response.status, response.payload)).map_err(|error| unanswered(&name, deadline, error))
    }

    async fn carry<Q: Message, A: Message + Default>(
        &self,
        connection: &Connection,
        method: Method,
        request: &Q,
    ) -> Result<A, ProviderError> {
        let deadline = self.options.call_deadline;
        let response = connection.call(method as u32, request.encode_to_vec(), deadline).await;
        let name = method.name();
        let response = response.map_err(|error| unanswered(name, deadline, error))?;
        let payload = response.payload.as_slice();
        let garbage = |problem: String| {
            // What can't be understood may come from a broken process: a new one is tried.
            let problem = format!("{name} got garbage: {problem}");
            connection.kill(problem.clone());
            ProviderError::new(ErrorKind::Internal, problem)
        };
        match response.status {
            STATUS_OK => A::decode(payload).map_err(|error| garbage(error.to_string())),
            STATUS_ERROR => match v1::Error::decode(payload) {
                Ok(error) => Err(output_limits::bounded(error.into())),
                Err(error) => Err(garbage(error.to_string())),
            },
            _ => {
                let panic = output_limits::problem(String::from_utf8_lossy(payload).into_owned());
                let problem = format!("{name} panicked in the plugin: {panic}");
                Err(ProviderError::new(ErrorKind::Internal, problem).with_remedy("report it to the plugin's authors"))
            }
        }
    }
}

fn gone(name: &str, how: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Transient, format!("the plugin's process ended during {name}: {how}"))
}

fn unanswered(name: &str, deadline: Duration, error: CallError) -> ProviderError {
    let transient = |problem: String| ProviderError::new(ErrorKind::Transient, problem);
    match error {
        CallError::Gone(how) => gone(name, &how),
        CallError::Late(took) => transient(format!(
            "{name} took longer than its deadline of {deadline:?}: it was cancelled, and ended after {took:.1?}"
        )),
        CallError::Hung(took) => transient(format!(
            "{name} hung: it neither responded within its deadline of {deadline:?} nor ended when it was cancelled; the \
             plugin's process was killed after {took:.1?}"
        )),
        CallError::TooLong => {
            ProviderError::new(ErrorKind::Invalid, format!("the request of {name} is longer than a frame"))
        }
    }
}

fn restart_wait(crashes: u32) -> Duration {
    if crashes <= FREE_RESTARTS {
        return Duration::ZERO;
    }
    let doublings = (crashes - FREE_RESTARTS - 1).min(16);
    RESTART_WAIT.saturating_mul(1 << doublings).min(RESTART_WAIT_MAX)
}
