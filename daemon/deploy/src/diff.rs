//! What would change in a tenant's namespace if it ran what lies on disk now: every object of every release is applied in a dry
//! run of the API server, and compared with the one that is there.
//!
//! # Guarantees
//! Nothing is changed. No value of a Secret, nor of anything that was taken from one, is in the result: of a Secret only the names
//! of its keys are.

use std::collections::{BTreeMap, BTreeSet};

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    discovery::Scope,
};
use landlord_core::{
    Failure,
    isolation::TENANT_KINDS,
    ports::{AppDiff, DeployTarget, FieldDiff, ObjectDiff},
};
use landlord_kube::{
    Doing as _,
    absent::known,
    client::ClusterClients,
    gateway_api::{self, Routing},
    object::{ObjectRef, resource, scope},
    yaml,
};
use serde_json::Value;

use crate::{
    StackApps,
    chart_policy::objects,
    driver::helm,
    error::{Error, Result},
    render,
    stack::Stack,
};

/// Fields shown of one object; more is another object.
const FIELDS_MAX: usize = 50;
/// Longest value shown, in characters.
const VALUE_CHARS_MAX: usize = 200;
/// Status of a change that an object can't take.
const UNPROCESSABLE: u16 = 422;
/// Longest reason of it shown, in characters: it names the object and the fields before it comes to the point.
const REFUSAL_CHARS_MAX: usize = 600;
/// What the API server writes itself, and what drivers note.
const NOT_OURS: [&str; 8] = [
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.uid",
    "metadata.creationTimestamp",
    "metadata.annotations.meta.helm.sh/release-name",
    "metadata.annotations.meta.helm.sh/release-namespace",
    "status",
];

#[async_trait::async_trait]
impl AppDiff for StackApps {
    async fn diff(&self, target: &DeployTarget) -> Result<Vec<ObjectDiff>, Failure> {
        // What lies on disk, whatever the tenant runs.
        let offered = DeployTarget { revision: None, ..target.clone() };
        let call = async |stack: &Stack, clients: ClusterClients| {
            // One question for all releases that ask it.
            let routing = match stack.manifest.releases.iter().any(|release| release.gateway) {
                true => gateway_api::routing(&clients.admin).await?,
                false => Routing::Unknown,
            };
            let mut found = Vec::new();
            let namespace = render::namespace(&offered, &stack.manifest);
            for release in &stack.manifest.releases {
                let text = self.rendered(&offered, stack, release, routing).await?;
                found.extend(self.of_release(&clients, namespace, release.name.as_str(), &text).await?);
            }
            Ok(found)
        };
        self.call(&offered, call).await
    }
}

impl StackApps {
    /// What differs from the text that a release renders to.
    async fn of_release(
        &self,
        clients: &ClusterClients,
        namespace: &str,
        name: &str,
        text: &str,
    ) -> Result<Vec<ObjectDiff>> {
        let documents =
            yaml::documents(text).map_err(|problem| Error::Manifests { release: name.to_owned(), problem })?;
        let (mut found, mut wanted) = (Vec::new(), BTreeSet::new());
        for object in objects(documents) {
            let Some(reference) = ObjectRef::of(&object, namespace) else { continue };
            wanted.insert((reference.kind.clone(), reference.name.clone()));
            found.extend(one(&clients.tenant, (name, namespace), &reference, object).await?);
        }
        let delivered = self.helm().delivered(&clients.tenant, namespace, name).await?;
        let gone = delivered.and_then(|delivered| delivered.objects).into_iter().flatten();
        let gone = gone.filter(|object| !wanted.contains(&(object.kind.clone(), object.name.clone())));
        found.extend(gone.map(|object| diff(name, &object, "removed", Vec::new())));
        Ok(found)
    }
}

fn diff(release: &str, object: &ObjectRef, change: &str, fields: Vec<FieldDiff>) -> ObjectDiff {
    ObjectDiff {
        app: release.to_owned(),
        kind: object.kind.clone(),
        name: object.name.clone(),
        change: change.to_owned(),
        fields,
    }
}

