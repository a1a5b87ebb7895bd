//! Delivers events to the webhooks of the configuration.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use landlord_core::ports::TenantStore as _;
use landlord_store::Store;
use landlord_webhooks::{Service, Timing, WebhookFigures, WebhookOptions};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts one task for each webhook. A receiver's trouble is its own: no task of it ends the daemon.
///
/// # Errors
/// A webhook that can't be used, though its configuration was checked.
pub(crate) async fn start(
    (installation, daemon): (&str, &str),
    store: Arc<Store>,
    webhooks: Vec<WebhookOptions>,
    figures: &WebhookFigures,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Service> {
    let secret = store.token_secret().await?;
    let service = Service::new((installation, daemon), (store, &secret), webhooks, Timing::default(), figures)
        .map_err(|(name, error)| anyhow!("webhooks.{name}: {error}"))?;
    service.start(tasks, stop);
    Ok(service)
}
