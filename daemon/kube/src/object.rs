//! Objects as values: one that shall exist, and one by its name.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::{self, Scope},
    error::DiscoveryError,
};
use serde_json::Value;

use crate::absent::known;

/// The kind whose objects make other kinds known, and take their objects with them.
pub const DEFINITION: &str = "CustomResourceDefinition";

/// One object as it shall be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its kind.
    pub resource: ApiResource,
    /// Where; `None`: cluster-scoped.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// All of it that is ours to say.
    pub body: Value,
}

impl Wanted {
    /// From a manifest with `apiVersion`, `kind` and `metadata.name`, all of which are constants of the caller.
    #[must_use]
    pub fn new(body: Value) -> Self {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let resource = resource(&text("/apiVersion"), &text("/kind"));
        let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        Self { resource, namespace, name: text("/metadata/name"), body }
    }

    /// For messages.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.resource.kind, self.name),
            None => format!("{} {}", self.resource.kind, self.name),
        }
    }

    /// The API that serves it, at its place.
    #[must_use]
    pub fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// A kind by `apiVersion` and `kind` as they stand in a manifest.
#[must_use]
pub fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Where objects of a kind are; `None`: the API server does not know it. One request.
///
/// # Errors
/// Whatever else the API server responds.
pub async fn scope(client: &Client, resource: &ApiResource) -> Result<Option<Scope>, kube::Error> {
    let kind = GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind);
    match discovery::pinned_kind(client, &kind).await {
        Err(kube::Error::Discovery(DiscoveryError::MissingKind(_))) => Ok(None),
        found => Ok(known(found)?.map(|(_, capabilities)| capabilities.scope)),
    }
}

/// A namespaced object by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// `apps/v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

impl ObjectRef {
    /// Of a rendered object, which is in `namespace` if it does not say otherwise; `None`: it names no kind, or itself not.
    #[must_use]
    pub fn of(object: &Value, namespace: &str) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            name: text("/metadata/name")?,
            namespace: text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned()),
        })
    }
}
