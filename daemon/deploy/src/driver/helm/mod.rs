//! The driver over the pinned Helm binary: `process` runs it, `fetch` brings charts that lie elsewhere, `records` reads what it wrote
//! down, `slots` bounds how many run at once.

mod fetch;
mod process;
mod records;
mod slots;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use landlord_kube::{Doing as _, absent::gone_is_fine};
use serde_json::{Value, json};

pub(crate) use self::process::Helm;
pub use self::process::Registries;
use self::{
    process::DIGEST_LABEL,
    records::{Revision, Status},
};
use super::{Content, Delivered, DeliveryState, Driver, ReleaseRef, Removal};
use crate::error::Result;

/// Who Helm is in server-side apply, whatever its file is called.
/// <https://github.com/helm/helm/blob/main/cmd/helm/helm.go>
pub(crate) const MANAGER: &str = "helm";

/// Marks an object as Helm does before it applies it.
pub(crate) fn mark(object: &mut Value, release: &str, namespace: &str) {
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    object["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!(release);
    object["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!(namespace);
}

#[async_trait]
impl Driver for Helm {
    async fn manifest(&self, release: ReleaseRef<'_>, content: Content<'_>) -> Result<String> {
        self.template(release, content.chart, content.values).await
    }

    async fn deliver(&self, client: &Client, release: ReleaseRef<'_>, content: Content<'_>) -> Result<()> {
        forget_unfinished(client, release.namespace, release.release).await?;
        self.upgrade(release, content.chart, content.values, content.digest).await
    }

    async fn delivered(
        &self,
        client: &Client,
        namespace: &str,
        release: &str,
    ) -> landlord_kube::Result<Option<Delivered>> {
        let newest = revisions(client, namespace, release).await?.pop();
        Ok(newest.map(|revision| Delivered {
            state: match revision.status {
                Status::Deployed => DeliveryState::Delivered,
                Status::Pending | Status::Other => DeliveryState::Unfinished,
                Status::Uninstalling => DeliveryState::Removing,
            },
            objects: revision.objects(namespace),
            digest: revision.digest,
            record: revision.secret,
        }))
    }

    async fn remove(&self, _client: &Client, release: ReleaseRef<'_>) -> Result<Removal> {
        self.uninstall(release).await?;
        Ok(Removal::default())
    }
}

/// Cleans up behind a killed Helm. The caller's fence proves that no other Helm runs, so what is pending will never end by
/// itself: its record goes, what it made is taken over by the next run, since it carries the release's name. What it changed
/// no longer is as the older record says, so that record first loses its digest: whatever happens next, the release will be
/// applied again.
async fn forget_unfinished(client: &Client, namespace: &str, release: &str) -> landlord_kube::Result<()> {
    let mut all = revisions(client, namespace, release).await?;
    while let Some(newest) = all.last().filter(|newest| newest.status == Status::Pending) {
        tracing::warn!(record = newest.secret, "an unfinished Helm run is cleaned up");
        for older in all.iter().filter(|revision| revision.status == Status::Deployed) {
            distrust(client, namespace, &older.secret).await?;
        }
        delete_record(client, namespace, &newest.secret).await?;
        all = revisions(client, namespace, release).await?;
    }
    Ok(())
}

/// The revisions of a release, oldest first.
async fn revisions(client: &Client, namespace: &str, release: &str) -> landlord_kube::Result<Vec<Revision>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let selector = ListParams::default().labels(&format!("owner=helm,name={release}"));
    let secrets = secrets.list(&selector).await.doing(|| format!("reading Helm's records of {namespace}/{release}"))?;
    Ok(records::revisions(secrets.items))
}

/// Takes a record's digest away.
async fn distrust(client: &Client, namespace: &str, name: &str) -> landlord_kube::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let change = json!({ "metadata": { "labels": { DIGEST_LABEL: null } } });
    let patched = secrets.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    patched.map(drop).doing(|| format!("marking {namespace}/{name}"))
}

async fn delete_record(client: &Client, namespace: &str, name: &str) -> landlord_kube::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    gone_is_fine(secrets.delete(name, &DeleteParams::default()).await).doing(|| format!("removing {namespace}/{name}"))
}
