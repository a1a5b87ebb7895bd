//! The state on disk: one JSON file, replaced whole, so that a restarted simulator goes on where it was.
//!
//! Instants are wall-clock, so what fell due while it was down happens at once on loading.

use crate::{
    azure::state::AzureState,
    clock::Micros,
    quota::Quotas,
    schedule::Step,
    scope::Scope,
    sim::Error,
    world::{ScopeKey, Session, Work, World},
};
use serde::{Deserialize, Serialize};
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
    sessions: &'a HashMap<String, Session>,
    secrets: &'a HashMap<String, String>,
    external_ids: &'a HashMap<String, String>,
    work: Vec<&'a Work>,
    azure: &'a AzureState,
}

#[derive(Deserialize)]
struct Loaded {
    seed: u64,
    ids: u64,
    journal_seq: u64,
    scopes: Vec<Scope>,
    schedule: Vec<(Micros, ScopeKey, Step)>,
    quotas: Quotas,
    sessions: HashMap<String, Session>,
    secrets: HashMap<String, String>,
    external_ids: HashMap<String, String>,
    work: Vec<Work>,
    #[serde(default)]
    azure: AzureState,
}

/// The state as it is written.
///
/// # Errors
/// None in practice: everything in it can be written as JSON.
pub fn snapshot(world: &World) -> std::io::Result<Vec<u8>> {
    let snapshot = Snapshot {
        seed: world.seed,
        ids: world.ids,
        journal_seq: world.journal.last_seq(),
        scopes: world.scopes.values().collect(),
        schedule: world.schedule.dump(),
        quotas: &world.quotas,
        sessions: &world.sessions,
        secrets: &world.secrets,
        external_ids: &world.external_ids,
        work: world.work.values().collect(),
        azure: &world.azure,
    };
    Ok(serde_json::to_vec(&snapshot)?)
}

/// Writes a snapshot in place of the one before.
///
/// # Errors
/// The disk's.
pub fn save(folder: &Path, snapshot: &[u8]) -> std::io::Result<()> {
    let partial = folder.join(format!("{FILE}.new"));
    let mut file = fs::File::create(&partial)?;
    file.write_all(snapshot)?;
    file.sync_all()?;
    fs::rename(partial, folder.join(FILE))
}

/// Reads the state if there is one; gives the number of the last journal entry.
///
/// # Errors
/// A file that cannot be read.
pub fn load(folder: &Path, world: &mut World) -> Result<u64, Error> {
    let path = folder.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(Error::File { path, source }),
    };
    let loaded: Loaded = serde_json::from_slice(&bytes).map_err(|source| Error::State { path, source })?;
    world.seed = loaded.seed;
    world.ids = loaded.ids;
    for mut scope in loaded.scopes {
        scope.reindex();
        world.scopes.insert(scope.key.clone(), scope);
    }
    for (at, scope, step) in loaded.schedule {
        world.schedule.at(at, scope, step);
    }
    world.quotas = loaded.quotas;
    world.sessions = loaded.sessions;
    world.secrets = loaded.secrets;
    world.external_ids = loaded.external_ids;
    world.work = loaded.work.into_iter().map(|w| ((w.object.id.clone(), w.operation.clone()), w)).collect();
    world.azure = loaded.azure;
    Ok(loaded.journal_seq)
}
