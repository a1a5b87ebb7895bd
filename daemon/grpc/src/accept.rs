//! The one path of every write: check, replay or refuse, dry run, commit.
//!
//! # Expected flow
//! 1. [`Write::check`] turns the message into a checked change, or into everything that is wrong with it.
//! 2. What is refused is searched for among earlier requests first: a repeated `request_id` gets the first response, also
//!    when the offer has changed since.
//! 3. With `validate_only`, [`Write::dry_run`] refuses what the store would refuse; nothing is written.
//! 4. [`Write::commit`] has the store accept it, and the engine is woken.
//!
//! # Guarantees
//! A change that was merged into a version which another change has replaced meanwhile is checked and merged again, unless
//! the client named an etag: no other change is overwritten.

use std::sync::Arc;

use landlord_core::{
    Catalog, Environment, EnvironmentName, Precondition, Violation,
    access::Resource,
    lifecycle::check_precondition,
    ports::{Accepted, Change, DeleteRequest, RequestContext, RequestScope, StoreError},
};
use landlord_proto::google::longrunning::{Operation, operation};
use tokio::sync::OwnedMutexGuard;
use tonic::{Request, Response, Status};

use crate::{access::Access, context, convert, displayed::Displayed, error::Error, merge::Merge, ports::Ports};

/// The message of an rpc that changes something.
#[tonic::async_trait]
pub(crate) trait Write: prost::Message + Sized + 'static {
    /// The rpc's name; part of the request's hash.
    const METHOD: &'static str;
    /// Whether it makes something that is not there yet.
    const CREATES: bool = false;
    /// What is handed to the store.
    type Change: Send;

    /// AIP-155 request id, as the client wrote it.
    fn request_id(&self) -> &str;

    /// What it is merged into, if it is one of the changes that take what they don't name from what there is.
    fn merges_into(&self) -> Option<EnvironmentName> {
        None
    }

    /// Whether only to check.
    fn validate_only(&self) -> bool {
        false
    }

    /// The version that the client saw; empty: any.
    fn etag(&self) -> &str {
        ""
    }

    /// Among whose requests the id is searched for; `None`: the resource's name is malformed, which the check refuses.
    fn scope(&self) -> Option<RequestScope>;

    /// What it makes something in. Whoever has no right there learns nothing of what can be ordered: it is checked before
    /// the request is.
    fn parent(&self, _: &Catalog) -> Option<Resource> {
        None
    }

    /// What it makes, or makes of something, with the attributes that were ordered; `None`: it orders nothing.
    fn ordered(&self, _: &Self::Change) -> Option<Resource> {
        None
    }

    /// The checked change. `violations`: what is wrong with the request already.
    async fn check(&self, ports: &Ports, violations: Vec<Violation>) -> Result<Self::Change, Error>;

    /// Refuses what the store would refuse. Writes nothing.
    async fn dry_run(&self, ports: &Ports, change: &Self::Change) -> Result<(), Error>;

    /// The resource as it would be accepted; `None`: it would go, or stay as it is.
    fn would_be(&self, _: &Self::Change) -> Option<Environment> {
        None
    }

    /// Has the store accept the change.
    async fn commit(&self, ports: &Ports, change: Self::Change, request: RequestContext) -> Result<Accepted, Error>;
}

/// Takes a write to its response.
pub(crate) async fn run<W: Write>(ports: &Ports, request: Request<W>) -> Result<Response<Operation>, Status> {
    let access = Access::of(request.extensions())?;
    // A reload meanwhile: what was authorized is what is made.
    let ports = &Ports { catalog: Arc::new(ports.catalog.pinned()), ..ports.clone() };
    if let Some(parent) = request.get_ref().parent(&ports.catalog.now()) {
        access.check(&parent).map_err(Error::from)?;
    }
    let ports = &access.guard(ports);
    let mut violations = Vec::new();
    let context = context::of(W::METHOD, &request, request.get_ref().request_id(), &mut violations);
    let write = request.into_inner();
    let accepted = accept(ports, &access, &write, (context, violations)).await;
    Ok(Response::new(accepted.map_err(|error| with_request_id(error, &write))?))
}

/// What a dry run found, as the caller may read it; of a commit the guard sees to that.
async fn redacted(ports: &Ports, access: &Access, refusal: Error) -> Error {
    match refusal {
        Error::Store(StoreError::NoHostClusterCapacity(why)) => access.no_capacity(&*ports.store, why).await.into(),
        refusal => refusal,
    }
}

/// The store knows a caller's request ids by other ones.
fn with_request_id<W: Write>(error: Error, write: &W) -> Error {
    match error {
        Error::Store(StoreError::RequestIdReused(_)) => {
            StoreError::RequestIdReused(write.request_id().to_owned()).into()
        }
        error => error,
    }
}

