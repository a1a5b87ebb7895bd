//! The same as `objects` for a cloud that gives ids instead of taking names, whose lists lag, and whose work may end in error
//! after it was taken: the markers find an object again, an idempotency key keeps a repeated create from making a second one,
//! and an object that failed is reported, removed and recreated.

use std::collections::BTreeMap;

use landlord_provider_api::{ErrorKind, MARKER_INSTALLATION, MARKER_ROLE, MARKER_TENANT_UID, ProviderError, v1};
use landlord_provider_sdk::{
    markers,
    operation::{Observed, Operations},
    progress::{self, Outcome, pending, ready},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cloud::{Cloud, Object, Page, Result, kind_of},
    objects::{LABELS, POLL_AFTER_S, Place, owned},
};

/// Attempts of one order: each object that failed or went uses up a key.
const ATTEMPTS_MAX: u32 = 32;
/// Pages of one listing; past it the listing is broken, not long.
const PAGES_MAX: usize = 50;
/// As the checkpoint calls what a stage works on.
const WORK: &str = "object";

/// What a change gives back: the object as it is now, and the operation that works on it.
#[derive(Deserialize)]
struct Begun {
    object: Object,
    operation: String,
}

/// How an operation stands.
#[derive(Deserialize)]
struct Operation {
    state: String,
    code: String,
    message: String,
}

/// The key of an order's `attempt`: the same create has the same key again, also from another process.
fn key(place: &Place<'_>, attempt: u32) -> String {
    format!("{}-{}-{attempt}", place.scope.tenant_uid, place.role)
}

/// All objects of ours in this role, the oldest first, and the first attempt whose key made nothing yet. A list may not show
/// what was made a moment ago, so the keys are looked up, too; what has our markers without one of our keys only the list shows.
async fn find(cloud: &Cloud, place: &Place<'_>) -> Result<(Vec<Object>, u32)> {
    let scope = place.scope;
    let labels = [
        (MARKER_INSTALLATION, scope.installation.as_str()),
        (MARKER_TENANT_UID, scope.tenant_uid.as_str()),
        (MARKER_ROLE, place.role),
    ];
    let (mut found, mut page) = (BTreeMap::new(), String::new());
    for at in 1.. {
        let Page { items, next } = cloud.list(&labels, &page).await?;
        found.extend(items.into_iter().map(|object| (object.id.clone(), object)));
        if next.is_empty() {
            break;
        }
        if at == PAGES_MAX {
            let problem = format!("the list of {} has no last page", place.collection);
            return Err(ProviderError::new(ErrorKind::Internal, problem));
        }
        page = next;
    }
    for attempt in 0..ATTEMPTS_MAX {
        let made: Option<Object> = cloud.call(Method::GET, &format!("keys/{}", key(place, attempt)), None).await?;
        match made {
            None => return Ok((found.into_values().collect(), attempt)),
            Some(gone) if gone.state == "GONE" => {}
            Some(object) => {
                found.insert(object.id.clone(), object);
            }
        }
    }
    let problem = format!("{} of {} was made {ATTEMPTS_MAX} times and did not stay", place.collection, place.role);
    Err(ProviderError::new(ErrorKind::Conflict, problem).with_remedy("find out who keeps deleting it, then retry"))
}

/// Makes the object exist as `spec` says. Never waits; gives it once it is ready.
pub(crate) async fn ensure(
    cloud: &Cloud,
    place: &Place<'_>,
    spec: &Value,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<Object>)> {
    let earlier = Operations::read(checkpoint);
    if earlier.observe(WORK, |operation| observe_operation(cloud, operation)).await?.is_running() {
        let detail = format!("{} of {} is under way", place.collection, place.role);
        return Ok((pending(POLL_AFTER_S, detail).or_checkpoint(checkpoint), None));
    }
    let (mut found, attempt) = find(cloud, place).await?;
    // Two creates at once, or a key that was lost: the oldest stays, whoever compares.
    for surplus in found.drain(1.min(found.len())..) {
        remove(cloud, &surplus).await?;
    }
    let Some(object) = found.pop() else { return create(cloud, place, spec, attempt).await };
    match object.state.as_str() {
        "FAILED" => Err(failed(cloud, &object).await?),
        "DELETING" => {
            let problem = format!("{} {} is still being deleted", object.collection, object.id);
            Err(ProviderError::new(ErrorKind::Conflict, problem))
        }
        "READY" if object.spec != *spec => {
            let path = format!("objects/{}", object.id);
            begun(cloud.call(Method::PATCH, &path, Some(json!({ "spec": spec }))).await?)
        }
        "READY" => Ok((ready(), Some(object))),
        state => Ok((pending(POLL_AFTER_S, format!("{} {} is {state}", object.collection, object.id)), None)),
    }
}

