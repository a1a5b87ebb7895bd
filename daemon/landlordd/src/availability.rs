//! Has environments that were READY looked at, as the configuration wants it.

use std::sync::Arc;

use anyhow::Result;
use landlord_deploy::{ProbeOptions, WebProbe};
use landlord_engine::{AvailabilityFigures, AvailabilityOptions, AvailabilityWatch, EngineHandle};
use landlord_store::Store;

use crate::config::Config;

/// Who looks; `None`: nobody shall.
///
/// # Errors
/// A resolver or a network that is none.
pub(crate) fn watch(
    config: &Config,
    daemon: &str,
    store: Arc<Store>,
    engine: EngineHandle,
    figures: AvailabilityFigures,
) -> Result<Option<AvailabilityWatch>> {
    let (checks, availability) = (&config.deploy.checks, &config.availability);
    if !availability.enabled || !checks.from_outside {
        return Ok(None);
    }
    let probe = WebProbe::new(ProbeOptions {
        resolver: crate::in_cluster::address("resolver", &checks.resolver)?,
        proxy: crate::in_cluster::address("proxy", &checks.proxy)?,
        trusted_ca: Some(checks.trusted_ca.clone()).filter(|path| !path.as_os_str().is_empty()),
        allowed: crate::in_cluster::networks(config)?,
    });
    let options = AvailabilityOptions { owner: daemon.to_owned(), interval: availability.interval.get() };
    Ok(Some(AvailabilityWatch::new(options, store, Arc::new(probe), Arc::new(engine), figures)))
}
