//! One run: the plugin, the cloud behind the proxy, the tenants that were made, and the calls to them. Every response is held
//! to the form that the contract requests, whatever the case is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::{Duration, Instant},
};

use landlord_plugin_host::Plugin;
use landlord_provider_api::{ErrorKind, ProviderError, TEARDOWN, v1};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use v1::{ResourceKind as Kind, progress::Outcome};

use crate::{
    config::Config,
    proxy::Proxy,
    session::Session,
    tenant::{Stage, Tenant},
};

/// Largest checkpoint, by the contract.
const CHECKPOINT_BYTES_MAX: usize = 16 << 10;
/// INTERNAL errors in a row that the daemon repeats, too, before it gives up.
const INTERNALS_MAX: u32 = 3;
/// First pause after an error; the daemon's own is longer, and a run is not to wait for it.
pub(crate) const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Why a case does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The plugin breaks the contract.
    Failed(String),
    /// It can't be judged here.
    Skipped(String),
}

/// A step of a case.
pub type Step<T = ()> = Result<T, Stop>;

/// Ends a case as failed.
macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::world::Stop::Failed(format!($($text)*))) };
}
pub(crate) use fail;

/// Whatever goes wrong outside the plugin fails the case as well: nothing was proved.
pub(crate) fn failed(problem: impl ToString) -> Stop {
    Stop::Failed(problem.to_string())
}

/// One observation of a stage or a delete.
#[derive(Debug)]
pub enum Observation {
    /// Ready or gone.
    Done,
    /// To be requested again.
    Wait {
        /// After this time.
        pause: Duration,
        /// What is waited for, or the error.
        why: String,
        /// The error's kind, if it is one.
        kind: Option<ErrorKind>,
    },
}

/// Where a case stood.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    calls: usize,
    effects: usize,
}

/// A run.
#[derive(Debug)]
pub struct World {
    /// What was configured.
    pub config: Config,
    /// The plugin's process.
    pub session: Session,
    /// What stands between plugin and cloud.
    pub proxy: Option<Proxy>,
    /// For hooks and the witness.
    pub client: reqwest::Client,
    /// Capabilities, as the first process reported them.
    pub(crate) offered: OnceLock<Vec<String>>,
    /// What a clean lifecycle makes.
    reference: OnceCell<Counts>,
    /// Tenants not yet taken down.
    tenants: Mutex<Vec<Tenant>>,
    /// Every error text and every token: secrets are searched for in the first, the second are secrets.
    errors: Mutex<Vec<String>>,
    tokens: Mutex<BTreeSet<String>>,
    /// Kinds of errors since the case began.
    kinds: Mutex<BTreeSet<&'static str>>,
}

/// Kinds of errors that the daemon handles by asking again.
pub(crate) fn is_retried(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Conflict | ErrorKind::Capacity | ErrorKind::Internal
    )
}

