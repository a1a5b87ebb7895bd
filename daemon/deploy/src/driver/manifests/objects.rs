//! Objects of a release: whose they are, applied, and taken away again.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Discovery,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::Scope,
};
use landlord_kube::{
    Doing as _, Error, Result,
    absent::gone_is_fine,
    markers::FIELD_MANAGER,
    object::{ObjectRef, resource},
};
use serde_json::{Value, json};

use super::RELEASE;
use crate::driver::ReleaseRef;

/// The kind whose objects take others with them.
const DEFINITION: &str = "CustomResourceDefinition";

/// A release as its objects name it.
pub(super) struct Owner(String);

impl Owner {
    pub(super) fn of(release: ReleaseRef<'_>) -> Self {
        Self(format!("{}/{}", release.namespace, release.release))
    }

    fn has(&self, annotations: Option<&BTreeMap<String, String>>) -> bool {
        annotations.and_then(|annotations| annotations.get(RELEASE)).is_some_and(|owner| *owner == self.0)
    }
}

/// One object as it shall be.
pub(super) struct Object {
    resource: ApiResource,
    /// Empty: of the whole cluster.
    namespace: String,
    name: String,
    body: Value,
}

/// What stays behind, and why.
pub(super) struct Kept {
    name: String,
    used: usize,
}

impl Kept {
    pub(super) fn what(&self) -> String {
        let more = if self.used > 1 { " or more" } else { "" };
        format!("{DEFINITION} {} ({}{more} of its objects exist)", self.name, self.used)
    }
}

impl Object {
    pub(super) fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// Whether a reference means this object, in whatever version.
    pub(super) fn is(&self, other: &ObjectRef) -> bool {
        let group = |version: &str| version.split_once('/').map_or("", |(group, _)| group).to_owned();
        (&self.resource.kind, &self.namespace, &self.name) == (&other.kind, &other.namespace, &other.name)
            && group(&self.resource.api_version) == group(&other.api_version)
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        api(client, &self.namespace, &self.resource)
    }

    fn what(&self) -> String {
        format!("{} {}", self.resource.kind, self.name)
    }

    /// Refuses what exists and is somebody else's.
    pub(super) async fn check_owner(&self, client: &Client, owner: &Owner) -> Result<()> {
        let found = self.api(client).get_metadata_opt(&self.name).await;
        match found.doing(|| format!("reading {}", self.what()))? {
            Some(found) if !owner.has(found.metadata.annotations.as_ref()) => {
                Err(Error::NameTaken { what: self.what() })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) async fn apply(&self, client: &Client, owner: &Owner) -> Result<()> {
        let mut body = self.body.clone();
        body["metadata"]["annotations"][RELEASE] = json!(owner.0);
        if !self.namespace.is_empty() {
            body["metadata"]["namespace"] = json!(self.namespace);
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api(client).patch(&self.name, &params, &Patch::Apply(&body)).await;
        applied.map(drop).doing(|| format!("applying {}", self.what()))
    }
}

fn api(client: &Client, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
    if namespace.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, resource)
    }
}

/// Finds out of each object whether it has a namespace; one that says none lives in the release's. What is `known` needs no
/// question.
pub(super) async fn resolve(
    client: &Client,
    namespace: &str,
    documents: Vec<Value>,
    known: &[ObjectRef],
) -> Result<Vec<Object>> {
    let mut scopes: BTreeMap<(String, String), bool> =
        known.iter().map(|o| ((o.api_version.clone(), o.kind.clone()), !o.namespace.is_empty())).collect();
    let mut objects = Vec::new();
    for body in documents {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let own = Some(text("/metadata/namespace")).filter(|own| !own.is_empty());
        let resource = resource(&api_version, &kind);
        let key = (api_version, kind);
        let namespaced = match scopes.get(&key) {
            Some(namespaced) => *namespaced,
            None => is_namespaced(client, &resource).await?,
        };
        scopes.insert(key, namespaced);
        let namespace = if namespaced { own.unwrap_or_else(|| namespace.to_owned()) } else { String::new() };
        objects.push(Object { resource, namespace, name, body });
    }
    Ok(objects)
}

async fn is_namespaced(client: &Client, resource: &ApiResource) -> Result<bool> {
    // Of the API itself; asking for its group would take four times as long.
    if resource.kind == DEFINITION {
        return Ok(false);
    }
    let kind = GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind);
    let known = Discovery::new(client.clone()).filter(&[&resource.group]).run().await;
    let known = known.doing(|| format!("asking for the kind {}", resource.kind))?;
    let (_, capabilities) = known.resolve_gvk(&kind).ok_or_else(|| Error::Lacking {
        what: format!("the API server does not know the kind {} of {}", resource.kind, resource.api_version),
        remedy: "landlord tries again by itself; if it lasts, the platform's author puts the release that brings the kind \
                 along before this one",
    })?;
    Ok(capabilities.scope == Scope::Namespaced)
}

/// Takes objects of a release away, the last first and definitions last of all; gives those that stay since they are used.
pub(super) async fn remove(client: &Client, owner: &Owner, objects: &[ObjectRef]) -> Result<Vec<Kept>> {
    let (definitions, others): (Vec<_>, Vec<_>) = objects.iter().rev().partition(|object| object.kind == DEFINITION);
    for object in others {
        remove_one(client, owner, object).await?;
    }
    let mut kept = Vec::new();
    for definition in definitions {
        match users(client, &definition.name).await? {
            0 => remove_one(client, owner, definition).await?,
            used => kept.push(Kept { name: definition.name.clone(), used }),
        }
    }
    Ok(kept)
}

async fn remove_one(client: &Client, owner: &Owner, object: &ObjectRef) -> Result<()> {
    let api = api(client, &object.namespace, &resource(&object.api_version, &object.kind));
    let doing = || format!("removing {} {}", object.kind, object.name);
    let found = match api.get_metadata_opt(&object.name).await {
        // The kind itself is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        other => other.doing(doing)?,
    };
    if found.is_none_or(|found| !owner.has(found.metadata.annotations.as_ref())) {
        return Ok(());
    }
    gone_is_fine(api.delete(&object.name, &DeleteParams::background()).await).doing(doing)
}

/// How many objects of a definition's kind there are: 0, 1, or 2 for several. With the definition they would go.
async fn users(client: &Client, definition: &str) -> Result<usize> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = definitions.get_opt(definition).await.doing(|| format!("reading {DEFINITION} {definition}"))?;
    let Some(found) = found else { return Ok(0) };
    let spec = found.spec;
    let Some(version) = spec.versions.iter().find(|version| version.served) else { return Ok(0) };
    let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
    let kind = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    match objects.list_metadata(&ListParams::default().limit(2)).await {
        // It is not served yet, or not any more: nobody can have made one.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(0),
        listed => Ok(listed.doing(|| format!("listing the objects of {definition}"))?.items.len()),
    }
}