async fn accept<W: Write>(
    ports: &Ports,
    access: &Access,
    write: &W,
    (context, violations): (RequestContext, Vec<Violation>),
) -> Result<Operation, Error> {
    let _turn = turn(ports, write).await;
    let mut merge = Merge::default();
    loop {
        let change = match write.check(ports, violations.clone()).await {
            Ok(change) => change,
            Err(refusal) => return shown(access, replayed(ports, write, &context).await?.ok_or(refusal)?).await,
        };
        if let Some(ordered) = write.ordered(&change) {
            access.check(&ordered)?;
        }
        if write.validate_only() {
            if let Err(refusal) = write.dry_run(ports, &change).await {
                return Err(redacted(ports, access, refusal).await);
            }
            return dry(access, write.would_be(&change)).await;
        }
        if merge.is_first() && W::CREATES && access.counts_creates() {
            // A repetition of what was accepted is no new create.
            if let Some(earlier) = replayed(ports, write, &context).await? {
                return shown(access, earlier).await;
            }
            access.count_create()?;
        }
        match write.commit(ports, change, context.clone()).await {
            Err(Error::Store(StoreError::EtagMismatch { .. })) if write.etag().is_empty() && merge.again().await => {}
            accepted => {
                let accepted = accepted?;
                landlord_trace::link(accepted.operation.id);
                if !accepted.replayed {
                    ports.wake.wake();
                }
                return shown(access, accepted).await;
            }
        }
    }
}

/// Waits until no other change is merged. Nobody waits who may not change it: others would delay those who may, and learn
/// from the time that there is something to wait for.
async fn turn<W: Write>(ports: &Ports, write: &W) -> Option<OwnedMutexGuard<()>> {
    let name = write.merges_into().filter(|_| write.etag().is_empty() && !write.validate_only())?;
    ports.store.get(&name).await.ok()?;
    ports.turns.wait(name).await
}

async fn shown(access: &Access, accepted: Accepted) -> Result<Operation, Error> {
    let environment = match accepted.environment {
        Some(environment) => Some(Displayed::to(access).record(environment).await?),
        None => None,
    };
    Ok(convert::operation(&accepted.operation, environment.as_ref()))
}

/// The response to a dry run that found nothing wrong.
async fn dry(access: &Access, would_be: Option<Environment>) -> Result<Operation, Error> {
    let result = match would_be {
        Some(would_be) => {
            let shown = Displayed::to(access).record(would_be).await?;
            Some(operation::Result::Response(convert::would_be(&shown)))
        }
        None => None,
    };
    Ok(Operation { done: true, result, ..Operation::default() })
}

/// The response to an earlier request with the same id.
async fn replayed<W: Write>(ports: &Ports, write: &W, context: &RequestContext) -> Result<Option<Accepted>, Error> {
    match write.scope().filter(|_| context.key.request_id.is_some()) {
        Some(scope) => Ok(ports.store.replayed(&scope, &context.key).await?),
        None => Ok(None),
    }
}

/// A name among the violations, or the checked name of a request that has no other.
pub(crate) fn checked_name<T: Into<EnvironmentName>>(
    name: Result<T, Violation>,
    mut violations: Vec<Violation>,
) -> Result<EnvironmentName, Error> {
    match name {
        Ok(name) => Error::unless_empty(violations).map(|()| name.into()),
        Err(violation) => {
            violations.push(violation);
            Err(Error::Invalid(landlord_core::Violations(violations)))
        }
    }
}

/// The scope of a name that parses.
pub(crate) fn scope_of<T: Into<EnvironmentName>>(name: Result<T, Violation>) -> Option<RequestScope> {
    name.ok().map(|name| RequestScope::from(&name.into()))
}

/// A change was merged into this version, and no other order may be overwritten by it.
pub(crate) fn merged_into(write: &impl Write, current: &Environment) -> Precondition {
    if write.etag().is_empty() { Precondition::same_order(current) } else { Precondition::of_etag(&current.etag) }
}

/// Retries what is FAILED.
pub(crate) async fn retry(
    ports: &Ports,
    name: &EnvironmentName,
    etag: &str,
    request: RequestContext,
) -> Result<Accepted, Error> {
    Ok(ports.store.change(name, Precondition::of_etag(etag), Change::Retry, request).await?)
}

/// Accepts a removal.
pub(crate) async fn delete(
    ports: &Ports,
    name: &EnvironmentName,
    etag: &str,
    force: bool,
    request: RequestContext,
) -> Result<Accepted, Error> {
    let delete = DeleteRequest { force, precondition: Precondition::of_etag(etag), request };
    Ok(ports.store.delete(name, delete).await?)
}

/// An etag, if the client gave one.
pub(crate) fn given(etag: &str) -> Option<&str> {
    (!etag.is_empty()).then_some(etag)
}

/// Refuses a delete that the store would refuse, as far as the record shows.
pub(crate) async fn dry_run_delete(ports: &Ports, name: &EnvironmentName, etag: &str) -> Result<(), Error> {
    let environment = ports.store.get(name).await?;
    check_precondition(&environment, &Precondition::of_etag(etag)).map_err(StoreError::from)?;
    if environment.is_protected() {
        return Err(StoreError::DeletionProtected(name.to_string()).into());
    }
    Ok(())
}