impl World {
    /// A run of `config` with `session` behind `proxy`.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn new(config: Config, session: Session, proxy: Option<Proxy>) -> Result<Self, String> {
        let client = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
        if let Some(proxy) = &proxy {
            proxy.on_kill(session.killer());
        }
        Ok(Self {
            config,
            session,
            proxy,
            client,
            offered: OnceLock::new(),
            reference: OnceCell::new(),
            tenants: Mutex::default(),
            errors: Mutex::default(),
            tokens: Mutex::default(),
            kinds: Mutex::default(),
        })
    }

    /// Takes a tenant down after the case at the latest.
    pub(crate) fn keep(&self, tenant: &Tenant) {
        self.tenants.lock().push(tenant.clone());
    }

    /// Tenants that are not known to be gone.
    pub fn leftover_tenants(&self) -> Vec<Tenant> {
        self.tenants.lock().clone()
    }

    /// Begins a case.
    pub fn begin(&self) {
        self.kinds.lock().clear();
        if let Some(proxy) = &self.proxy {
            proxy.set(crate::fault::Rule::None);
            proxy.reset();
        }
    }

    /// Kinds of errors since the case began.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.kinds.lock().iter().copied().collect()
    }

    /// All error texts of the run.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().clone()
    }

    /// Tokens that the plugin gave out.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.lock().iter().cloned().collect()
    }

    /// Keeps a token, to search for it in the log.
    pub fn note_token(&self, token: &str) {
        self.tokens.lock().insert(token.to_owned());
    }

    /// Keeps an error's text, and holds it to its form.
    pub fn note(&self, what: &str, error: &ProviderError) -> Step {
        self.kinds.lock().insert(error.kind.as_str());
        self.errors.lock().push(format!("{what}: {error} {} {}", error.remedy, error.code));
        if error.message.trim().is_empty() {
            fail!("{what} failed with {} and no message", error.kind.as_str());
        }
        Ok(())
    }

    /// Where the case stands.
    pub fn mark(&self) -> Mark {
        Mark { calls: self.proxy.as_ref().map_or(0, Proxy::count), effects: self.effects() }
    }

    /// Outside calls since a mark that may have changed something, in words.
    pub fn changes(&self, since: Mark) -> Vec<String> {
        let calls = self.proxy.as_ref().map(|proxy| proxy.since(since.calls)).unwrap_or_default();
        let mut changes: Vec<String> =
            calls.iter().filter(|call| call.mutating).map(crate::outside::Call::name).collect();
        let effects = self.effects().saturating_sub(since.effects);
        if effects > 0 {
            changes.push(format!("{effects} effects in the cloud's own file"));
        }
        changes
    }

    fn effects(&self) -> usize {
        let file = &self.config.outside.effects_file;
        if file.is_empty() { 0 } else { std::fs::read_to_string(file).map_or(0, |text| text.lines().count()) }
    }

    fn observe(
        &self,
        what: &str,
        result: Result<v1::Progress, ProviderError>,
        done: fn(&Outcome) -> bool,
    ) -> Step<Observation> {
        let progress = match result {
            Ok(progress) => progress,
            Err(error) => {
                self.note(what, &error)?;
                if !is_retried(error.kind) {
                    fail!("{what} failed: {error}");
                }
                let pause = error.retry_after.unwrap_or(ERROR_PAUSE);
                return Ok(Observation::Wait { pause, why: error.to_string(), kind: Some(error.kind) });
            }
        };
        match progress.outcome {
            Some(outcome) if done(&outcome) => Ok(Observation::Done),
            Some(Outcome::Pending(pending)) => {
                let pause = pending.poll_after.and_then(|after| Duration::try_from(after).ok());
                let Some(pause) = pause else {
                    fail!("{what} is pending and does not say when to ask again (poll_after)");
                };
                if pending.detail.trim().is_empty() {
                    fail!("{what} is pending and does not say for what (detail)");
                }
                Ok(Observation::Wait { pause, why: pending.detail, kind: None })
            }
            other => fail!("{what} got {other:?}"),
        }
    }

    /// One call of a stage by `plugin`; keeps status and checkpoint.
    pub async fn ensure_with(&self, plugin: &Plugin, tenant: &mut Tenant, stage: Stage) -> Step<Observation> {
        let what = format!("ensure {}", stage.word());
        let result = tenant.ensure(plugin, stage).await;
        if let Ok((progress, made)) = &result {
            let checkpoint = match &progress.outcome {
                Some(Outcome::Ready(ready)) => ready.checkpoint.clone(),
                Some(Outcome::Pending(pending)) => pending.checkpoint.clone(),
                _ => Vec::new(),
            };
            if checkpoint.len() > CHECKPOINT_BYTES_MAX {
                fail!("{what} gave a checkpoint of {} bytes, at most {CHECKPOINT_BYTES_MAX}", checkpoint.len());
            }
            let ready = matches!(progress.outcome, Some(Outcome::Ready(_)));
            if ready && !made.reports(stage) {
                fail!("{what} is ready and gives no status");
            }
            tenant.checkpoints.insert(stage, checkpoint);
            if ready {
                tenant.made.merge(made.clone());
            }
        }
        let result = result.map(|(progress, _)| progress);
        self.observe(&what, result, |outcome| matches!(outcome, Outcome::Ready(_)))
    }

    /// One call of a stage, with a fresh process after one that ended.
    pub async fn ensure(&self, tenant: &mut Tenant, stage: Stage) -> Step<Observation> {
        let plugin = self.plugin()?;
        let observation = self.ensure_with(&plugin, tenant, stage).await;
        self.mend(&plugin)?;
        observation
    }

    /// The plugin of now.
    pub fn plugin(&self) -> Step<std::sync::Arc<Plugin>> {
        Ok(self.session.plugin())
    }

    /// Replaces a process that ended. Not left to the host: it waits longer after each crash, and a run has many.
    pub fn mend(&self, plugin: &Plugin) -> Step {
        if plugin.health().pid.is_none() {
            self.session.fresh().map_err(failed)?;
        }
        Ok(())
    }

    /// Calls stages side by side until all are ready.
    pub async fn until_ready(&self, tenant: &mut Tenant, stages: &[Stage]) -> Step {
        let mut timeout = Timeout::new(&self.config);
        let mut left = stages.to_vec();
        while !left.is_empty() {
            let mut waits = Vec::new();
            for stage in left.clone() {
                match self.ensure(tenant, stage).await? {
                    Observation::Done => left.retain(|other| *other != stage),
                    wait @ Observation::Wait { .. } => waits.push(timeout.judge(stage.word(), wait)?),
                }
            }
            if let Some(pause) = waits.into_iter().min() {
                tokio::time::sleep(self.config.pause(pause)).await;
            }
        }
        Ok(())
    }

    /// The whole environment.
    pub async fn build(&self, tenant: &mut Tenant) -> Step {
        for wave in self.waves() {
            self.until_ready(tenant, &wave).await?;
        }
        Ok(())
    }

    /// Deletes one kind until it is gone; gives what was removed.
    pub async fn until_gone(&self, tenant: &Tenant, kind: Kind) -> Step<Vec<v1::OwnedObject>> {
        let what = format!("delete {}", word(kind));
        let mut timeout = Timeout::new(&self.config);
        let mut removed: BTreeMap<String, v1::OwnedObject> = BTreeMap::new();
        loop {
            let plugin = self.plugin()?;
            let result = tenant.delete(&plugin, kind).await;
            self.mend(&plugin)?;
            if let Ok(progress) = &result {
                removed.extend(progress.removed.iter().map(|object| (object.id.clone(), object.clone())));
            }
            match self.observe(&what, result, |outcome| matches!(outcome, Outcome::Gone(_)))? {
                Observation::Done => return Ok(removed.into_values().collect()),
                wait @ Observation::Wait { .. } => {
                    let pause = timeout.judge(&what, wait)?;
                    tokio::time::sleep(self.config.pause(pause)).await;
                }
            }
        }
    }

    /// Takes a tenant down as the daemon does, and waits until the inventory is empty.
    pub async fn take_down(&self, tenant: &Tenant) -> Step<Vec<v1::OwnedObject>> {
        let mut removed = Vec::new();
        for kind in TEARDOWN {
            removed.extend(self.until_gone(tenant, kind).await?);
        }
        self.expect_nothing(tenant).await?;
        self.tenants.lock().retain(|other| other.scope.tenant_uid != tenant.scope.tenant_uid);
        Ok(removed)
    }

    /// What was made for a tenant, as list_owned shows it: nothing can be proved by a plugin that makes nothing.
    pub async fn made(&self, tenant: &Tenant) -> Step<Counts> {
        let counts = self.settled(tenant).await?;
        if counts.is_empty() {
            fail!("every stage is ready, and list_owned shows nothing with our markers: nothing is proved by that");
        }
        Ok(counts)
    }

    /// What a lifecycle without faults makes; it is run once. Call it before setting a fault.
    pub async fn reference(&self) -> Step<&Counts> {
        self.reference
            .get_or_try_init(|| async {
                let mut tenant = self.tenant();
                self.build(&mut tenant).await?;
                let counts = self.made(&tenant).await?;
                self.take_down(&tenant).await?;
                Ok(counts)
            })
            .await
    }
}

/// Bounds the wait for one thing.
pub(crate) struct Timeout {
    since: Instant,
    longest: Duration,
    internals: u32,
}

impl Timeout {
    pub(crate) fn new(config: &Config) -> Self {
        Self { since: Instant::now(), longest: config.stage_timeout(), internals: 0 }
    }

    /// How long to wait, or that it was enough.
    pub(crate) fn judge(&mut self, what: &str, observation: Observation) -> Step<Duration> {
        let Observation::Wait { pause, why, kind } = observation else { return Ok(Duration::ZERO) };
        self.internals = if kind == Some(ErrorKind::Internal) { self.internals + 1 } else { 0 };
        if self.internals > INTERNALS_MAX {
            fail!("{what} keeps failing: {why}");
        }
        if self.since.elapsed() > self.longest {
            fail!("{what} was not done after {:?}; last received: {why}", self.longest);
        }
        Ok(pause)
    }
}

/// The word of a kind.
pub(crate) fn word(kind: Kind) -> String {
    kind.as_str_name().trim_start_matches("RESOURCE_KIND_").to_lowercase().replace('_', "-")
}

/// Objects by type and role.
pub type Counts = BTreeMap<String, usize>;
