//! How many calls of AWS the plugin makes, reported to the daemon as its own measurement. Sees no request and no response.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_sdk_eks::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};

/// Counts every attempt of every SDK client that has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallCount(Arc<AtomicU64>);

impl Intercept for CallCount {
    fn name(&self) -> &'static str {
        "CallCount"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let calls = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(metric = "aws_calls", value = calls);
        Ok(())
    }
}
