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

/// One release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) state: State,
    /// Of what is applied; empty while it is not known.
    pub(super) digest: String,
    #[serde(with = "names")]
    pub(super) objects: Vec<ObjectRef>,
}

impl Record {
    /// What is not applied as a whole has no digest.
    pub(super) fn new(state: State, objects: Vec<ObjectRef>) -> Self {
        Self { state, digest: String::new(), objects }
    }

    pub(super) fn applied(digest: &str, objects: Vec<ObjectRef>) -> Self {
        Self { state: State::Applied, digest: digest.to_owned(), objects }
    }
}

/// Objects as they stand in a record: apiVersion, kind, namespace (empty: of the whole cluster), name.
mod names {
    use landlord_kube::object::ObjectRef;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    type Name = [String; 4];

    pub(super) fn serialize<S: Serializer>(objects: &[ObjectRef], serializer: S) -> Result<S::Ok, S::Error> {
        let of = |object: &ObjectRef| -> Name {
            [&object.api_version, &object.kind, &object.namespace, &object.name].map(Clone::clone)
        };
        objects.iter().map(of).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ObjectRef>, D::Error> {
        let all = Vec::<Name>::deserialize(deserializer)?;
        let of = |[api_version, kind, namespace, name]: Name| ObjectRef { api_version, kind, name, namespace };
        Ok(all.into_iter().map(of).collect())
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
pub(super) async fn read(client: &Client, namespace: &str, release: &str) -> Result<Option<Record>> {
    let name = name(release);
    let found = api(client, namespace).get_opt(&name).await.doing(|| format!("reading {namespace}/{name}"))?;
    let Some(found) = found else { return Ok(None) };
    let text = found.data.unwrap_or_default().remove(KEY).unwrap_or_default();
    let record = serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "ConfigMap {namespace}/{name} can't be read; the release is applied again");
        Record::default()
    });
    Ok(Some(record))
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
        let record = Record { state: State::Applied, digest: "d".into(), objects: vec![object] };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, r#"{"state":"Applied","digest":"d","objects":[["v1","ConfigMap","n","a"]]}"#);
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
