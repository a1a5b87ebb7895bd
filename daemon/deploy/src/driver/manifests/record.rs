//! What was applied of a release: a ConfigMap of names, kept beside it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use landlord_kube::{Doing as _, Result, absent::gone_is_fine, markers::FIELD_MANAGER, object::ObjectRef};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::RELEASE;
use crate::driver::ReleaseRef;

/// Key of the record in its ConfigMap.
const KEY: &str = "release";

/// How far the last change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum State {
    /// It did not end yet.
    #[default]
    Applying,
    /// All of it is applied.
    Applied,
    /// It is being taken away.
    Removing,
}

/// One object of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) object: ObjectRef,
    /// The uid that it got; empty: not known, it was about to be applied, or an earlier version wrote the record.
    pub(super) uid: String,
}

/// One release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) state: State,
    /// Of what is applied; empty while it is not known.
    pub(super) digest: String,
    #[serde(with = "entries")]
    pub(super) objects: Vec<Entry>,
    /// What the chart has no longer and others still use: it goes when they do.
    #[serde(with = "entries", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) kept: Vec<Entry>,
}

/// What is read of a record.
pub(super) enum Reading {
    /// It.
    Record(Record),
    /// Somebody has changed it so that nothing can be made of it.
    Unreadable,
}

/// Objects as they stand in a record: apiVersion, kind, namespace (empty: of the whole cluster), name, and the uid if it is
/// known.
mod entries {
    use landlord_kube::object::ObjectRef;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::Entry;

    pub(super) fn serialize<S: Serializer>(entries: &[Entry], serializer: S) -> Result<S::Ok, S::Error> {
        let of = |Entry { object, uid }: &Entry| -> Vec<String> {
            let name = [&object.api_version, &object.kind, &object.namespace, &object.name].map(Clone::clone);
            name.into_iter().chain(Some(uid.clone()).filter(|uid| !uid.is_empty())).collect()
        };
        entries.iter().map(of).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
        let all = Vec::<Vec<String>>::deserialize(deserializer)?;
        let of = |words: Vec<String>| {
            let mut words = words.into_iter();
            let (Some(api_version), Some(kind), Some(namespace), Some(name)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(D::Error::custom("an object has fewer than four words"));
            };
            let object = ObjectRef { api_version, kind, name, namespace };
            Ok(Entry { object, uid: words.next().unwrap_or_default() })
        };
        all.into_iter().map(of).collect()
    }
}

/// Name of a release's record.
pub(super) fn name(release: &str) -> String {
    format!("landlord-release-{release}")
}

fn api(client: &Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), namespace)
}

/// The record; `None`: nothing was ever applied, or all of it is gone.
pub(super) async fn read(client: &Client, namespace: &str, release: &str) -> Result<Option<Reading>> {
    let name = name(release);
    let found = api(client, namespace).get_opt(&name).await.doing(|| format!("reading {namespace}/{name}"))?;
    let Some(found) = found else { return Ok(None) };
    let text = found.data.unwrap_or_default().remove(KEY).unwrap_or_default();
    let record = serde_json::from_str(&text).map(Reading::Record);
    Ok(Some(record.unwrap_or_else(|error| {
        tracing::warn!(%error, "ConfigMap {namespace}/{name} can't be read");
        Reading::Unreadable
    })))
}

pub(super) async fn write(client: &Client, release: ReleaseRef<'_>, record: &Record) -> Result<()> {
    let (name, namespace) = (name(release.release), release.namespace);
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace, "labels": { RELEASE: release.release } },
        "data": { KEY: serde_json::to_string(record).unwrap_or_default() },
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = api(client, namespace).patch(&name, &params, &Patch::Apply(object)).await;
    written.map(drop).doing(|| format!("writing {namespace}/{name}"))
}

pub(super) async fn delete(client: &Client, namespace: &str, release: &str) -> Result<()> {
    let name = name(release);
    gone_is_fine(api(client, namespace).delete(&name, &DeleteParams::default()).await)
        .doing(|| format!("removing {namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let object =
            ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), name: "a".into(), namespace: "n".into() };
        let entry = |uid: &str| Entry { object: object.clone(), uid: uid.into() };
        let record = Record {
            state: State::Applied,
            digest: "d".into(),
            objects: vec![entry(""), entry("u")],
            kept: vec![entry("k")],
        };
        let text = serde_json::to_string(&record).unwrap();
        let expected = r#"{"state":"Applied","digest":"d","objects":[["v1","ConfigMap","n","a"],["v1","ConfigMap","n","a","u"]],"kept":[["v1","ConfigMap","n","a","k"]]}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        // As an earlier version wrote it.
        let earlier = r#"{"state":"Applied","digest":"d","objects":[["v1","ConfigMap","n","a"]]}"#;
        assert_eq!(serde_json::from_str::<Record>(earlier).unwrap().objects, [entry("")]);
        assert!(serde_json::from_str::<Record>(&earlier.replace(r#","a""#, "")).is_err());
    }
}
