//! Rate quotas and how each service refuses beyond them.
//!
//! Compute: per project (and region) and group, counted in whole minutes and refilled at the start of the next one, 403
//! `rateLimitExceeded`; 1,500 a minute for each group: <https://cloud.google.com/compute/api-quota>. Cloud DNS likewise;
//! its page names the quotas without figures (<https://cloud.google.com/dns/quotas>), as do those of GKE, which answers 429
//! `RESOURCE_EXHAUSTED` (<https://cloud.google.com/kubernetes-engine/quotas>), and IAM
//! (<https://cloud.google.com/iam/quotas>): these figures are assumptions.

use super::{error::error_info, names::project_number};
use cloudsim_core::{
    call::{ApiError, Call},
    throttle::Rate,
};
use serde_json::json;

/// The group that a call counts for and how many a minute are let through; `None` for what is not counted.
#[must_use]
pub(crate) fn group(service: &str, action: &str) -> Option<(&'static str, f64)> {
    let verb = action.rsplit('.').next().unwrap_or(action);
    let reads = ["get", "list", "aggregatedList", "wait", "Get", "List"].iter().any(|p| verb.starts_with(p));
    match service {
        "compute" if action.contains("perations.") => Some(("operation_read_requests", 1_500.0)),
        "compute" if verb.contains("ist") => Some(("list_requests", 1_500.0)),
        "compute" if reads => Some(("read_requests", 1_500.0)),
        "compute" => Some(("default", 1_500.0)),
        "dns" => Some(("default", 1_200.0)),
        "container" if reads => Some(("read_requests", 3_000.0)),
        "container" => Some(("write_requests", 600.0)),
        "iam" if reads => Some(("read_requests", 6_000.0)),
        "iam" => Some(("write_requests", 600.0)),
        _ => None,
    }
}

/// The bucket that a call draws from. What Google does not count here has a bucket of its own, of an assumed size.
#[must_use]
pub(crate) fn bucket(call: &Call) -> (String, Rate) {
    match group(&call.service, &call.action) {
        Some((group, per_minute)) => (group.to_owned(), Rate::by_minute(per_minute)),
        None => ("all".to_owned(), Rate::new(50.0, 20.0)),
    }
}

/// The refusal of a call beyond its rate.
#[must_use]
pub(crate) fn throttled(call: &Call) -> ApiError {
    let (name, limit) = group(&call.service, &call.action).unwrap_or(("default", 1_500.0));
    let service = call.service.as_str();
    let consumer = format!("project_number:{}", project_number(&call.caller.account));
    let message = format!(
        "Quota exceeded for quota metric '{name}' and limit '{name} per minute' of service '{service}.googleapis.com' \
         for consumer '{consumer}'."
    );
    let metadata = json!({
        "consumer": format!("projects/{}", project_number(&call.caller.account)),
        "quota_limit": format!("{name}PerMinutePerProject"),
        "quota_limit_value": limit.to_string(),
        "quota_location": call.region,
        "quota_metric": format!("{service}.googleapis.com/{name}"),
    });
    let status = if matches!(service, "compute" | "dns") { 403 } else { 429 };
    ApiError::new("rateLimitExceeded", message)
        .status(status)
        .field("domain", "usageLimits")
        .field("details", error_info("RATE_LIMIT_EXCEEDED", service, metadata))
}
