//! The part of a call that has an authority asked for a certificate: nothing is made that would, before there is a place for it among
//! those that the authority gives this installation.

use std::{fmt, sync::Arc, time::Duration};

use landlord_core::{
    CertificateOrder, DesiredState, ErrorKind, Failure,
    certificate::{self, Allowance, CertificateWait, OrderLimits},
    journal::CallReport,
    ports::{DeployTarget, StoreError},
    step::record_in,
};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::{Call, Report, in_cluster::stage_progress};
use crate::request;

/// Longest time until a place is looked for again: others' tenants may have gone, and limits may have been raised.
const PLACE_POLL_MAX: Duration = Duration::from_secs(10 * 60);
/// Shortest: a place is free to the second.
const PLACE_POLL_MIN: Duration = Duration::from_secs(1);
/// Within so long all that wait for the same place look for it: hundreds at the same moment would keep the store from everybody else.
const PLACE_POLL_SPREAD: Duration = Duration::from_secs(30);

impl Call<'_> {
    /// Makes something that orders a certificate, once there is a place for that; `None`: it orders none.
    pub(super) async fn ordering(&self, order: Option<CertificateOrder>, made: impl Future<Output = Report>) -> Report {
        if let Some(order) = order
            && let Allowance::Wait(wait) = self.place(&order).await?
        {
            return Ok(self.waiting(&wait));
        }
        let record = record_in(self.work, DesiredState::Present, self.stage);
        if record.and_then(certificate::wait).is_some() {
            // That is recorded first: whatever becomes of what is made now, nobody waits for a place any more.
            let detail = "its certificate can be ordered".to_owned();
            let (wait, status) = (Some(Duration::ZERO), Some(Vec::new()));
            return Ok(CallReport { wait, detail, status, ..CallReport::default() });
        }
        made.await
    }

    /// What keeps a tenant apart from others, with its listeners, which order its certificate.
    pub(super) async fn isolation(&self, target: &DeployTarget) -> Report {
        let isolation = &self.shared.ports.isolation;
        let made = async { self.kube(isolation.ensure(target).await).map(stage_progress) };
        match self.kube(isolation.certificate(target).await) {
            Ok(order) => self.ordering(order, made).await,
            // Whoever issues: who works for its customer is kept apart.
            Err(failure) if self.has_served() => match made.await? {
                report if report.done => Err(failure),
                report => Ok(report),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Whether the tenant was READY once.
    fn has_served(&self) -> bool {
        request::was_ready(&self.work.environment)
    }

    async fn place(&self, order: &CertificateOrder) -> Result<Allowance, Failure> {
        // Also without limits: they may come, and then it is known what was ordered.
        let limits = *self.shared.options.certificate_limits.get(&order.authority).unwrap_or(&OrderLimits::NONE);
        let (store, claim, order) = (Arc::clone(&self.shared.ports.store), self.claim.clone(), order.clone());
        let served = self.has_served();
        let place = async move { store.order_certificate(&claim, &order, &limits, served).await };
        // A task, for a call rests while its pass writes down what another one brought, or loads: it would hold one of the few
        // connections by which engines read meanwhile, and a load waits for one. It ends with the call.
        let mut task = JoinSet::new();
        task.spawn(place.in_current_span());
        let failed = |kind: ErrorKind, why: &dyn fmt::Display| {
            Failure::new(kind, format!("a place for the certificate could not be looked up: {why}"))
                .with_remedy("the operator sees why the store does not respond")
        };
        match task.join_next().await {
            Some(Ok(placed)) => placed.map_err(|error: StoreError| failed(ErrorKind::Transient, &error)),
            Some(Err(error)) => Err(failed(ErrorKind::Internal, &error)),
            None => Err(failed(ErrorKind::Internal, &"nothing was asked")),
        }
    }

    fn waiting(&self, wait: &CertificateWait) -> CallReport {
        let scaled = |duration: Duration| duration.mul_f64(self.shared.options.in_cluster_time_scale);
        let free = wait.until.since(self.work.now).max(PLACE_POLL_MIN).min(scaled(PLACE_POLL_MAX));
        let poll = free + scaled(PLACE_POLL_SPREAD).mul_f64(rand::random());
        CallReport {
            wait: Some(poll),
            poll_after: poll,
            detail: wait.to_string(),
            status: serde_json::to_vec(wait).ok(),
            ..CallReport::default()
        }
    }
}
