//! Server-side apply of objects that are all ours, kind by kind: writes what is missing or differs, removes what is not
//! wanted any more, and nothing else.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    absent::{exactly, gone_is_fine},
    drift::differs,
    error::{Doing as _, Error, Result},
    markers::{FIELD_MANAGER, carries},
    object::Wanted,
};

/// Inspects what carries our marker, kind by kind, and writes what is missing or differs. `prune`: what is of these kinds
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
    for (name, object) in found.iter().filter(|(name, _)| prune && !wanted.iter().any(|object| object.name == **name)) {
        tracing::info!(kind = first.resource.kind, name, "is not wanted any more");
        gone_is_fine(api.delete(name, &exactly(uid(object))).await)
            .doing(|| format!("removing {} {name}", first.resource.kind))?;
    }
    for object in wanted {
        let known = found.get(&object.name);
        if known.is_none_or(|known| differs(&object.body, known)) {
            apply(client, object, known, selector).await?;
        }
    }
    Ok(())
}

async fn apply(client: &Client, object: &Wanted, known: Option<&Value>, selector: &str) -> Result<()> {
    let api = object.api(client);
    let doing = || format!("applying {}", object.what());
    if known.is_none() && object.namespace.is_none() {
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
        Err(kube::Error::Api(status))
            if status.code == 422 && known.is_some_and(|known| immutable_field_differs(object, known)) =>
        {
            recreate(&api, object, known).await?
        }
        other => other.doing(doing)?,
    };
    if known.is_some() {
        tracing::info!(object = object.what(), "reconciled");
    }
    // Server-side apply leaves what another manager added to a map; that goes too.
    let patched = serde_json::to_value(&patched).unwrap_or_default();
    if differs(&object.body, &patched) {
        let body: DynamicObject = serde_json::from_value(corrected(&object.body, &patched))
            .map_err(|_| Error::Stuck { what: format!("{} can't be written", object.what()) })?;
        api.replace(&object.name, &PostParams::default(), &body).await.doing(doing)?;
    }
    Ok(())
}

/// Every part of an object as it shall be, in the version that was found. Marks and finalizers of others stay: a controller that keeps
/// its books there would begin again.
fn corrected(wanted: &Value, found: &Value) -> Value {
    let mut body = wanted.clone();
    body["metadata"] = found["metadata"].clone();
    for marks in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][marks].as_object().into_iter().flatten() {
            body["metadata"][marks][key] = value.clone();
        }
    }
    body
}

/// Fields that the API server never changes, of the kinds that are recreated for it. None of them is cluster-scoped: while
/// an admission policy was away, every tenant of its cluster would be open.
const IMMUTABLE: [(&str, &str); 1] = [("RoleBinding", "/roleRef")];

/// Whether an object can only become as wanted by being recreated.
fn immutable_field_differs(object: &Wanted, known: &Value) -> bool {
    let of_kind = IMMUTABLE.iter().filter(|(kind, _)| object.namespace.is_some() && *kind == object.resource.kind);
    of_kind.into_iter().any(|(_, field)| object.body.pointer(field) != known.pointer(field))
}

fn uid(object: &Value) -> Option<String> {
    object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}

/// Deletes exactly the object that was seen, and applies it again; not before the API server reported that it would take it.
async fn recreate(api: &Api<DynamicObject>, object: &Wanted, known: Option<&Value>) -> Result<DynamicObject> {
    let doing = || format!("recreating {}", object.what());
    let mut trial = object.body.clone();
    // Under its own name it exists already.
    trial["metadata"]["name"] = json!(format!("{}-dry-run", object.name));
    let trial: DynamicObject = serde_json::from_value(trial)
        .map_err(|_| Error::Stuck { what: format!("{} can't be written", object.what()) })?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry_run, &trial).await.doing(doing)?;
    gone_is_fine(api.delete(&object.name, &exactly(known.and_then(uid))).await).doing(doing)?;
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&object.name, &params, &Patch::Apply(&object.body)).await.doing(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_whole_keeps_the_marks_of_others() {
        let wanted = json!({ "kind": "K", "metadata": { "name": "n", "labels": { "ours": "1" } }, "spec": { "a": 1 } });
        let found = json!({
            "kind": "K", "spec": { "a": 2, "b": 3 }, "status": {},
            "metadata": {
                "name": "n", "resourceVersion": "7", "finalizers": ["theirs"],
                "labels": { "ours": "2", "theirs": "3" }, "annotations": { "karpenter.sh/nodepool-hash": "h" },
            },
        });
        let written = corrected(&wanted, &found);
        assert_eq!(written["spec"], json!({ "a": 1 }));
        assert_eq!(written["metadata"]["labels"], json!({ "ours": "1", "theirs": "3" }));
        assert_eq!(written["metadata"]["annotations"], json!({ "karpenter.sh/nodepool-hash": "h" }));
        assert_eq!(
            (&written["metadata"]["resourceVersion"], &written["metadata"]["finalizers"]),
            (&json!("7"), &json!(["theirs"]))
        );
        assert_eq!(written.get("status"), None);
    }

    #[test]
    fn only_an_immutable_field_of_a_namespaced_object_has_it_recreated() {
        let binding = |role: &str, subject: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": { "name": "b", "namespace": "n" },
                "roleRef": { "kind": "Role", "name": role }, "subjects": [{ "name": subject }],
            })
        };
        let wanted = Wanted::new(binding("a", "x"));
        assert!(immutable_field_differs(&wanted, &binding("admin", "x")));
        assert!(!immutable_field_differs(&wanted, &binding("a", "y")));
        // An admission policy that the API server refuses stays as it is, whatever differs.
        for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"] {
            let policy = |spec: &str| {
                json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                    "metadata": { "name": "p" }, "roleRef": spec, "spec": { "x": spec } })
            };
            assert!(!immutable_field_differs(&Wanted::new(policy("a")), &policy("b")), "{kind}");
        }
    }
}
