//! One object of the network (VPC network, subnetwork, router): looked up by name and marker, made
//! when absent, followed while its operation runs.
//!
//! The name is the idempotency key: Compute Engine admits one object of a name. The request id
//! guards against a repetition of the same request. Google responds to a repeated id with the
//! operation of the first request for an hour, also when that one failed or its object was deleted
//! since; then the next id is taken, made from the finished operation.

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::operation::{Observed, Operations};
use serde_json::Value;

use crate::{
    action::{self, Action},
    compute::{Object, Operation},
    error::{Absent as _, Error, Result, is_taken},
    google::Google,
    markers,
    names::Names,
    progress::Outcome,
};

/// Finished operations passed over for one new request: an attempt a few minutes fills an hour.
const REPLAYS_MAX: usize = 24;

/// What a network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Network,
    Subnetwork,
    Router,
}

impl Kind {
    /// Value of `landlord-role`.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Subnetwork => "subnetwork",
            Self::Router => "router",
        }
    }

    /// As messages call it.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Network => "VPC network",
            Self::Subnetwork => "subnetwork",
            Self::Router => "Cloud Router",
        }
    }

    /// Type in the inventory, as Cloud Asset Inventory names it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Network => "compute.googleapis.com/Network",
            Self::Subnetwork => "compute.googleapis.com/Subnetwork",
            Self::Router => "compute.googleapis.com/Router",
        }
    }

    fn collection(self, region: &str) -> String {
        match self {
            Self::Network => "global/networks".to_owned(),
            Self::Subnetwork => format!("regions/{region}/subnetworks"),
            Self::Router => format!("regions/{region}/routers"),
        }
    }

    fn name(self, names: &Names) -> &str {
        match self {
            Self::Network | Self::Subnetwork => names.network(),
            Self::Router => names.router(),
        }
    }

    fn actions(self) -> (Action, Action, Action) {
        match self {
            Self::Network => (action::GET_NETWORK, action::INSERT_NETWORK, action::DELETE_NETWORK),
            Self::Subnetwork => (action::GET_SUBNETWORK, action::INSERT_SUBNETWORK, action::DELETE_SUBNETWORK),
            Self::Router => (action::GET_ROUTER, action::INSERT_ROUTER, action::DELETE_ROUTER),
        }
    }
}

/// Operations begun by earlier calls, from the checkpoint, by role of their object: a cache that spares asking for what is
/// under way, and the only way to hear early why one failed.
#[derive(Debug, Default)]
pub(crate) struct Flight(Operations);

impl Flight {
    /// Inspects the operations of the last call.
    ///
    /// # Errors
    /// The failure of one that failed, once.
    pub(crate) async fn read(google: &Google, scope: &v1::Scope, checkpoint: &[u8]) -> Result<Self> {
        let observation = |path: String| async move {
            let found = google.compute.operation(&scope.account, &path).await.or_absent()?;
            let Some(operation) = found else { return Ok(Observed::Unknown) };
            if !operation.is_done() {
                return Ok(Observed::Running { retry_after: None });
            }
            match operation.failure(action::GET_OPERATION, &path) {
                // One at a time: the next call returns the next one.
                Some(error) if google.is_news(&operation.name) => Err(error),
                _ => Ok(Observed::Done),
            }
        };
        let mut operations = Operations::read(checkpoint);
        operations.observe_all::<(), Error, _>(observation).await?;
        Ok(Self(operations))
    }

    /// Whether something is under way with this object.
    fn has(&self, kind: Kind) -> bool {
        self.0.has(kind.role())
    }

    fn add(&mut self, kind: Kind, operation: &Operation) {
        if !operation.is_done() && !operation.name.is_empty() {
            self.0.add(kind.role(), &operation.path());
        }
    }

    /// Under way, with the operations as the next call's checkpoint.
    pub(crate) fn pending(&self, poll_after_s: i64, detail: &str) -> Outcome {
        self.0.pending(poll_after_s, detail)
    }
}

/// Where an object stands.
#[derive(Debug)]
pub(crate) enum State {
    /// There, and ours.
    Present(Box<Object>),
    /// Requested.
    Begun,
}

/// Finds an object by name.
pub(crate) async fn find(google: &Google, scope: &v1::Scope, names: &Names, kind: Kind) -> Result<Option<Object>> {
    let path = format!("{}/{}", kind.collection(&scope.region), kind.name(names));
    google.compute.get(kind.actions().0, &scope.account, &path).await.or_absent()
}

