//! Verify by use: what a stack declares under `checks`, done as its customer would: from outside through the Gateway, or
//! where its address can't be reached from the daemon, through the API server's port-forward.
//!
//! # Expected flow
//! `Checks::run` does all of them, one after another, and gives a result for each. What depends on one that failed is not
//! run, and says so.
//!
//! # Guarantees
//! Nothing of the customer's is read or changed: the checks have accounts of their own, which see a folder and a knowledge
//! base of their own. What they put they take away; what a killed run leaves behind the file server deletes by itself.
//! Passwords are in no message, argument or environment.
//!
//! # Assumptions
//! The stack's accounts for checks see nothing else; that is the charts' to see to.

mod chat;
mod closed;
mod files;
mod names;
mod request;
mod route;
#[cfg(test)]
mod tests;
mod tls;
mod web;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use landlord_core::{
    TenantUid,
    ports::{CheckOutcome, CheckResult, DeployTarget},
};
use landlord_kube::{Doing as _, Result, client::ClusterClients};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    check::{Account, Chat, Check, ServicePort, Use},
    render,
    stack::Manifest,
};
use chat::Conversation;
use names::Names;
use route::Route;
use tls::Trust;
use web::Web;

/// All checks of a tenant together: below the deadline of a stage's call.
const RUN_TIMEOUT: Duration = Duration::from_secs(240);
/// Tenants whose checks run at the same moment: they wait for chatbots, and others' work must find its turn meanwhile.
const RUNS_MAX: usize = 16;
/// How long a run waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);
/// A wrong password is tried at most this often: file servers lock out who is wrong too often.
const WRONG_PASSWORD_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// How checks reach what they use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Whether public addresses and names are used from the daemon's network; else everything goes through API servers.
    pub from_outside: bool,
    /// DNS server that names are asked of; `None`: the machine's own resolver.
    pub resolver: Option<SocketAddr>,
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
    turns: Semaphore,
    /// Ports of public addresses that are not the usual ones: in tests.
    ports: BTreeMap<u16, u16>,
    /// When a wrong password was last refused.
    refused: Mutex<HashMap<TenantUid, Instant>>,
}

/// What one check came to.
#[derive(Debug)]
enum Ended {
    Passed(String),
    Failed { cause: String, remedy: String },
    NotRun(String),
}

impl Ended {
    fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), remedy: remedy.into() }
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

/// What the checks of one run work on, and what they find out on the way.
struct Scene<'a> {
    options: &'a CheckOptions,
    clients: &'a ClusterClients,
    target: &'a DeployTarget,
    manifest: &'a Manifest,
    namespace: &'a str,
    names: Names,
    ports: &'a BTreeMap<u16, u16>,
    /// Address by record, of entry points that have one.
    addresses: BTreeMap<String, String>,
    /// What `${…}` stands for: keys of Secrets, and what requests kept.
    known: BTreeMap<String, String>,
    routes: BTreeMap<(String, u16), Result<Route, String>>,
    trust: Option<Arc<Trust>>,
    /// Different for each run, so that what one has left is nothing to the next.
    code: u32,
}

