//! The driver over server-side apply, for what Helm has no room for: it keeps a release in one Secret, and definitions of
//! custom resources soon pass the 1 MiB that an API server takes. Charts are rendered by another driver; the record is a
//! ConfigMap with the objects' names, [`record`].
//!
//! # Guarantees
//! An object has exactly one owner: one that exists without this release's mark is refused, before anything is applied. What the
//! record says was made is never taken for gone because its mark is, and what has its name and is not it is never removed: the
//! record has the uids. A definition whose objects somebody else still uses is kept, reported, and gone when they are.
//!
//! # Assumptions
//! Hooks are Helm's: a chart that has some is refused.

mod objects;
mod record;

use std::sync::Arc;

use async_trait::async_trait;
use kube::Client;
use landlord_kube::yaml;
use serde_json::Value;

use self::{
    objects::{Object, Owner},
    record::{Entry, Reading, Record, State},
};
use super::{Content, Delivered, DeliveryState, Driver, ReleaseRef, Removal};
use crate::error::{Error, Result};

/// The release: as an annotation of an object, the only one that changes or removes it; as a label of a record, what it is
/// found by.
pub(crate) const RELEASE: &str = "landlord.dev/release";
/// What marks an object of a chart as a hook.
const HOOK_POINTER: &str = "/metadata/annotations/helm.sh~1hook";

/// Applies what another driver renders.
pub(crate) struct Manifests {
    renderer: Arc<dyn Driver>,
}

impl Manifests {
    pub(crate) fn new(renderer: Arc<dyn Driver>) -> Self {
        Self { renderer }
    }

    async fn documents(&self, release: ReleaseRef<'_>, content: Content<'_>) -> Result<Vec<Value>> {
        let text = self.renderer.manifest(release, content).await?;
        documents(&text).map_err(|problem| Error::Manifests { release: release.release.to_owned(), problem })
    }
}

/// The objects of a rendered chart, in its order.
fn documents(text: &str) -> std::result::Result<Vec<Value>, String> {
    let documents = yaml::documents(text)?;
    for document in &documents {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let what = format!("{} {}", text("/kind"), text("/metadata/name"));
        if ["/apiVersion", "/kind", "/metadata/name"].iter().any(|pointer| text(pointer).is_empty()) {
            return Err(format!("{what:?} has no apiVersion, kind or name"));
        }
        if document.pointer(HOOK_POINTER).is_some() {
            return Err(format!("{what} is a hook, which only Helm runs"));
        }
    }
    Ok(documents)
}

#[async_trait]
impl Driver for Manifests {
    async fn manifest(&self, release: ReleaseRef<'_>, content: Content<'_>) -> Result<String> {
        self.renderer.manifest(release, content).await
    }

    async fn deliver(&self, client: &Client, release: ReleaseRef<'_>, content: Content<'_>) -> Result<()> {
        let owner = Owner::of(release);
        let known = match record::read(client, release.namespace, release.release).await? {
            Some(Reading::Record(known)) => known,
            // What it named can't be known any more: what the chart has is applied again, and recorded.
            Some(Reading::Unreadable) | None => Record::default(),
        };
        let known: Vec<Entry> = known.objects.into_iter().chain(known.kept).collect();
        let documents = self.documents(release, content).await?;
        let wanted = objects::resolve(client, release.namespace, documents, &known).await?;
        for object in &wanted {
            object.check_owner(client, &owner, &known).await?;
        }
        // Whatever is made from here on stands in the record.
        let dropped: Vec<Entry> =
            known.iter().filter(|old| wanted.iter().all(|new| !new.is(&old.object))).cloned().collect();
        let with_uid = |object: &Object| {
            let uid = known.iter().find(|old| object.is(&old.object)).map(|old| old.uid.clone()).unwrap_or_default();
            Entry { object: object.reference(), uid }
        };
        let objects = wanted.iter().map(with_uid).chain(dropped.iter().cloned()).collect();
        let unfinished = Record { state: State::Applying, objects, ..Record::default() };
        record::write(client, release, &unfinished).await?;
        let mut objects = Vec::with_capacity(wanted.len());
        for object in &wanted {
            objects.push(object.apply(client, &owner).await?);
        }
        let left = objects::remove(client, &owner, &dropped).await?;
        for (_, what) in &left.kept {
            tracing::warn!(release = release.release, object = what, "is kept: others use it");
        }
        // What is kept, or still ends, stays in the record: it goes with a later delivery or with the release.
        let kept = left.kept.into_iter().chain(left.ending).map(|(entry, _)| entry).collect();
        let applied = Record { state: State::Applied, digest: content.digest.to_owned(), objects, kept };
        record::write(client, release, &applied).await?;
        Ok(())
    }

    async fn delivered(
        &self,
        client: &Client,
        namespace: &str,
        release: &str,
    ) -> landlord_kube::Result<Option<Delivered>> {
        let delivered = |state, digest, objects| Delivered { state, digest, objects, record: record::name(release) };
        Ok(match record::read(client, namespace, release).await? {
            None => None,
            Some(Reading::Unreadable) => Some(delivered(DeliveryState::Unfinished, String::new(), None)),
            Some(Reading::Record(found)) => {
                let state = match found.state {
                    State::Applying => DeliveryState::Unfinished,
                    State::Applied => DeliveryState::Delivered,
                    State::Removing => DeliveryState::Removing,
                };
                let objects = found.objects.into_iter().map(|entry| entry.object).collect();
                Some(delivered(state, found.digest, Some(objects)))
            }
        })
    }

    async fn remove(&self, client: &Client, release: ReleaseRef<'_>) -> Result<Removal> {
        let owner = Owner::of(release);
        let found = match record::read(client, release.namespace, release.release).await? {
            None => return Ok(Removal::default()),
            // Only the record says what has to go: without it nothing is gone.
            Some(Reading::Unreadable) => {
                return Err(Error::Record {
                    record: format!("{}/{}", release.namespace, record::name(release.release)),
                    mark: owner.mark(),
                });
            }
            Some(Reading::Record(found)) => found,
        };
        let removing = Record { state: State::Removing, digest: String::new(), ..found };
        record::write(client, release, &removing).await?;
        let all = [removing.objects, removing.kept].concat();
        let left = objects::remove(client, &owner, &all).await?;
        if left.ending.is_empty() {
            record::delete(client, release.namespace, release.release).await?;
        }
        let words = |all: Vec<(Entry, String)>| all.into_iter().map(|(_, what)| what).collect();
        Ok(Removal { kept: words(left.kept), ending: words(left.ending) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_and_nameless_objects_are_refused() {
        let plain = "---\n# Source: a\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n---\n# nothing\n";
        assert_eq!(documents(plain).unwrap().len(), 1);
        let hook =
            "apiVersion: batch/v1\nkind: Job\nmetadata: { name: j, annotations: { helm.sh/hook: pre-install } }\n";
        assert_eq!(documents(hook).unwrap_err(), "Job j is a hook, which only Helm runs");
        assert!(documents("apiVersion: v1\nkind: List\nitems: []\n").unwrap_err().contains("no apiVersion"));
    }
}
