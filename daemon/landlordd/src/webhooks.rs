//! Delivers events to the webhooks of the configuration.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use landlord_core::ports::TenantStore as _;
use landlord_store::Store;
use landlord_webhooks::{Service, Timing, WebhookFigures};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::Checked;

/// Starts one task for each webhook. A receiver's failure is its own: no task of it ends the daemon.
///
/// # Errors
/// A webhook that can't be used, though its configuration was checked.
pub(crate) async fn start(
    checked: &Checked,
    daemon: &str,
    store: &Store,
    figures: &WebhookFigures,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Service> {
    let secret = store.token_secret().await?;
    let service = Service::new(
        (&checked.installation, daemon),
        (Arc::new(store.clone()), &secret),
        checked.webhooks.clone(),
        Timing::default(),
        figures,
    )
    .map_err(|(name, error)| anyhow!("webhooks.{name}: {error}"))?;
    service.start(tasks, stop);
    Ok(service)
}
