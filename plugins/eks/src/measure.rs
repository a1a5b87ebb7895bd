//! How many calls of AWS the plugin makes, told to the daemon as its own measurement. Sees no request and no answer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_sdk_eks::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use landlord_provider_api::usage;

use crate::action;

/// Counts every attempt of every SDK client that has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallCount {
    all: Arc<AtomicU64>,
    service: &'static str,
}

impl CallCount {
    /// For the clients of one service, by its signing name.
    pub(crate) fn of(&self, service: &'static str) -> Self {
        Self { all: Arc::clone(&self.all), service }
    }

    /// One attempt of one action.
    pub(crate) fn count(&self, bucket: &str) {
        let calls = self.all.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(metric = "aws_calls", value = calls);
        usage::count(bucket);
    }
}

impl Intercept for CallCount {
    fn name(&self) -> &'static str {
        "CallCount"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let name = config.load::<Metadata>().map_or("", Metadata::name);
        self.count(action::bucket(self.service, name));
        Ok(())
    }
}
