//! The part of a call that has an authority asked for a certificate: nothing is made that would, before there is a place for it among
//! those that the authority gives this installation.

use std::time::Duration;

use landlord_core::{
    CertificateOrder, ErrorKind, Failure,
    certificate::{Allowance, CertificateWait, OrderLimits},
    journal::CallReport,
    ports::StoreError,
};

use super::{Call, Report};

/// Longest time until a place is looked for again: others' tenants may have gone, and limits may have been raised.
const PLACE_POLL_MAX: Duration = Duration::from_secs(10 * 60);
/// Shortest: a place is free to the second.
const PLACE_POLL_MIN: Duration = Duration::from_secs(1);

impl Call<'_> {
    /// Makes something that orders a certificate, once there is a place for that; `None`: it orders none.
    pub(super) async fn ordering(&self, order: Option<CertificateOrder>, made: impl Future<Output = Report>) -> Report {
        if let Some(order) = order
            && let Allowance::Wait(wait) = self.place(&order).await?
        {
            return Ok(self.waiting(&wait));
        }
        let report = made.await?;
        // What was waited for is over.
        Ok(CallReport { status: report.status.or_else(|| Some(Vec::new())), ..report })
    }

    async fn place(&self, order: &CertificateOrder) -> Result<Allowance, Failure> {
        // Also without limits: they may come, and then it is known what was ordered.
        let limits = self.shared.options.certificate_limits.get(&order.authority).unwrap_or(&OrderLimits::NONE);
        let served = self.work.environment.status.observed_generation > 0;
        let placed = self.shared.ports.store.order_certificate(self.claim, order, limits, served).await;
        placed.map_err(|error: StoreError| {
            Failure::new(ErrorKind::Transient, format!("a place for the certificate could not be looked up: {error}"))
                .with_remedy("the operator sees why the store does not respond")
        })
    }

    fn waiting(&self, wait: &CertificateWait) -> CallReport {
        let longest = PLACE_POLL_MAX.mul_f64(self.shared.options.in_cluster_time_scale);
        let poll = wait.until.since(self.work.now).max(PLACE_POLL_MIN).min(longest);
        CallReport {
            wait: Some(poll),
            poll_after: poll,
            detail: wait.to_string(),
            status: serde_json::to_vec(wait).ok(),
            ..CallReport::default()
        }
    }
}
