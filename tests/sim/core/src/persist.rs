//! The state on disk: one JSON file, replaced whole, so that a restarted simulator goes on where it was.
//!
//! Instants are wall-clock, so what fell due while it was down happens at once on loading.

use crate::{
    clock::Micros,
    cloud::Clouds,
    error::Error,
    quota::Quotas,
    schedule::Step,
    scope::Scope,
    scope_key::ScopeKey,
    world::{Work, World},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::HashMap, fs, io::Write, path::Path};

const FILE: &str = "cloudsim-state.json";

#[derive(Serialize)]
struct Snapshot<'a> {
    seed: u64,
    ids: u64,
    journal_seq: u64,
    scopes: Vec<&'a Scope>,
    schedule: Vec<(Micros, ScopeKey, Step)>,
    quotas: &'a Quotas,
    work: Vec<&'a Work>,
    clouds: HashMap<&'static str, Value>,
}

#[derive(Default, Deserialize)]
struct Loaded {
    seed: u64,
    ids: u64,
    journal_seq: u64,
    scopes: Vec<Scope>,
    schedule: Vec<(Micros, ScopeKey, Step)>,
    quotas: Quotas,
    work: Vec<Work>,
    clouds: HashMap<String, Value>,
}

/// The state as it is written.
///
/// # Errors
/// None in practice: everything in it can be written as JSON.
pub(crate) fn snapshot(world: &World) -> std::io::Result<Vec<u8>> {
    let snapshot = Snapshot {
        seed: world.seed,
        ids: world.ids,
        journal_seq: world.journal.last_seq(),
        scopes: world.scopes.values().collect(),
        schedule: world.schedule.dump(),
        quotas: &world.quotas,
        work: world.work.values().collect(),
        clouds: world.states.save()?,
    };
    Ok(serde_json::to_vec(&snapshot)?)
}

/// Writes a snapshot in place of the one before.
///
/// # Errors
/// The disk's.
pub(crate) fn save(folder: &Path, snapshot: &[u8]) -> std::io::Result<()> {
    let partial = folder.join(format!("{FILE}.new"));
    let mut file = fs::File::create(&partial)?;
    file.write_all(snapshot)?;
    file.sync_all()?;
    fs::rename(partial, folder.join(FILE))
}

/// Reads the state if there is one and puts every cloud's own in place; gives the number of the last journal entry.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn load(folder: Option<&Path>, world: &mut World, clouds: &Clouds) -> Result<u64, Error> {
    let path = folder.map(|folder| folder.join(FILE)).unwrap_or_default();
    let stored = folder.map(|_| fs::read(&path)).transpose();
    let loaded: Option<Loaded> = match stored {
        Ok(None) => None,
        Ok(Some(bytes)) => {
            let read = serde_json::from_slice(&bytes);
            Some(read.map_err(|source| Error::State { path: path.clone(), source })?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::File { path, source }),
    };
    let fresh = loaded.is_none();
    let loaded = loaded.unwrap_or_default();
    let defaults = clouds.all().flat_map(|cloud| cloud.quotas()).copied().collect();
    world.quotas = loaded.quotas.with_defaults(defaults);
    for cloud in clouds.all() {
        let installed = cloud.install(&mut world.states, &loaded.clouds);
        installed.map_err(|source| Error::State { path: path.clone(), source })?;
    }
    if fresh {
        return Ok(0);
    }
    world.seed = loaded.seed;
    world.ids = loaded.ids;
    for mut scope in loaded.scopes {
        scope.reindex();
        world.scopes.insert(scope.key.clone(), scope);
    }
    for (at, scope, step) in loaded.schedule {
        world.schedule.at(at, scope, step);
    }
    world.work = loaded.work.into_iter().map(|w| ((w.object.id.clone(), w.operation.clone()), w)).collect();
    Ok(loaded.journal_seq)
}
