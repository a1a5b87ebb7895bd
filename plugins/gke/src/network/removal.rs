//! Deleting and observing the tenant's network, from the scope alone.

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::table;

use super::{
    POLL_S,
    object::{self, Flight, Kind, Removal},
};
use crate::{
    error::{Error, Result},
    google::Google,
    leftovers,
    names::Names,
    progress::{self, Outcome},
};

/// What stands on what, the uppermost first.
const STEPS: [&[Kind]; 2] = [&[Kind::Router, Kind::Subnetwork], &[Kind::Network]];

/// Makes the network be absent.
pub(crate) async fn delete(
    google: &Google,
    scope: &v1::Scope,
    checkpoint: &[u8],
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let mut held = None;
    let mut flight = match Flight::read(google, scope, checkpoint).await {
        Ok(flight) => flight,
        // A deletion that failed late: what holds the object is searched for below.
        Err(error) => {
            held = Some(error);
            Flight::default()
        }
    };
    let (mut removed, mut waiting) = (Vec::new(), Vec::new());
    for step in STEPS {
        for kind in step {
            match object::delete(google, scope, &names, *kind, &mut flight).await? {
                Removal::Absent => {}
                Removal::Going(object) => {
                    removed.extend(object.map(|o| object::owned(scope, *kind, &o)));
                    waiting.push(kind.what());
                }
                Removal::Held(error) => {
                    waiting.push(kind.what());
                    held = Some(error);
                }
            }
        }
        if !waiting.is_empty() {
            break;
        }
    }
    if waiting.is_empty() {
        return Ok((Outcome::Gone, removed));
    }
    let what = waiting.join(" and ");
    match held {
        None => Ok((flight.pending(POLL_S, &format!("{what} {} is going", names.network())), removed)),
        Some(error) => sweep(google, scope, &what, error, flight, removed).await,
    }
}

/// Removes what may hold the network. Returns why it is held: as an error if nothing was found that
/// explains it.
async fn sweep(
    google: &Google,
    scope: &v1::Scope,
    what: &str,
    error: Error,
    flight: Flight,
    mut removed: Vec<v1::OwnedObject>,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let swept = leftovers::delete(google, scope, &[]).await?.1;
    let mut stated = ProviderError::from(error);
    if !swept.is_empty() || !removed.is_empty() {
        removed.extend(swept);
        let detail = format!("{what} could not be deleted ({}); trying again", stated.message);
        return Ok((flight.pending(POLL_S, &detail), removed));
    }
    stated.message = format!("{what} could not be deleted: {}", stated.message);
    if table::is_general(&stated.remedy) {
        "remove what was put into the tenant's network by hand; landlord tries again by itself"
            .clone_into(&mut stated.remedy);
    }
    // Whatever holds it may let go: no deletion is ever given up.
    if matches!(stated.kind, ErrorKind::Invalid | ErrorKind::Internal) {
        stated.kind = ErrorKind::Conflict;
    }
    Err(stated.into())
}

/// Observes.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let mut objects = Vec::new();
    for kind in STEPS.into_iter().flatten() {
        let found = object::find_own(google, scope, &names, *kind).await?;
        objects.extend(found.map(|o| object::owned(scope, *kind, &o)));
    }
    let outcome = match objects.len() {
        0 => Outcome::Gone,
        3 => progress::ready(),
        _ => progress::pending(POLL_S, "parts of the network are missing"),
    };
    Ok((outcome, objects))
}
