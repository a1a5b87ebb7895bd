//! What every pass shares, and how errors are logged.

use std::time::Duration;

use landlord_core::{
    ProviderName,
    journal::{RetryRules, TRIAL_TIMEOUT},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    access::AccessCache,
    boot_clock::BootClock,
    clock::ClockWatch,
    holds::Holds,
    limits::Limits,
    observed::Observed,
    options::{EngineOptions, EnginePorts, ProviderOptions},
    timing::Scales,
    turns::Turns,
};

/// No stage of a cloud is left alone for longer before its first observation, before scaling.
const LONGEST_STAGE: Duration = Duration::from_secs(60 * 60);
/// Nothing else waits for longer between two observations: a removal that fails with INTERNAL is tried again after five minutes.
const LONGEST_CHECK: Duration = Duration::from_secs(5 * 60);

/// What every pass shares.
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) ports: EnginePorts,
    pub(crate) limits: Limits,
    pub(crate) access: AccessCache,
    pub(crate) holds: Holds,
    pub(crate) boot_clock: BootClock,
    pub(crate) clock: ClockWatch,
    pub(crate) turns: Turns,
    pub(crate) observed: Observed,
    pub(crate) hint: Notify,
    /// The daemon ends: no call begins any more, so that others can go on soon.
    pub(crate) stopping: CancellationToken,
}

impl Shared {
    pub(crate) fn provider_options(&self, provider: &ProviderName) -> ProviderOptions {
        self.options.providers.get(provider).cloned().unwrap_or_default()
    }

    /// How fast a provider's cloud, and what is done in clusters, goes.
    pub(crate) fn scales(&self, provider: &ProviderName) -> Scales {
        Scales { cloud: self.provider_options(provider).time_scale, in_cluster: self.options.in_cluster_time_scale }
    }

    /// Longest that anything legitimately waits for its next observation.
    pub(crate) fn longest_wait(&self) -> Duration {
        let scales = self.options.providers.values().map(|provider| provider.time_scale);
        let stage = LONGEST_STAGE.mul_f64(scales.reduce(f64::max).unwrap_or(1.0));
        self.options.resync_interval.max(self.options.capacity_interval).max(stage).max(LONGEST_CHECK)
    }

    /// The retry rules for work at a time scale.
    pub(crate) fn rules(&self, time_scale: f64, on_trial: bool) -> RetryRules {
        RetryRules {
            retry_timeout: self.options.retry_timeout,
            teardown_timeout: self.options.teardown_timeout,
            resync_interval: self.options.resync_interval,
            capacity_interval: self.options.capacity_interval,
            time_scale,
            trial_timeout: on_trial.then(|| TRIAL_TIMEOUT.mul_f64(self.options.in_cluster_time_scale)),
        }
    }
}
