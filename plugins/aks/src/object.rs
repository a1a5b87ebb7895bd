//! What ARM returns of a resource: the envelope that all types share, the properties that this
//! plugin reads, and the document as it came, so that a change sends back what it did not mean.

use std::collections::BTreeMap;

use landlord_provider_api::v1;
use landlord_provider_sdk::markers;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::tags;

/// The envelope. `null` is taken for absent (see [`prune`]).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Envelope {
    id: String,
    name: String,
    r#type: String,
    location: String,
    managed_by: String,
    #[serde(alias = "eTag")]
    etag: String,
    tags: BTreeMap<String, String>,
}

/// A resource with the properties `P`.
#[derive(Debug, Clone)]
pub(crate) struct Object<P> {
    envelope: Envelope,
    /// Its properties.
    pub(crate) properties: P,
    /// The whole document.
    pub(crate) document: Value,
}

/// The properties that every resource may have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Plain {
    pub(crate) provisioning_state: String,
}

/// Removes every `null`: ARM sends some for what is not set.
pub(crate) fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(prune);
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

impl<P: DeserializeOwned + Default> Object<P> {
    /// Reads a document without nulls.
    pub(crate) fn read(document: Value) -> Result<Self, serde_json::Error> {
        let envelope = Envelope::deserialize(&document)?;
        let properties = match document.get("properties") {
            Some(properties) => P::deserialize(properties)?,
            None => P::default(),
        };
        Ok(Self { envelope, properties, document })
    }
}

impl<P> Object<P> {
    /// Full resource id.
    pub(crate) fn id(&self) -> &str {
        &self.envelope.id
    }

    /// Name.
    pub(crate) fn name(&self) -> &str {
        &self.envelope.name
    }

    /// Type.
    pub(crate) fn kind(&self) -> &str {
        &self.envelope.r#type
    }

    /// Where it lies.
    pub(crate) fn location(&self) -> &str {
        &self.envelope.location
    }

    /// Id of the resource that manages it.
    pub(crate) fn managed_by(&self) -> &str {
        &self.envelope.managed_by
    }

    /// Version of the document.
    pub(crate) fn etag(&self) -> &str {
        &self.envelope.etag
    }

    /// Tags.
    pub(crate) fn tags(&self) -> &BTreeMap<String, String> {
        &self.envelope.tags
    }

    /// Whether it carries our markers.
    pub(crate) fn is_ours(&self, scope: &v1::Scope) -> bool {
        tags::is_ours(scope, &self.envelope.tags)
    }

    /// `provisioningState`, which every type keeps at the same place.
    pub(crate) fn state(&self) -> State {
        let text = self.document.pointer("/properties/provisioningState").and_then(Value::as_str);
        State::of(text.unwrap_or("Succeeded"))
    }

    /// The inventory's view of it.
    pub(crate) fn owned(&self, scope: &v1::Scope) -> v1::OwnedObject {
        let Envelope { id, name, r#type, location, tags, .. } = &self.envelope;
        let region = if location.is_empty() { &scope.region } else { location };
        markers::owned(r#type, id, name, region, tags)
    }
}

/// `provisioningState`: <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// As requested.
    Succeeded,
    /// The last change failed or was canceled.
    Failed,
    /// Going.
    Deleting,
    /// Whatever else: under way.
    Busy(String),
}

impl State {
    fn of(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "succeeded" | "" => Self::Succeeded,
            "failed" | "canceled" | "cancelled" => Self::Failed,
            "deleting" | "deprovisioning" => Self::Deleting,
            _ => Self::Busy(text.to_owned()),
        }
    }

    /// For people.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
            Self::Busy(text) => text,
        }
    }
}

/// Last part of a resource id.
pub(crate) fn short(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}

/// Name of the resource group in a resource id.
pub(crate) fn group_of(id: &str) -> Option<&str> {
    let mut parts = id.split('/');
    parts.find(|p| p.eq_ignore_ascii_case("resourceGroups"))?;
    parts.next()
}

#[cfg(test)]
mod tests {
    use super::{Object, Plain, State, group_of, prune, short};
    use serde_json::json;

    #[test]
    fn nulls_are_absent_and_the_document_is_kept() {
        let mut document = json!({ "id": "/a/b", "tags": null, "properties": { "provisioningState": "Updating", "x": [null, { "y": null }] } });
        prune(&mut document);
        let object = Object::<Plain>::read(document).expect("readable");
        assert_eq!((object.id(), object.tags().len()), ("/a/b", 0));
        assert_eq!(object.state(), State::Busy("Updating".to_owned()));
        assert_eq!(object.properties.provisioning_state, "Updating");
        assert!(object.document["properties"].get("x").is_some());
    }

    #[test]
    fn ids_are_taken_apart() {
        let id = "/subscriptions/s/resourcegroups/g/providers/Microsoft.Network/natGateways/n";
        assert_eq!((short(id), group_of(id)), ("n", Some("g")));
        assert_eq!(group_of("/subscriptions/s"), None);
    }
}
