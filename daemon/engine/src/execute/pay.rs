//! What a call costs of its account's limits: tokens before it goes out, and what its end says of the buckets.

use landlord_core::{ErrorKind, Failure, Stage};

use super::{Call, limit_key};
use crate::{
    limits::{Caller, Costs, Deferred, LimitKey},
    request,
    shared::Shared,
    timing,
};

/// The tokens of one call, which were taken.
pub(in crate::execute) struct Paid<'a> {
    shared: &'a Shared,
    key: LimitKey,
    caller: Caller,
    costs: Costs,
}

impl Paid<'_> {
    /// What the provider made of the call slows and speeds the account's buckets.
    pub(in crate::execute) fn ended(self, failure: Option<&Failure>) {
        self.shared.limits.ended(&self.key, &self.caller, &self.costs, failure);
    }
}

/// Waiting is no failure: it is shown as throttling, which delays and never fails.
fn deferral(deferred: &Deferred) -> Failure {
    let message = deferred.outage.as_ref().map_or_else(
        || "waiting for the account's rate limit".to_owned(),
        |error| format!("calls of this account get no response and are made less often; the last error: {error}"),
    );
    let mut failure = Failure::new(ErrorKind::Throttled, message);
    failure.retry_after_ms = u64::try_from(deferred.wait.as_millis()).ok();
    failure
}

fn ended() -> Failure {
    Failure::new(ErrorKind::Throttled, "the daemon ended before the call went out")
}

impl<'a> Call<'a> {
    /// Takes the tokens of a method, for a stage whose objects it is about. Waiting for them is shown as throttling. What a call costs
    /// its provider says: until it did, nothing goes out.
    pub(in crate::execute) async fn pay(&self, method: &str, stage: &Stage) -> Result<Paid<'a>, Failure> {
        let Some(description) = self.shared.stopping.run_until_cancelled(self.description()).await else {
            return Err(ended());
        };
        let description = description?;
        let costs = timing::costs(method, &description);
        let (key, caller) = (limit_key(self.work), request::caller(self.work, stage));
        let options = self.shared.provider_options(&self.work.environment.placement.provider);
        self.shared.limits.learn(&key, &description, &options);
        let admitted = self.shared.limits.acquire(&key, caller.clone(), &costs);
        let Some(admitted) = self.shared.stopping.run_until_cancelled(admitted).await else {
            return Err(ended());
        };
        admitted.map_err(|deferred| deferral(&deferred))?;
        // Waiting for tokens may have taken any time: whoever took over makes this call.
        if self.lease.is_over() {
            return Err(Failure::new(ErrorKind::Throttled, "the lease was over before the call went out"));
        }
        Ok(Paid { shared: self.shared, key, caller, costs })
    }
}
