//! Revisions of stacks and platforms between the disk, the store and those who deploy: what lies on disk is kept, environments
//! without a revision name it, and what they name otherwise is read from the store. What can't be used is shown by whoever names it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use landlord_core::{
    ports::{RevisionStore, StoreError},
    revision::{CurrentRevisions, RevisionKey},
};
use landlord_deploy::{StackApps, chart::ChartMirrors};
use tokio_util::sync::CancellationToken;

/// Another daemon may have accepted a tenant with a revision that this one has not read; it works on it within this time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// What lies on disk.
#[derive(Debug, Default)]
pub(crate) struct OnDisk {
    pub(crate) current: CurrentRevisions,
    pub(crate) contents: Vec<(RevisionKey, Vec<u8>)>,
}

/// Keeps what lies on disk, and has environments name it that name nothing yet. Before any of them is worked on.
///
/// # Errors
/// A store that can't be written.
pub(crate) async fn keep(store: &dyn RevisionStore, on_disk: OnDisk) -> Result<()> {
    let failed = "keeping the revisions of stacks and platforms";
    store.keep_revisions(on_disk.contents).await.context(failed)?;
    let pinned = store.pin_revisions(&on_disk.current).await.context(failed)?;
    if pinned > 0 {
        tracing::info!(environments = pinned, "name the revisions now that they run");
    }
    Ok(())
}

/// Reads what environments name and is not there yet, now and then until cancelled. The first time is over when this begins.
pub(crate) async fn follow(
    store: Arc<dyn RevisionStore>,
    apps: Arc<StackApps>,
    mirrors: ChartMirrors,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(REFRESH_INTERVAL)).await.is_some() {
        if let Err(error) = load(&*store, &apps, &mirrors).await {
            tracing::warn!(%error, "which revisions are named is not known");
        }
    }
}

/// Reads what environments name and is not there yet.
pub(crate) async fn load(
    store: &dyn RevisionStore,
    apps: &StackApps,
    mirrors: &ChartMirrors,
) -> Result<(), StoreError> {
    for key in store.named_revisions().await?.into_iter().filter(|key| !apps.has_revision(key)) {
        let RevisionKey { kind, name, id } = &key;
        let (kind, revision) = (kind.as_str(), id.as_str());
        match store.revision(&key).await? {
            None => {
                let problem = "it is named and the store does not keep it";
                tracing::error!(kind, name, revision, "{problem}; restore the store from a backup");
                apps.refuse_revision(&key, problem);
            }
            Some(content) => match apps.add_revision(&key, &content, mirrors) {
                Ok(()) => tracing::info!(kind, name, revision, "an earlier revision is loaded"),
                Err(error) => {
                    tracing::error!(kind, name, revision, %error, "a revision can't be used");
                    apps.refuse_revision(&key, &error.to_string());
                }
            },
        }
    }
    Ok(())
}