/// What would change of one object; `None`: nothing. Applied as the one who delivers it: what that one has delivered before and does
/// not any more goes with the update.
async fn one(
    client: &Client,
    (release, namespace): (&str, &str),
    object: &ObjectRef,
    mut body: Value,
) -> Result<Option<ObjectDiff>> {
    let kind = resource(&object.api_version, &object.kind);
    // Kinds that stacks consist of are known without asking.
    let scope = match TENANT_KINDS.iter().any(|own| own.group == kind.group && own.kind == kind.kind) {
        true => Some(Scope::Namespaced),
        false => scope(client, &kind).await.doing(|| format!("asking for the kind {}", object.kind))?,
    };
    let api: Api<DynamicObject> = match scope {
        Some(Scope::Namespaced) => Api::namespaced_with(client.clone(), &object.namespace, &kind),
        Some(Scope::Cluster) => Api::all_with(client.clone(), &kind),
        // Its kind comes with the update.
        None => return Ok(Some(diff(release, object, "added", Vec::new()))),
    };
    let live = known(api.get(&object.name).await).doing(|| format!("reading {} {}", object.kind, object.name))?;
    let Some(live) = live.and_then(|live| serde_json::to_value(live).ok()) else {
        return Ok(Some(diff(release, object, "added", Vec::new())));
    };
    helm::mark(&mut body, release, namespace);
    let params = PatchParams { dry_run: true, ..PatchParams::apply(helm::MANAGER).force() };
    let applied = api.patch(&object.name, &params, &Patch::Apply(&body)).await;
    // A field that can't be changed in place: the update would fail there, which is what somebody wants to see before.
    if let Err(kube::Error::Api(refusal)) = &applied
        && refusal.code == UNPROCESSABLE
    {
        return Ok(Some(diff(release, object, "refused", vec![refused(&object.kind, &refusal.message)])));
    }
    let applied = applied.doing(|| format!("a dry run of {} {}", object.kind, object.name))?;
    let applied = serde_json::to_value(applied).unwrap_or_default();
    let fields = fields(&object.kind, &live, &applied);
    Ok((!fields.is_empty()).then(|| diff(release, object, "changed", fields)))
}

/// Why the API server takes no such change. What it says of a Secret may have its values.
fn refused(kind: &str, message: &str) -> FieldDiff {
    let why = if kind == "Secret" { "a field that can't be changed" } else { message };
    FieldDiff {
        path: "refused".to_owned(),
        live: String::new(),
        offered: why.chars().take(REFUSAL_CHARS_MAX).collect(),
    }
}

/// Fields in which an object differs, with the values that may be shown.
fn fields(kind: &str, live: &Value, wanted: &Value) -> Vec<FieldDiff> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten(String::new(), live, &mut before);
    flatten(String::new(), wanted, &mut after);
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let is_ours = |path: &str| {
        !NOT_OURS.iter().any(|own| path == *own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')))
            && !matches!(path, "apiVersion" | "kind")
    };
    let differing = paths.into_iter().filter(|path| is_ours(path) && before.get(*path) != after.get(*path));
    let shown = |path: &str, value: Option<&String>| {
        let text = value.map(String::as_str).unwrap_or_default();
        let is_secret = kind == "Secret" && (path.starts_with("data") || path.starts_with("stringData"));
        if is_secret && !text.is_empty() { "***".to_owned() } else { text.chars().take(VALUE_CHARS_MAX).collect() }
    };
    let field = |path: &String| FieldDiff {
        path: path.clone(),
        live: shown(path, before.get(path)),
        offered: shown(path, after.get(path)),
    };
    differing.take(FIELDS_MAX).map(field).collect()
}

fn flatten(path: String, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| flatten(below(key), value, into));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| flatten(below(&index.to_string()), value, into));
        }
        value => drop(into.insert(path, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_and_secrets_are_not_shown() {
        let live = json!({
            "apiVersion": "v1", "metadata": { "resourceVersion": "1", "labels": { "a": "1" } },
            "data": { "password": "b2xk", "same": "c2FtZQ==" }, "status": { "x": 1 },
        });
        let wanted = json!({
            "apiVersion": "v1", "metadata": { "resourceVersion": "2", "labels": { "a": "2" } },
            "data": { "password": "bmV3", "same": "c2FtZQ==", "more": "bW9yZQ==" },
        });
        let seen = |kind: &str| -> Vec<(String, String, String)> {
            fields(kind, &live, &wanted).into_iter().map(|field| (field.path, field.live, field.offered)).collect()
        };
        let row = |path: &str, live: &str, offered: &str| (path.to_owned(), live.to_owned(), offered.to_owned());
        assert_eq!(
            seen("Secret"),
            [
                row("data.more", "", "***"),
                row("data.password", "***", "***"),
                row("metadata.labels.a", "\"1\"", "\"2\""),
            ]
        );
        assert_eq!(seen("ConfigMap")[1], row("data.password", "\"b2xk\"", "\"bmV3\""));
        assert!(fields("ConfigMap", &wanted, &wanted).is_empty());
    }
}