impl Scene<'_> {
    /// Text with references to what is known replaced.
    fn fill(&self, text: &str) -> String {
        replace(&render::replace(text, self.target), &self.known)
    }

    /// A name of a file of this run.
    fn file(&self, what: &str, suffix: &str) -> String {
        format!("{what}-{}.{suffix}", self.code)
    }

    /// What the files of this run are about.
    fn subject(&self) -> String {
        format!("the lamp in room {}", self.code)
    }

    /// What stands in them, and nowhere else.
    fn sentence(&self) -> String {
        format!("The lamp in room {0} is switched on with the code {0}.\n", self.code)
    }

    fn host(&self, record: &str) -> String {
        format!("{record}.{}", self.target.spec.domain.as_str())
    }

    /// Records of entry points that are served by https and have an address.
    fn https_records(&self) -> impl Iterator<Item = &str> {
        let https = self.manifest.entry_points.iter().filter(|entry| entry.endpoint.url.starts_with("https://"));
        https.map(|entry| entry.record.as_str()).filter(|record| self.addresses.contains_key(*record))
    }

    fn trust(&mut self) -> Result<Arc<Trust>, String> {
        if let Some(trust) = &self.trust {
            return Ok(Arc::clone(trust));
        }
        let trust = Arc::new(Trust::load(self.options.trusted_ca.as_deref())?);
        Ok(Arc::clone(self.trust.insert(trust)))
    }

    /// How an entry point is reached, found out once in a run.
    async fn route(&mut self, record: &str, port: u16) -> Result<Route, String> {
        let key = (record.to_owned(), port);
        if let Some(known) = self.routes.get(&key) {
            return known.clone();
        }
        let found = self.find_route(record, port).await;
        self.routes.insert(key, found.clone());
        found
    }

    async fn find_route(&self, record: &str, port: u16) -> Result<Route, String> {
        let address = self.addresses.get(record);
        let mut outside = format!("{record} has no address");
        if let Some(address) = address.filter(|_| self.options.from_outside) {
            let port = self.ports.get(&port).copied().unwrap_or(port);
            match route::public(&self.names, address, port).await {
                Ok(route) => return Ok(route),
                Err(why) => outside = why,
            }
        }
        let entry = self.manifest.entry_points.iter().find(|entry| entry.record == record);
        let forward = match (entry.and_then(|entry| entry.service.as_deref()), address) {
            (Some(service), _) => route::pod(&self.clients.admin, self.namespace, service, port).await,
            (None, Some(address)) => route::behind(&self.clients.admin, address, port).await,
            (None, None) => Err("the Gateway has no address".into()),
        };
        forward.map_err(|why| match self.options.from_outside {
            true => {
                format!("{} is reached neither from outside ({outside}) nor by port-forward ({why})", self.host(record))
            }
            false => format!("{} is not reached by port-forward: {why}", self.host(record)),
        })
    }

    /// A port of one of the stack's Services.
    async fn pod(&self, service: &ServicePort) -> Result<Route, String> {
        route::pod(&self.clients.admin, self.namespace, &service.name, service.port).await
    }

    /// An https entry point; where its Gateway has no address or can't be reached, the Service behind it, without TLS.
    async fn web(&mut self, record: &str, service: Option<&ServicePort>) -> Result<Web, String> {
        let (client, host) = (self.clients.admin.clone(), self.host(record));
        let unreached = match self.route(record, 443).await {
            Ok(route) => {
                let tls = Some(Arc::clone(&self.trust()?.config));
                return Ok(Web { client, route, tls, host });
            }
            Err(why) => why,
        };
        let Some(service) = service else { return Err(unreached) };
        let route = self.pod(service).await.map_err(|why| format!("{unreached}; {why}"))?;
        Ok(Web { client, route, tls: None, host })
    }
}

/// References to what is known, replaced.
fn replace(text: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

/// One result to come.
enum Row<'a> {
    One(&'a Check),
    SignsIn(&'a Check, &'a Chat),
    Knows(&'a Check, &'a Chat),
    Answers(&'a Check, &'a Chat),
}

impl Row<'_> {
    fn check(&self) -> &Check {
        match self {
            Self::One(check) | Self::SignsIn(check, _) | Self::Knows(check, _) | Self::Answers(check, _) => check,
        }
    }

    fn name(&self) -> String {
        let name = &self.check().name;
        match self {
            Self::One(_) => name.clone(),
            Self::SignsIn(..) => format!("{name}-signs-in"),
            Self::Knows(..) => format!("{name}-knows-the-file"),
            Self::Answers(..) => format!("{name}-answers"),
        }
    }

    /// Results without which this one says nothing.
    fn needs(&self) -> Vec<String> {
        match self {
            Self::One(_) | Self::SignsIn(..) => Vec::new(),
            Self::Knows(check, chat) => vec![format!("{}-signs-in", check.name), chat.files.clone()],
            Self::Answers(check, _) => vec![format!("{}-knows-the-file", check.name)],
        }
    }
}

fn rows(manifest: &Manifest) -> Vec<Row<'_>> {
    let last = |check: &&Check| matches!(check.uses, Use::WrongPassword(_));
    let first = manifest.checks.iter().filter(|check| !last(check));
    let ordered = first.chain(manifest.checks.iter().filter(last));
    let rows = ordered.flat_map(|check| match &check.uses {
        Use::Chat(chat) => vec![Row::SignsIn(check, chat), Row::Knows(check, chat), Row::Answers(check, chat)],
        Use::Names {}
        | Use::Certificates { .. }
        | Use::Sftp(_)
        | Use::Webdav(_)
        | Use::Closed(_)
        | Use::WrongPassword(_)
        | Use::Http(_) => vec![Row::One(check)],
    });
    rows.collect()
}