/// Finds an object of ours; a foreign one is `None`.
pub(crate) async fn find_own(google: &Google, scope: &v1::Scope, names: &Names, kind: Kind) -> Result<Option<Object>> {
    let found = find(google, scope, names, kind).await?;
    Ok(found.filter(|o| markers::is_ours(scope, &o.markers())))
}

/// A part of the network that has the tenant's name and not our markers is an error.
pub(crate) async fn refuse_unmarked(google: &Google, scope: &v1::Scope, names: &Names) -> Result<()> {
    for kind in [Kind::Router, Kind::Subnetwork, Kind::Network] {
        let found = find(google, scope, names, kind).await?;
        if found.is_some_and(|object| !markers::is_ours(scope, &object.markers())) {
            return Err(markers::name_taken(kind.what(), kind.name(names)).into());
        }
    }
    Ok(())
}

/// Makes one object exist.
pub(crate) async fn ensure(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    kind: Kind,
    body: Value,
    flight: &mut Flight,
) -> Result<State> {
    if let Some(object) = find(google, scope, names, kind).await? {
        if !markers::is_ours(scope, &object.markers()) {
            return Err(markers::name_taken(kind.what(), kind.name(names)).into());
        }
        // It shows before its operation has ended, and may yet be taken back.
        return Ok(if flight.has(kind) { State::Begun } else { State::Present(Box::new(object)) });
    }
    if !flight.has(kind) {
        insert(google, scope, names, kind, &body, flight).await?;
    }
    Ok(State::Begun)
}

async fn insert(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    kind: Kind,
    body: &Value,
    flight: &mut Flight,
) -> Result<()> {
    let action = kind.actions().1;
    let collection = kind.collection(&scope.region);
    let mut salt = String::new();
    for _ in 0..REPLAYS_MAX {
        let id = names.request_id(kind.role(), &salt);
        let operation = match google.compute.insert(action, &scope.account, &collection, &id, body).await {
            Ok(operation) => operation,
            // Somebody was faster, or what it stands on is not ready yet: the next observation decides.
            Err(error) if is_taken(&error) || error.is_busy() => return Ok(()),
            Err(error) => return Err(error),
        };
        flight.add(kind, &operation);
        if !operation.is_done() {
            return Ok(());
        }
        match operation.failure(action, kind.name(names)) {
            Some(error) if google.is_news(&operation.name) => return Err(error),
            Some(_) => {}
            None if find(google, scope, names, kind).await?.is_some() => return Ok(()),
            None => {}
        }
        salt = operation.name;
    }
    let message = format!("{} {} was requested {REPLAYS_MAX} times within an hour", kind.what(), kind.name(names));
    Err(ProviderError::new(ErrorKind::Conflict, message).into())
}

/// What became of an object that is to go.
pub(crate) enum Removal {
    /// It is not there, or not ours.
    Absent,
    /// Its deletion was requested, with the object when this call did it.
    Going(Option<Box<Object>>),
    /// Something still uses it.
    Held(Error),
}

/// Makes one object be absent.
pub(crate) async fn delete(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    kind: Kind,
    flight: &mut Flight,
) -> Result<Removal> {
    let found = find_own(google, scope, names, kind).await?;
    if flight.has(kind) {
        // Its deletion, or a creation that will show it yet.
        return Ok(Removal::Going(None));
    }
    let Some(object) = found else {
        return Ok(Removal::Absent);
    };
    let path = format!("{}/{}", kind.collection(&scope.region), kind.name(names));
    match google.compute.delete(kind.actions().2, &scope.account, &path).await {
        Ok(operation) => match operation.failure(kind.actions().2, kind.name(names)) {
            Some(error) => Ok(Removal::Held(error)),
            None => {
                flight.add(kind, &operation);
                Ok(Removal::Going(Some(Box::new(object))))
            }
        },
        Err(error) if error.is_absent() => Ok(Removal::Going(Some(Box::new(object)))),
        Err(error) if error.is_busy() => Ok(Removal::Held(error)),
        Err(error) => Err(error),
    }
}

/// The inventory's view.
pub(crate) fn owned(scope: &v1::Scope, kind: Kind, object: &Object) -> v1::OwnedObject {
    markers::owned(kind.type_name(), &object.self_link, &object.name, &object.markers(), &scope.region)
}
