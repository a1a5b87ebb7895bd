//! Server-side apply of objects that are all ours, kind by kind: writes what is missing or differs, removes what is not
//! wanted any more, and nothing else.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use kube::{
    Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    absent::gone_is_fine,
    drift::differs,
    error::{Doing as _, Error, Result},
    markers::{FIELD_MANAGER, carries},
    object::Wanted,
};

/// Looks at what carries our marker, kind by kind, and writes what is missing or differs. `prune`: what is of these kinds
/// and not wanted any more goes, or a door that was opened once would stay open.
///
/// # Errors
/// [`Error::NameTaken`]: an object of that name is not ours; else what the API server says.
pub async fn apply_all(client: &Client, wanted: &[Wanted], selector: &str, prune: bool) -> Result<()> {
    let mut kinds = BTreeMap::<(&str, Option<&str>), Vec<&Wanted>>::new();
    for object in wanted {
        kinds.entry((&object.resource.kind, object.namespace.as_deref())).or_default().push(object);
    }
    try_join_all(kinds.into_values().map(|of_kind| apply_kind(client, of_kind, selector, prune))).await.map(drop)
}

async fn apply_kind(client: &Client, wanted: Vec<&Wanted>, selector: &str, prune: bool) -> Result<()> {
    let Some(first) = wanted.first() else { return Ok(()) };
    let api = first.api(client);
    let found = api
        .list(&ListParams::default().labels(selector))
        .await
        .doing(|| format!("listing objects of kind {}", first.resource.kind))?;
    let found: BTreeMap<String, Value> = found
        .items
        .into_iter()
        .filter_map(|object| Some((object.metadata.name.clone()?, serde_json::to_value(object).ok()?)))
        .collect();
    for name in found.keys().filter(|name| prune && !wanted.iter().any(|object| object.name == **name)) {
        tracing::info!(kind = first.resource.kind, name, "is not wanted any more");
        gone_is_fine(api.delete(name, &DeleteParams::default()).await)
            .doing(|| format!("removing {} {name}", first.resource.kind))?;
    }
    for object in wanted {
        let known = found.get(&object.name);
        if known.is_none_or(|known| differs(&object.body, known)) {
            apply(client, object, known.is_some(), selector).await?;
        }
    }
    Ok(())
}

async fn apply(client: &Client, object: &Wanted, known: bool, selector: &str) -> Result<()> {
    let api = object.api(client);
    let doing = || format!("applying {}", object.what());
    if !known && object.namespace.is_none() {
        // In the tenant's namespace all such names are ours; in the cluster at large they are only if marked so.
        // One that is marked was made after the list, for another tenant at the same moment.
        let found = api.get_metadata_opt(&object.name).await.doing(doing)?;
        if found.is_some_and(|found| !carries(found.metadata.labels.as_ref(), selector)) {
            tracing::warn!(object = object.what(), selector, "exists without our marker");
            return Err(Error::NameTaken { what: object.what() });
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patched = match api.patch(&object.name, &params, &Patch::Apply(&object.body)).await {
        // What can't be changed (whose role a binding gives) is made anew.
        Err(kube::Error::Api(status)) if known && status.code == 422 => {
            api.delete(&object.name, &DeleteParams::default()).await.doing(doing)?;
            api.patch(&object.name, &params, &Patch::Apply(&object.body)).await.doing(doing)?
        }
        other => other.doing(doing)?,
    };
    if known {
        tracing::info!(object = object.what(), "put right");
    }
    // Server-side apply leaves what another manager added to a map; that goes too.
    let version = patched.metadata.resource_version.clone();
    if differs(&object.body, &serde_json::to_value(&patched).unwrap_or_default()) {
        let mut body = object.body.clone();
        body["metadata"]["resourceVersion"] = json!(version);
        let body: DynamicObject = serde_json::from_value(body)
            .map_err(|_| Error::Stuck { what: format!("{} can't be written", object.what()) })?;
        api.replace(&object.name, &PostParams::default(), &body).await.doing(doing)?;
    }
    Ok(())
}
