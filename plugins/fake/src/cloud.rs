//! The cloud: a folder with one file a tenant, replaced atomically, and a journal of effects.
//!
//! One process at a time uses it. Time passes by the machine's clock: an object that was being
//! made when the process died is ready when its time has come.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use parking_lot::Mutex;

use crate::object::{Kind, Object};

/// Tenants on one page of an inventory.
const PAGE_TENANTS: usize = 100;

/// The cloud.
#[derive(Debug)]
pub struct Cloud {
    /// Held for the time of one change.
    state_dir: Mutex<PathBuf>,
}

/// What is wanted of one object.
pub(crate) struct Wanted<'a> {
    pub(crate) scope: &'a v1::Scope,
    pub(crate) kind: Kind,
    pub(crate) role: &'a str,
    pub(crate) spec: String,
    pub(crate) duration: Duration,
    /// Whether what is there already is searched for.
    pub(crate) observations: bool,
    /// Whether it gets markers.
    pub(crate) marked: bool,
}

/// How far an object is.
pub(crate) enum Stage {
    Ready,
    Pending(String),
    Gone,
}

impl Cloud {
    /// Opens or makes the cloud.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(state_dir: &Path) -> Result<Self, ProviderError> {
        fs::create_dir_all(state_dir.join("tenants")).map_err(|error| failure(&error))?;
        Ok(Self { state_dir: Mutex::new(state_dir.into()) })
    }

    pub(crate) fn ensure(&self, wanted: &Wanted<'_>) -> Result<Stage, ProviderError> {
        let scope = wanted.scope;
        self.change(&scope.tenant_uid, |objects, journal| {
            let now = now_ms();
            let ready_ms = now + ms(wanted.duration);
            let copies = objects.iter().filter(|o| o.kind == wanted.kind && o.role == wanted.role).count();
            let found = objects.iter_mut().find(|o| o.kind == wanted.kind && o.role == wanted.role);
            let found = found.filter(|_| wanted.observations);
            let object = match found {
                Some(object) if object.installation != scope.installation => {
                    return Err(not_ours(object));
                }
                Some(object) if object.gone_ms.is_some() => {
                    let problem = format!("{} is being deleted", object.name());
                    return Err(ProviderError::new(ErrorKind::Conflict, problem));
                }
                Some(object) => {
                    if object.spec != wanted.spec {
                        object.spec.clone_from(&wanted.spec);
                        object.ready_ms = ready_ms;
                        journal.push(("update", object.owned()));
                    }
                    object
                }
                None => {
                    let object = Object {
                        kind: wanted.kind,
                        role: wanted.role.into(),
                        installation: scope.installation.clone(),
                        tenant_uid: scope.tenant_uid.clone(),
                        region: scope.region.clone(),
                        spec: wanted.spec.clone(),
                        ready_ms,
                        gone_ms: None,
                        copy: copies,
                        unmarked: !wanted.marked,
                    };
                    journal.push(("create", object.owned()));
                    objects.push_mut(object)
                }
            };
            Ok(stage(object, now))
        })
    }

    pub(crate) fn observe(
        &self,
        scope: &v1::Scope,
        kind: Kind,
        role: &str,
    ) -> Result<(Stage, Vec<v1::OwnedObject>), ProviderError> {
        self.change(&scope.tenant_uid, |objects, _journal| {
            let ours: Vec<_> = objects.iter().filter(|object| is_meant(object, scope, kind, role)).collect();
            let now = now_ms();
            let mut overall = Stage::Gone;
            for object in &ours {
                overall = match (overall, stage(object, now)) {
                    (Stage::Pending(detail), _) | (_, Stage::Pending(detail)) => Stage::Pending(detail),
                    _ => Stage::Ready,
                };
            }
            Ok((overall, ours.into_iter().map(Object::owned).collect()))
        })
    }

    /// Requests the end of what is there, and says what that was.
    pub(crate) fn delete(
        &self,
        scope: &v1::Scope,
        kind: Kind,
        role: &str,
        duration: Duration,
    ) -> Result<(Stage, Vec<v1::OwnedObject>), ProviderError> {
        self.change(&scope.tenant_uid, |objects, journal| {
            let is_ours = |object: &&Object| object.installation == scope.installation;
            let blocking = objects.iter().filter(is_ours).find(|o| kind.dependents().contains(&o.kind));
            let is_there = objects.iter().any(|object| is_meant(object, scope, kind, role));
            if let Some(blocking) = blocking.filter(|_| is_there) {
                let problem = format!("the {} is in use by {}", kind.word(), blocking.name());
                return Err(ProviderError::new(ErrorKind::Conflict, problem));
            }
            let now = now_ms();
            let mut removed = Vec::new();
            for object in objects.iter_mut().filter(|o| is_meant(o, scope, kind, role)) {
                if object.gone_ms.is_none() {
                    object.gone_ms = Some(now + ms(duration));
                    journal.push(("delete", object.owned()));
                }
                removed.push(object.owned());
            }
            purge(objects, now);
            let left = objects.iter().find(|object| is_meant(object, scope, kind, role));
            Ok((left.map_or(Stage::Gone, |object| stage(object, now)), removed))
        })
    }

    /// An object that has the tenant's name and not our marker is an error.
    pub(crate) fn refuse_unmarked(&self, scope: &v1::Scope, kind: Kind, role: &str) -> Result<(), ProviderError> {
        self.change(&scope.tenant_uid, |objects, _journal| {
            let has_name = |o: &&Object| o.kind == kind && (role.is_empty() || o.role == role);
            match objects.iter().filter(has_name).find(|object| object.installation != scope.installation) {
                Some(object) => Err(not_ours(object)),
                None => Ok(()),
            }
        })
    }

    /// The cluster that a tenant's pools are in goes: a defect.
    pub(crate) fn lose_host(&self, scope: &v1::Scope) -> Result<(), ProviderError> {
        let uid = scope.host_cluster.trim_start_matches("landlord-").trim_end_matches("-cluster");
        if uid.is_empty() {
            return Ok(());
        }
        self.change(uid, |objects, journal| {
            let lost = objects.iter().filter(|object| object.kind == Kind::Cluster);
            journal.extend(lost.map(|object| ("delete", object.owned())));
            objects.retain(|object| object.kind != Kind::Cluster);
            Ok(())
        })
    }

    /// A page of what carries the installation's marker.
    pub(crate) fn list(&self, scope: &v1::Scope, page_token: &str) -> Result<v1::ListOwnedResponse, ProviderError> {
        let mut uids = if scope.tenant_uid.is_empty() { self.tenants()? } else { vec![scope.tenant_uid.clone()] };
        uids.sort();
        uids.retain(|uid| uid.as_str() > page_token);
        let more = uids.len() > PAGE_TENANTS;
        uids.truncate(PAGE_TENANTS);
        let mut objects = Vec::new();
        for uid in &uids {
            objects.extend(self.change(uid, |objects, _journal| {
                let ours = objects.iter().filter(|o| o.installation == scope.installation && !o.unmarked);
                Ok(ours.map(Object::owned).collect::<Vec<_>>())
            })?);
        }
        let next_page_token = uids.pop().filter(|_| more).unwrap_or_default();
        Ok(v1::ListOwnedResponse { objects, next_page_token })
    }

    fn tenants(&self) -> Result<Vec<String>, ProviderError> {
        let folder = self.state_dir.lock().join("tenants");
        let entries = fs::read_dir(folder).map_err(|error| failure(&error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect())
    }

    fn change<T>(
        &self,
        uid: &str,
        work: impl FnOnce(&mut Vec<Object>, &mut Vec<(&'static str, v1::OwnedObject)>) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        if uid.is_empty() || !uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            let problem = format!("the tenant's uid {uid:?} is none");
            return Err(ProviderError::new(ErrorKind::Invalid, problem));
        }
        let state_dir = self.state_dir.lock();
        let path = state_dir.join("tenants").join(format!("{uid}.json"));
        let stored = read(&path).map_err(|error| failure(&error))?;
        let mut objects = stored.clone();
        purge(&mut objects, now_ms());
        let mut journal = Vec::new();
        let result = work(&mut objects, &mut journal)?;
        if objects != stored {
            note(&state_dir, &journal).and_then(|()| write(&path, &objects)).map_err(|e| failure(&e))?;
        }
        Ok(result)
    }
}

fn not_ours(object: &Object) -> ProviderError {
    ProviderError::new(ErrorKind::NameTaken, format!("{} exists and is not ours", object.name()))
        .with_remedy("remove it or give it to this installation")
}

fn is_meant(object: &Object, scope: &v1::Scope, kind: Kind, role: &str) -> bool {
    object.installation == scope.installation && object.kind == kind && (role.is_empty() || object.role == role)
}

fn stage(object: &Object, now: u64) -> Stage {
    if object.gone_ms.is_some() {
        Stage::Pending(format!("{} is being deleted", object.name()))
    } else if now < object.ready_ms {
        Stage::Pending(format!("{} is being made", object.name()))
    } else {
        Stage::Ready
    }
}

fn purge(objects: &mut Vec<Object>, now: u64) {
    objects.retain(|object| object.gone_ms.is_none_or(|gone_ms| now < gone_ms));
}

fn read(path: &Path) -> io::Result<Vec<Object>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, objects: &[Object]) -> io::Result<()> {
    if objects.is_empty() {
        return fs::remove_file(path);
    }
    let temporary = path.with_extension("new");
    fs::write(&temporary, serde_json::to_vec(objects)?)?;
    fs::rename(temporary, path)
}

/// Appends to the journal, before the effect: an entry without effect can only be the last one
/// of a process that was killed.
fn note(state_dir: &Path, journal: &[(&'static str, v1::OwnedObject)]) -> io::Result<()> {
    let mut lines = Vec::new();
    for (action, object) in journal {
        let line = serde_json::json!({
            "time_ms": now_ms(), "action": action, "type": object.r#type, "id": object.id,
            "tenant_uid": object.tenant_uid,
        });
        writeln!(lines, "{line}")?;
    }
    let path = state_dir.join("journal.jsonl");
    fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(&lines)
}

fn failure(error: &io::Error) -> ProviderError {
    let problem = format!("the fake cloud's folder can't be used: {error}");
    ProviderError::new(ErrorKind::Internal, problem).with_remedy("check `state_dir`")
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

fn now_ms() -> u64 {
    ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
