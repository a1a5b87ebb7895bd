//! Verify by use: what a stack declares under `checks`, done as its customer would: from outside through the Gateway, or
//! where its address can't be reached from the daemon, through the API server's port-forward.
//!
//! # Expected flow
//! `Checks::run` does all of them, one after another, and gives a result for each. What depends on one that failed is not
//! run, and its result says so.
//!
//! # Guarantees
//! Nothing of the customer's is read or changed: the checks have accounts of their own, which see a folder and a knowledge
//! base of their own. What they put they take away; what a killed run leaves behind the next one that begins minutes later
//! removes, and a file server may delete it by itself before.
//! Passwords are in no message, argument or environment.
//!
//! # Assumptions
//! The stack's accounts for checks see nothing else; that is the charts' to see to.

mod attempt;
mod chat;
mod closed;
mod documents;
mod ended;
pub(crate) mod facts;
mod fence;
mod files;
mod image;
mod names;
mod request;
pub(crate) mod rotate;
mod route;
mod rows;
mod scene;
mod seldom;
#[cfg(test)]
mod tests;
mod tls;
mod unserved;
mod web;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use landlord_core::{
    ChecksFrom, TenantUid,
    ports::{AccessFacts, CheckOutcome, CheckResult, DeployTarget},
};
use landlord_kube::{Doing as _, Result, client::ClusterClients};
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    check::{Account, Chat, Check, Use},
    driver::Driver,
    render,
    stack::{Manifest, Stack},
};
use chat::Conversation;
use ended::Ended;
pub(crate) use names::{Names, Unknown};
pub(crate) use route::dial;
pub(crate) use rows::Extent;
use rows::{Row, rows};
use scene::Scene;
use seldom::Seldom;
#[cfg(test)]
pub(crate) use tests::target as test_target;
pub(crate) use tls::Trust;
use unserved::Unserved;

/// All checks of a tenant together: below the deadline of a stage's call.
const RUN_TIMEOUT: Duration = Duration::from_secs(240);
/// Tenants whose checks run at the same moment: they wait for chatbots, and others' work must find its turn meanwhile.
const RUNS_MAX: usize = 16;
/// All servers of a tenant are asked for what they prove themselves with: below the deadline of a call.
const FACTS_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a run waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);
/// Runs at the same moment that somebody requested.
const REQUESTED_MAX: usize = 4;

/// How checks reach what they use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Whether public addresses and names are used from the daemon's network; else everything goes through API servers.
    pub from_outside: bool,
    /// DNS server that resolves names; `None`: the machine's own resolver.
    pub resolver: Option<SocketAddr>,
    /// HTTP proxy (CONNECT) that public addresses are reached through; `None`: directly.
    pub proxy: Option<SocketAddr>,
    /// Networks that are connected to though they lie inside; through a proxy that one decides.
    pub allowed: Vec<IpNet>,
    /// PEM file of certificate authorities that are trusted beside the machine's own. Read at each run.
    pub trusted_ca: Option<PathBuf>,
    /// OpenSSH's `sftp`.
    pub sftp_path: PathBuf,
    /// Folder for a session's private files, for as long as it lasts.
    pub runs: PathBuf,
}

/// Runs checks.
pub(crate) struct Checks {
    options: CheckOptions,
    /// Renders releases: what checks run is what these run.
    driver: Arc<dyn Driver>,
    turns: Semaphore,
    /// Runs that somebody requested have turns of their own: they keep nobody from READY.
    requested: Semaphore,
    /// Tenants whose servers are asked for facts, one question each; and their turns: servers that never respond hold up
    /// nobody's checks.
    asking: Mutex<HashSet<TenantUid>>,
    asked: Semaphore,
    /// Tenants whose checks run: two runs would lock each other out by their wrong passwords.
    running: Mutex<HashSet<TenantUid>>,
    /// Ports of public addresses that are not the usual ones: in tests.
    ports: BTreeMap<u16, u16>,
    /// What is not done with each run.
    seldom: Seldom,
    /// Whoever waits for its Gateway.
    unserved: Unserved,
}

/// Who has checks run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// The daemon, before READY and with every resync.
    Reconciling,
    /// Somebody who signed in.
    Request,
}

/// A tenant's run, as long as it lasts.
struct Running<'a>(&'a Mutex<HashSet<TenantUid>>, TenantUid);