impl Checks {
    pub(crate) fn new(options: CheckOptions) -> Self {
        Self { options, turns: Semaphore::new(RUNS_MAX), ports: BTreeMap::new(), refused: Mutex::default() }
    }

    /// A result for each check; `None`: too many others run theirs.
    pub(crate) async fn run(
        &self,
        clients: &ClusterClients,
        target: &DeployTarget,
        manifest: &Manifest,
        addresses: BTreeMap<String, String>,
    ) -> Result<Option<Vec<CheckResult>>> {
        if manifest.checks.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Ok(Ok(_turn)) = timeout(TURN_TIMEOUT, self.turns.acquire()).await else { return Ok(None) };
        let namespace = render::namespace(target, manifest);
        let mut scene = Scene {
            options: &self.options,
            clients,
            target,
            manifest,
            namespace,
            names: Names { resolver: self.options.resolver, port: self.ports.get(&53).copied() },
            ports: &self.ports,
            addresses,
            known: secrets(clients, namespace, manifest).await?,
            routes: BTreeMap::new(),
            trust: None,
            code: rand::random_range(10_000..1_000_000),
        };
        Ok(Some(self.all(&mut scene).await))
    }

    async fn all(&self, scene: &mut Scene<'_>) -> Vec<CheckResult> {
        let (started, mut results) = (Instant::now(), Vec::<CheckResult>::new());
        let mut conversation = Conversation::default();
        for row in rows(scene.manifest) {
            let begun = Instant::now();
            let left = RUN_TIMEOUT.saturating_sub(started.elapsed());
            let ended = match not_to_run(scene, &row, &results) {
                Some(why) => Ended::NotRun(why),
                None => timeout(left, self.one(scene, &row, &mut conversation)).await.unwrap_or_else(|_| {
                    let cause = format!("no end within the {} s that all checks have", RUN_TIMEOUT.as_secs());
                    Ended::failed(cause, "see what the checks before it waited for")
                }),
            };
            results.push(result(row.name(), ended, begun.elapsed()));
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
            Use::Certificates { days_min } => tls::run(scene, *days_min).await,
            Use::Sftp(account) => files::sftp(scene, account).await,
            Use::Webdav(account) => files::webdav(scene, account).await,
            Use::Closed(ports) => closed::run(scene, ports).await,
            Use::Http(request) => request::run(scene, request).await,
            Use::WrongPassword(account) => self.wrong_password(scene, account).await,
            Use::Chat(_) => Ended::NotRun("it has results of its own".into()),
        }
    }

    async fn wrong_password(&self, scene: &mut Scene<'_>, account: &Account) -> Ended {
        let uid = scene.target.uid;
        if let Some(at) = self.refused.lock().get(&uid).filter(|at| at.elapsed() < WRONG_PASSWORD_INTERVAL) {
            return Ended::Passed(format!("tried {} s ago", at.elapsed().as_secs()));
        }
        let ended = files::wrong_password(scene, account).await;
        let mut refused = self.refused.lock();
        refused.retain(|_, at| at.elapsed() < WRONG_PASSWORD_INTERVAL);
        if matches!(ended, Ended::Passed(_)) {
            refused.insert(uid, Instant::now());
        }
        ended
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
fn not_to_run(scene: &Scene<'_>, row: &Row<'_>, results: &[CheckResult]) -> Option<String> {
    let check = row.check();
    if scene.target.skip_checks.contains(&check.name) {
        return Some("the class orders it to be left out".into());
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
    let (outcome, detail, remedy) = match ended {
        Ended::Passed(detail) => (CheckOutcome::Passed, detail, String::new()),
        Ended::Failed { cause, remedy } => (CheckOutcome::Failed, cause, remedy),
        Ended::NotRun(why) => (CheckOutcome::NotRun, why, String::new()),
    };
    CheckResult { name, outcome, detail, remedy, duration }
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