/// One observation of the operation of an earlier call. Whether it failed the object reports, also without a checkpoint.
async fn observe_operation(cloud: &Cloud, operation: String) -> Result<Observed<ProviderError>> {
    // It comes from outside, and becomes a part of a path.
    if !operation.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(Observed::Unknown);
    }
    let seen: Option<Operation> = cloud.call(Method::GET, &format!("operations/{operation}"), None).await?;
    Ok(match seen {
        None => Observed::Unknown,
        Some(Operation { state, code, message }) => match state.as_str() {
            "RUNNING" => Observed::Running { retry_after: None },
            "FAILED" => Observed::Failed(problem_of(&operation, &code, &message)),
            _ => Observed::Done,
        },
    })
}

async fn create(cloud: &Cloud, place: &Place<'_>, spec: &Value, attempt: u32) -> Result<(Outcome, Option<Object>)> {
    let labels = markers::with_labels(place.scope, place.role, &LABELS);
    let key = key(place, attempt);
    let body = json!({ "key": key, "collection": place.collection, "labels": labels, "spec": spec });
    begun(cloud.call(Method::POST, "objects", Some(body)).await?)
}

fn begun(begun: Begun) -> Result<(Outcome, Option<Object>)> {
    let Begun { object, operation } = begun;
    if object.state == "READY" {
        return Ok((ready(), Some(object)));
    }
    let detail = format!("{} {} is {}", object.collection, object.id, object.state);
    Ok((Operations::one(WORK, &operation).pending(POLL_AFTER_S, detail), None))
}

/// Why an object failed. It never comes up: it goes, so that the next call makes another one.
async fn failed(cloud: &Cloud, object: &Object) -> Result<ProviderError> {
    remove(cloud, object).await?;
    let text = |key: &str| object.failure.as_ref().and_then(|failure| failure[key].as_str()).unwrap_or_default();
    Ok(problem_of(&format!("{} {}", object.collection, object.id), text("code"), text("message")))
}

/// What an object ended in after its order was taken. What no row knows is repeated: the next attempt may fare better.
fn problem_of(what: &str, code: &str, message: &str) -> ProviderError {
    let status = match code {
        "quota" => 403,
        "no_capacity" => 503,
        _ => 500,
    };
    let (kind, remedy) = kind_of(status, code);
    ProviderError::new(kind, format!("{what} failed: {message}")).with_code(code).with_remedy(remedy)
}

/// Requests an object's end, unless it was requested.
async fn remove(cloud: &Cloud, object: &Object) -> Result<()> {
    if object.state == "DELETING" {
        return Ok(());
    }
    cloud.call::<Option<Begun>>(Method::DELETE, &format!("objects/{}", object.id), None).await.map(drop)
}

fn unready(object: &Object) -> Option<String> {
    (object.state != "READY").then(|| format!("{} {} is {}", object.collection, object.id, object.state))
}

/// What is there of ours. Changes nothing.
pub(crate) async fn observe(cloud: &Cloud, place: &Place<'_>) -> Result<v1::ObserveResponse> {
    let (found, _) = find(cloud, place).await?;
    let (outcome, objects) = progress::observed(&found, |object| owned(place.scope, object), unready, POLL_AFTER_S);
    Ok(v1::ObserveResponse { progress: Some(outcome.progress(Vec::new())), objects })
}

/// Makes every object of the role absent. An id is nobody else's: what lost its markers is not found, and not ours.
pub(crate) async fn delete(cloud: &Cloud, place: &Place<'_>) -> Result<v1::Progress> {
    let (found, _) = find(cloud, place).await?;
    for object in &found {
        remove(cloud, object).await?;
    }
    let waiting = |object: &Object| Some(format!("{} {} is being deleted", object.collection, object.id));
    let (outcome, removed) = progress::observed(&found, |object| owned(place.scope, object), waiting, POLL_AFTER_S);
    Ok(outcome.progress(removed))
}