impl<'a> Running<'a> {
    fn begin(all: &'a Mutex<HashSet<TenantUid>>, uid: TenantUid) -> Option<Self> {
        all.lock().insert(uid).then_some(Self(all, uid))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// How far one check is.
enum Step {
    Ended(Ended),
    Waiting { detail: String, poll_after: Duration },
}

impl From<Ended> for Step {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// References to what is known, replaced.
fn replace(text: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

impl Checks {
    pub(crate) fn new(options: CheckOptions, driver: Arc<dyn Driver>) -> Self {
        Self {
            options,
            driver,
            turns: Semaphore::new(RUNS_MAX),
            requested: Semaphore::new(REQUESTED_MAX),
            asking: Mutex::default(),
            asked: Semaphore::new(REQUESTED_MAX),
            running: Mutex::default(),
            ports: BTreeMap::new(),
            seldom: Seldom::default(),
            unserved: Unserved::default(),
        }
    }

    /// An environment's Gateway does not serve its names now: whether it is time to see why.
    pub(crate) fn is_overdue(&self, target: &DeployTarget) -> bool {
        self.unserved.is_overdue(target.uid)
    }

    /// It serves them.
    pub(crate) fn is_served(&self, target: &DeployTarget) {
        self.unserved.over(target.uid);
    }

    /// A result for each check; `None`: too many others run theirs, or this tenant's run already.
    pub(crate) async fn run(
        &self,
        (by, extent): (By, Extent<'_>),
        clients: &ClusterClients,
        target: &DeployTarget,
        stack: &Stack,
        addresses: BTreeMap<String, String>,
    ) -> Result<Option<Vec<CheckResult>>> {
        let manifest = &stack.manifest;
        if manifest.checks.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Some(_running) = Running::begin(&self.running, target.uid) else { return Ok(None) };
        let turns = match by {
            By::Reconciling => &self.turns,
            By::Request => &self.requested,
        };
        let Ok(Ok(_turn)) = timeout(TURN_TIMEOUT, turns.acquire()).await else { return Ok(None) };
        let scene = self.scene(clients, target, manifest, addresses);
        let known = secrets(clients, scene.namespace, manifest).await?;
        let mut scene = Scene { by, stack: Some(stack), known, outside_only: self.outside_only(target), ..scene };
        Ok(Some(self.all(&mut scene, extent).await))
    }

    /// Whether a tenant is READY only when its addresses are reached from outside.
    pub(crate) fn outside_only(&self, target: &DeployTarget) -> bool {
        self.options.from_outside && target.checks_from == ChecksFrom::Outside
    }

    /// What one run works on; no Secret was read for it.
    fn scene<'a>(
        &'a self,
        clients: &'a ClusterClients,
        target: &'a DeployTarget,
        manifest: &'a Manifest,
        addresses: BTreeMap<String, String>,
    ) -> Scene<'a> {
        Scene {
            by: By::Reconciling,
            options: &self.options,
            driver: &*self.driver,
            stack: None,
            clients,
            target,
            manifest,
            namespace: render::namespace(target, manifest),
            names: Names { resolver: self.options.resolver, port: self.ports.get(&53).copied(), resolv_conf: None },
            ports: &self.ports,
            addresses,
            known: BTreeMap::new(),
            routes: BTreeMap::new(),
            // What somebody is to know of an environment is found out by whatever way there is.
            outside_only: false,
            inside: BTreeMap::new(),
            used: BTreeSet::new(),
            trust: None,
            began: UnixTime::now().as_secs(),
            code: rand::random_range(10_000..1_000_000),
            sent: 0,
        }
    }

    /// What a customer needs to know of its servers; `None`: too many others ask at this moment.
    pub(crate) async fn facts(
        &self,
        clients: &ClusterClients,
        target: &DeployTarget,
        manifest: &Manifest,
        addresses: BTreeMap<String, String>,
    ) -> Option<AccessFacts> {
        let _asking = Running::begin(&self.asking, target.uid)?;
        let Ok(Ok(_turn)) = timeout(TURN_TIMEOUT, self.asked.acquire()).await else { return None };
        let mut scene = self.scene(clients, target, manifest, addresses);
        timeout(FACTS_TIMEOUT, facts::facts(&mut scene)).await.ok()
    }

    async fn all(&self, scene: &mut Scene<'_>, extent: Extent<'_>) -> Vec<CheckResult> {
        let (started, mut results) = (Instant::now(), Vec::<CheckResult>::new());
        let mut conversation = Conversation::default();
        for row in rows(scene.manifest) {
            let begun = Instant::now();
            let left = RUN_TIMEOUT.saturating_sub(started.elapsed());
            scene.used.clear();
            let ended = match not_to_run(scene, &row, &results, extent) {
                Some(why) => Ended::NotRun(why),
                None => {
                    timeout(left, row.traced(self.one(scene, &row, &mut conversation))).await.unwrap_or_else(|_| {
                        let cause = format!("no end within the {} s that all checks have", RUN_TIMEOUT.as_secs());
                        Ended::failed(cause, "see what the checks before it waited for")
                    })
                }
            };
            let ended = scene.seen_from(ended);
            results.push(scene.redacted(result(row.name(), ended, begun.elapsed())));
        }
        self.tidy_up(scene, &mut conversation).await;
        results
    }

    async fn one(&self, scene: &mut Scene<'_>, row: &Row<'_>, conversation: &mut Conversation) -> Ended {
        loop {
            let step = match row {
                Row::One(check) => self.single(scene, check).await.into(),
                Row::SignsIn(_, chat) => chat::sign_in(scene, chat, conversation).await,
                Row::Knows(_, chat) => match webdav_of(scene.manifest, chat) {
                    Some(account) => chat::knows(scene, chat, account, conversation).await,
                    None => Ended::NotRun(format!("there is no check {}", chat.files)).into(),
                },
                Row::Answers(_, chat) => chat::answers(scene, chat, conversation).await,
            };
            match step {
                Step::Ended(ended) => return ended,
                Step::Waiting { detail, poll_after } => {
                    tracing::debug!(check = row.name(), detail, "waiting");
                    tokio::time::sleep(poll_after).await;
                }
            }
        }
    }

    async fn single(&self, scene: &mut Scene<'_>, check: &Check) -> Ended {
        match &check.uses {
            Use::Names {} => names::run(scene).await,
            Use::Certificates { days_min, days_warn } => tls::run(scene, *days_min, *days_warn).await,
            Use::Sftp(account) => files::sftp(scene, account).await,
            Use::Webdav(account) => files::webdav(scene, account).await,
            Use::Documents(service) => documents::run(scene, service).await,
            Use::Closed(ports) => closed::run(scene, ports).await,
            Use::Http(request) => request::run(scene, request).await,
            Use::WrongPassword(account) => self.seldom.wrong_password(scene, &check.name, account).await,
            Use::Attempt(attempt) => self.seldom.attempt(scene, &check.name, attempt).await,
            Use::Chat(_) => Ended::NotRun("it has results of its own".into()),
        }
    }

    /// The file that the chatbot was asked about. If this fails the file server deletes it by itself.
    async fn tidy_up(&self, scene: &mut Scene<'_>, conversation: &mut Conversation) {
        let Some(file) = conversation.put.take() else { return };
        let chat = scene.manifest.checks.iter().find_map(|check| match &check.uses {
            Use::Chat(chat) => webdav_of(scene.manifest, chat),
            _ => None,
        });
        let Some(account) = chat else { return };
        let deleted = match files::Webdav::open(scene, account).await {
            Ok(webdav) => webdav.delete(&file).await,
            Err(why) => Err(why),
        };
        if let Err(why) = deleted {
            tracing::warn!(tenant = %scene.target.name, file, why, "a probe is left to the file server");
        }
    }
}

fn webdav_of<'a>(manifest: &'a Manifest, chat: &Chat) -> Option<&'a Account> {
    manifest.checks.iter().find_map(|check| match &check.uses {
        Use::Webdav(account) if check.name == chat.files => Some(account),
        _ => None,
    })
}

/// Why a check is not run.
fn not_to_run(scene: &Scene<'_>, row: &Row<'_>, results: &[CheckResult], extent: Extent<'_>) -> Option<String> {
    let check = row.check();
    if scene.target.skip_checks.contains(&check.name) {
        return Some("the class orders it to be left out".into());
    }
    if let Some(why) = extent.leaves_out(scene.target, &check.uses) {
        return Some(why);
    }
    let failed =
        |name: &String| results.iter().any(|result| result.name == *name && result.outcome != CheckOutcome::Passed);
    if let Some(name) = row.needs().iter().find(|name| failed(name)) {
        return Some(format!("it needs {name}"));
    }
    let any = results.iter().any(|result| result.outcome == CheckOutcome::Failed);
    let wrong = matches!(check.uses, Use::WrongPassword(_));
    (wrong && any).then(|| "it is tried only when all others pass".into())
}

fn result(name: String, ended: Ended, duration: Duration) -> CheckResult {
    let (outcome, detail, remedy, concern) = match ended {
        Ended::Passed(detail) => (CheckOutcome::Passed, detail, String::new(), None),
        Ended::Warned { detail, remedy, concern } => (CheckOutcome::Passed, detail, remedy, concern),
        Ended::Failed { cause, remedy, concern } => (CheckOutcome::Failed, cause, remedy, concern),
        Ended::NotRun(why) => (CheckOutcome::NotRun, why, String::new(), None),
    };
    CheckResult { name, outcome, detail, remedy, duration, concern }
}

/// Keys of the stack's Secrets, as `SECRET.KEY`.
async fn secrets(clients: &ClusterClients, namespace: &str, manifest: &Manifest) -> Result<BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for secret in &manifest.secrets {
        let secrets: Api<Secret> = Api::namespaced(clients.admin.clone(), namespace);
        let found =
            secrets.get_opt(&secret.name).await.doing(|| format!("reading secret {namespace}/{}", secret.name))?;
        for (key, value) in found.and_then(|found| found.data).unwrap_or_default() {
            known.insert(format!("{}.{key}", secret.name), String::from_utf8_lossy(&value.0).into_owned());
        }
    }
    Ok(known)
}
