//! Whether a cluster or pool has ever been up. One that failed while it was first made never
//! comes up and holds nothing: it is removed, so that its name and its fixed properties are
//! free for the next attempt. One that was up and failed later holds a customer's work and is
//! never removed for it. Azure calls both "Failed"; a tag on the tenant's resource group, set
//! before the first write and taken away once the object was up, distinguishes them. A lost tag
//! counts as "was up". A tenant in a shared cluster gets an empty group of its own for it: the
//! host's is not its to change.

use crate::{
    error::{Error, Result, conflict},
    group,
    names::Call,
    progress::Outcome,
};

/// Beginning of the tag's key.
const PREFIX: &str = "landlord-building-";

fn key(what: &str) -> String {
    format!("{PREFIX}{what}")
}

fn gone(call: &Call<'_>) -> Error {
    let stage = if call.names.is_shared() { "node pool" } else { "network" };
    let remedy = format!("retry from the {stage} stage");
    conflict(format!("resource group {} is gone", call.names.group()), remedy)
}

/// Makes there be a group to note it in; what is waited for, if that takes time.
pub(crate) async fn prepare(call: &Call<'_>) -> Result<Option<Outcome>> {
    if !call.names.is_shared() {
        return Ok(None);
    }
    Ok(group::ensure(call, call.names.group(), "node-pool").await?.err())
}

/// Notes that `what` is being made for the first time.
pub(crate) async fn begin(call: &Call<'_>, what: &str) -> Result<()> {
    let found = group::find(call, call.names.group()).await?.ok_or_else(|| gone(call))?;
    group::mark(call, &found, &key(what), Some(&call.scope.generation.to_string())).await
}

/// Notes that `what` is up.
pub(crate) async fn end(call: &Call<'_>, what: &str) -> Result<()> {
    match group::find(call, call.names.group()).await? {
        Some(found) => group::mark(call, &found, &key(what), None).await,
        None if call.names.is_shared() => Ok(()),
        None => Err(gone(call)),
    }
}

/// Whether `what` was never up.
pub(crate) async fn is_first(call: &Call<'_>, what: &str) -> Result<bool> {
    let found = group::find(call, call.names.group()).await?;
    Ok(found.is_some_and(|found| found.tags().contains_key(&key(what))))
}
