//! Objects of a release: whose they are, applied, and taken away again.

use std::collections::BTreeMap;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::Scope,
};
use landlord_kube::{
    Doing as _, Error, Result,
    absent::{self, exactly, gone_is_fine, known},
    markers::FIELD_MANAGER,
    object::{DEFINITION, ObjectRef, resource, scope},
};
use serde_json::{Value, json};

use super::{RELEASE, record::Entry};
use crate::driver::ReleaseRef;

/// Objects of a definition that are looked at: one that somebody else has is mostly among the first.
const USERS_MAX: u32 = 500;

/// A release as its objects name it.
pub(super) struct Owner(String);

impl Owner {
    pub(super) fn of(release: ReleaseRef<'_>) -> Self {
        Self(format!("{}/{}", release.namespace, release.release))
    }

    /// The mark, for messages.
    pub(super) fn mark(&self) -> String {
        format!("{RELEASE}={}", self.0)
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

/// What a removal left.
#[derive(Default)]
pub(super) struct Left {
    /// Definitions that stay since others use them, and by how many objects, for messages.
    pub(super) kept: Vec<(Entry, String)>,
    /// Definitions held by objects on their way out, and by which, for messages.
    pub(super) ending: Vec<(Entry, String)>,
}

/// Who still has objects of a definition.
enum Users {
    Nobody,
    /// Somebody whose objects are to stay: so many, 2 for several.
    Others(usize),
    /// Only what is on its way out, by name.
    Ending(String),
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

    /// Refuses what exists and is somebody else's. What the record knows by its uid is ours, whatever it is marked with.
    pub(super) async fn check_owner(&self, client: &Client, owner: &Owner, recorded: &[Entry]) -> Result<()> {
        let found = self.api(client).get_metadata_opt(&self.name).await;
        let Some(found) = found.doing(|| format!("reading {}", self.what()))? else { return Ok(()) };
        let known = recorded.iter().find(|entry| self.is(&entry.object)).map_or("", |entry| entry.uid.as_str());
        match whose(owner, known, &found.metadata) {
            Whose::Ours => Ok(()),
            Whose::Anothers | Whose::Unmarked => Err(Error::NameTaken { what: self.what() }),
        }
    }

    /// Applies it; gives it with the uid that it has.
    pub(super) async fn apply(&self, client: &Client, owner: &Owner) -> Result<Entry> {
        let mut body = self.body.clone();
        body["metadata"]["annotations"][RELEASE] = json!(owner.0);
        if !self.namespace.is_empty() {
            body["metadata"]["namespace"] = json!(self.namespace);
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api(client).patch(&self.name, &params, &Patch::Apply(&body)).await;
        let applied = applied.doing(|| format!("applying {}", self.what()))?;
        Ok(Entry { object: self.reference(), uid: applied.metadata.uid.unwrap_or_default() })
    }
}

/// Whose an object is by its marks and by what is recorded of it.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    /// It carries our mark, or is the very one that was recorded and nobody has put another mark on it.
    Ours,
    /// Another release has it, or it was made by somebody else after ours had gone.
    Anothers,
    /// It has no mark, and which one was ours is not recorded.
    Unmarked,
}

fn whose(owner: &Owner, recorded: &str, found: &ObjectMeta) -> Whose {
    let mark = found.annotations.as_ref().and_then(|annotations| annotations.get(RELEASE));
    let is_it = !recorded.is_empty() && found.uid.as_deref() == Some(recorded);
    match mark {
        Some(mark) if *mark == owner.0 => Whose::Ours,
        None if is_it => Whose::Ours,
        None if recorded.is_empty() => Whose::Unmarked,
        Some(_) | None => Whose::Anothers,
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
    known: &[Entry],
) -> Result<Vec<Object>> {
    let mut scopes: BTreeMap<(String, String), bool> = known
        .iter()
        .map(|e| &e.object)
        .map(|o| ((o.api_version.clone(), o.kind.clone()), !o.namespace.is_empty()))
        .collect();
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
    // Of the API itself: needs no question.
    if resource.kind == DEFINITION {
        return Ok(false);
    }
    let found = scope(client, resource).await.doing(|| format!("asking for the kind {}", resource.kind))?;
    let found = found.ok_or_else(|| Error::Lacking {
        what: format!("the API server does not know the kind {} of {}", resource.kind, resource.api_version),
        remedy: "landlord tries again by itself; if it lasts, the platform's author puts the release that brings the kind \
                 along before this one",
    })?;
    Ok(found == Scope::Namespaced)
}

/// Takes objects of a release away, the last first and definitions last of all.
pub(super) async fn remove(client: &Client, owner: &Owner, entries: &[Entry]) -> Result<Left> {
    let (definitions, others): (Vec<_>, Vec<_>) = entries.iter().rev().partition(|e| e.object.kind == DEFINITION);
    for entry in others {
        remove_one(client, owner, entry).await?;
    }
    let mut left = Left::default();
    for definition in definitions {
        let name = &definition.object.name;
        match users(client, owner, name).await? {
            Users::Nobody => remove_one(client, owner, definition).await?,
            Users::Others(used) => {
                let more = if used > 1 { " or more" } else { "" };
                let what = format!("{DEFINITION} {name} ({used}{more} of its objects exist)");
                left.kept.push((definition.clone(), what));
            }
            Users::Ending(what) => {
                left.ending.push((definition.clone(), format!("{what}, which holds {DEFINITION} {name}")));
            }
        }
    }
    Ok(left)
}

async fn remove_one(client: &Client, owner: &Owner, entry: &Entry) -> Result<()> {
    let object = &entry.object;
    let api = api(client, &object.namespace, &resource(&object.api_version, &object.kind));
    let doing = || format!("removing {} {}", object.kind, object.name);
    // The object is gone, or the kind itself.
    let Some(found) = known(api.get_metadata(&object.name).await).doing(doing)? else { return Ok(()) };
    match whose(owner, &entry.uid, &found.metadata) {
        Whose::Anothers => Ok(()),
        // What the record says we made is ours to account for: it is not gone since its mark is.
        Whose::Unmarked => {
            Err(Error::Unmarked { what: format!("{} {}", object.kind, object.name), mark: owner.mark() })
        }
        Whose::Ours => gone_is_fine(api.delete(&object.name, &exactly(found.metadata.uid)).await).doing(doing),
    }
}

/// Whose objects of a definition's kind there are. With the definition they would go.
async fn users(client: &Client, owner: &Owner, definition: &str) -> Result<Users> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = definitions.get_opt(definition).await.doing(|| format!("reading {DEFINITION} {definition}"))?;
    let Some(found) = found else { return Ok(Users::Nobody) };
    let spec = found.spec;
    let Some(version) = spec.versions.iter().find(|version| version.served) else { return Ok(Users::Nobody) };
    let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
    let kind = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let listed = known(objects.list_metadata(&ListParams::default().limit(USERS_MAX)).await)
        .doing(|| format!("listing the objects of {definition}"))?;
    // It is not served yet, or not any more: nobody can have made one.
    let Some(listed) = listed else { return Ok(Users::Nobody) };
    judged(owner, &spec.names.kind, listed.items.iter().map(|object| &object.metadata))
}

/// Our own that are asked to go are no users; while they end, the definition has to wait for them.
fn judged<'a>(owner: &Owner, kind: &str, objects: impl Iterator<Item = &'a ObjectMeta>) -> Result<Users> {
    let (mut others, mut ending) = (0, None);
    for meta in objects {
        match &meta.deletion_timestamp {
            Some(since) => ending = ending.or(Some((meta, since))),
            None if owner.has(meta.annotations.as_ref()) => {}
            None => others += 1,
        }
    }
    let Some((meta, since)) = ending.filter(|_| others == 0) else {
        return Ok(if others == 0 { Users::Nobody } else { Users::Others(others.min(2)) });
    };
    let place = meta.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let name = format!("{kind} {place}{}", meta.name.clone().unwrap_or_default());
    let finalizers = meta.finalizers.clone().unwrap_or_default().join(", ");
    match absent::stuck(&name, since, &format!("its finalizers: {finalizers}")) {
        Some(what) => Err(Error::Stuck { what }),
        None => Ok(Users::Ending(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_object_is_ours_by_its_mark_or_by_its_uid_and_never_absent_for_lack_of_a_mark() {
        let owner = Owner("n/r".into());
        let marked = |mark: Option<&str>| {
            let annotations = mark.map(|mark| json!({ RELEASE: mark })).unwrap_or(json!({ "other": "x" }));
            meta(json!({ "uid": "one", "annotations": annotations }))
        };
        // Recorded uid, mark, whose.
        let cases = [
            ("one", Some("n/r"), Whose::Ours),
            ("", Some("n/r"), Whose::Ours),
            // Recreated by a delivery that did not end.
            ("two", Some("n/r"), Whose::Ours),
            ("one", None, Whose::Ours),
            ("two", None, Whose::Anothers),
            ("", None, Whose::Unmarked),
            ("one", Some("n/other"), Whose::Anothers),
        ];
        for (recorded, mark, expected) in cases {
            assert_eq!(whose(&owner, recorded, &marked(mark)), expected, "{recorded} {mark:?}");
        }
    }

    #[test]
    fn own_objects_that_end_are_no_users_and_are_waited_for() {
        let owner = Owner("n/r".into());
        let live = meta(json!({ "name": "a", "namespace": "x" }));
        let own = meta(json!({ "name": "b", "annotations": { RELEASE: "n/r" } }));
        // Still to come: it has been ending for no time at all.
        let ending = meta(json!({ "name": "c", "namespace": "x", "deletionTimestamp": "2100-01-01T00:00:00Z" }));
        let old = meta(json!({ "name": "c", "deletionTimestamp": "2020-01-01T00:00:00Z", "finalizers": ["f/x"] }));
        let of = |all: &[&ObjectMeta]| judged(&owner, "Door", all.iter().copied());
        assert!(matches!(of(&[]), Ok(Users::Nobody)));
        assert!(matches!(of(&[&own]), Ok(Users::Nobody)));
        assert!(matches!(of(&[&live, &ending, &own]), Ok(Users::Others(1))));
        assert!(matches!(of(&[&live, &live, &live]), Ok(Users::Others(2))));
        assert!(matches!(of(&[&ending, &own]), Ok(Users::Ending(what)) if what == "Door x/c"));
        let stuck = of(&[&old]).err().unwrap().to_string();
        assert!(stuck.contains("Door c has been ending for") && stuck.contains("f/x"), "{stuck}");
    }
}
