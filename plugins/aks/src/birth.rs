//! Whether a cluster or pool has ever been up. One that failed while it was first made never
//! comes up and holds nothing: it is removed, so that its name and its fixed properties are
//! free for the next attempt. One that was up and failed later holds a customer's work and is
//! never removed for it. Azure calls both "Failed"; a tag on the tenant's resource group, set
//! before the first write and taken away once the object was up, tells them apart. A lost tag
//! counts as "was up".

use crate::{
    error::{Result, conflict},
    group::{self, Group},
    names::Call,
};

/// Beginning of the tag's key.
const PREFIX: &str = "landlord-building-";

fn key(what: &str) -> String {
    format!("{PREFIX}{what}")
}

/// The tenant's group, in which clusters and pools are made.
async fn place(call: &Call<'_>) -> Result<Group> {
    let found = group::find(call, call.names.group()).await?;
    found.ok_or_else(|| {
        conflict(format!("resource group {} is gone", call.names.group()), "retry from the network stage")
    })
}

/// Notes that `what` is being made for the first time.
pub(crate) async fn begin(call: &Call<'_>, what: &str) -> Result<()> {
    group::mark(call, &place(call).await?, &key(what), Some(&call.scope.generation.to_string())).await
}

/// Notes that `what` is up.
pub(crate) async fn end(call: &Call<'_>, what: &str) -> Result<()> {
    group::mark(call, &place(call).await?, &key(what), None).await
}

/// Whether `what` was never up.
pub(crate) async fn is_first(call: &Call<'_>, what: &str) -> Result<bool> {
    Ok(place(call).await?.tags().contains_key(&key(what)))
}
