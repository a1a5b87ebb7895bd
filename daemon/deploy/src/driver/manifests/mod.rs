//! The driver over server-side apply, for what Helm has no room for: it keeps a release in one Secret, and definitions of
//! custom resources soon pass the 1 MiB that an API server takes. Charts are rendered by another driver; the record is a
//! ConfigMap with the objects' names, [`record`].
//!
//! # Guarantees
//! An object has exactly one owner: one that exists without this release's mark is refused, before anything is applied. A
//! definition whose objects somebody else still uses is kept, and reported.
//!
//! # Assumptions
//! Hooks are Helm's: a chart that has some is refused.

mod objects;
mod record;

use std::sync::Arc;

use async_trait::async_trait;
use kube::Client;
use landlord_kube::object::ObjectRef;
use serde_json::Value;

use self::{
    objects::{Object, Owner},
    record::{Record, State},
};
use super::{Content, Delivered, DeliveryState, Driver, ReleaseRef};
use crate::error::{Error, Result};

/// The release: as an annotation of an object, the only one that changes or removes it; as a label of a record, what it is
/// found by.
const RELEASE: &str = "landlord.dev/release";
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
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
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
        let mut known = record::read(client, release.namespace, release.release).await?.unwrap_or_default();
        let documents = self.documents(release, content).await?;
        let wanted = objects::resolve(client, release.namespace, documents, &known.objects).await?;
        for object in &wanted {
            object.check_owner(client, &owner).await?;
        }
        // Whatever is made from here on stands in the record.
        let dropped: Vec<ObjectRef> =
            known.objects.drain(..).filter(|old| wanted.iter().all(|new| !new.is(old))).collect();
        let objects: Vec<ObjectRef> = wanted.iter().map(Object::reference).collect();
        let unfinished = Record::new(State::Applying, [objects.as_slice(), &dropped].concat());
        record::write(client, release, &unfinished).await?;
        for object in &wanted {
            object.apply(client, &owner).await?;
        }
        let kept = objects::remove(client, &owner, &dropped).await?;
        for object in &kept {
            tracing::warn!(release = release.release, object = object.what(), "is kept: others use it");
        }
        record::write(client, release, &Record::applied(content.digest, objects)).await?;
        Ok(())
    }

    async fn delivered(
        &self,
        client: &Client,
        namespace: &str,
        release: &str,
    ) -> landlord_kube::Result<Option<Delivered>> {
        let found = record::read(client, namespace, release).await?;
        Ok(found.map(|found| Delivered {
            state: match found.state {
                State::Applying => DeliveryState::Unfinished,
                State::Applied => DeliveryState::Delivered,
                State::Removing => DeliveryState::Removing,
            },
            digest: found.digest,
            objects: Some(found.objects),
            record: record::name(release),
        }))
    }

    async fn remove(&self, client: &Client, release: ReleaseRef<'_>) -> Result<Vec<String>> {
        let Some(found) = record::read(client, release.namespace, release.release).await? else {
            return Ok(Vec::new());
        };
        let removing = Record::new(State::Removing, found.objects);
        record::write(client, release, &removing).await?;
        let kept = objects::remove(client, &Owner::of(release), &removing.objects).await?;
        record::delete(client, release.namespace, release.release).await?;
        Ok(kept.iter().map(objects::Kept::what).collect())
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
