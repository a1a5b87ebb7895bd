//! Request rates: token buckets of Resource Manager and of the providers behind it.
//!
//! Resource Manager counts by subscription and principal, for reads, writes and deletes, and over all principals fifteen
//! times as much: <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>. AKS
//! counts by cluster or subscription: <https://learn.microsoft.com/azure/aks/quotas-skus-regions>. The network provider
//! counts by subscription (1,000 writes, 10,000 reads in five minutes: first page). Buckets refill in simulated time;
//! `Retry-After` is in real seconds, since that is what a client sleeps.

use super::{id::Target, state::Bucket, wire};
use crate::state::AzureState;
use cloudsim_core::{
    call::{ApiError, Call, Result},
    ctx::Ctx,
};
use std::cmp::Ordering;

/// One limit that a call counts against.
struct Limit {
    key: String,
    burst: f64,
    per_second: f64,
    /// Whether it is a provider's own.
    of_provider: bool,
}

/// Reads, writes and deletes.
fn class(call: &Call) -> &'static str {
    match call.method.as_str() {
        "DELETE" => "deletes",
        "PUT" | "PATCH" => "writes",
        "POST" if !call.action.contains(".List") => "writes",
        _ => "reads",
    }
}

fn limits(call: &Call) -> Vec<Limit> {
    let (account, class) = (&call.caller.account, class(call));
    let (burst, per_second) = if class == "reads" { (250.0, 25.0) } else { (200.0, 10.0) };
    let mut limits = vec![
        Limit { key: format!("{account}/{}/{class}", call.caller.user_id), burst, per_second, of_provider: false },
        Limit {
            key: format!("{account}/{class}"),
            burst: 15.0 * burst,
            per_second: 15.0 * per_second,
            of_provider: false,
        },
    ];
    let provider = |what: &str, burst: f64, per_second: f64| Limit {
        key: format!("{account}/{}/{what}", call.service),
        burst,
        per_second,
        of_provider: true,
    };
    let id = || Target::parse(&call.path).unwrap_or_default().key();
    match (call.service.as_str(), call.action.as_str()) {
        ("containerservice", "managedClusters.CreateOrUpdate" | "agentPools.CreateOrUpdate") => {
            limits.push(provider(&format!("{}{}", call.action, id()), 20.0, 1.0 / 60.0));
        }
        ("containerservice", "managedClusters.Get") => limits.push(provider(&format!("get{}", id()), 60.0, 1.0)),
        ("containerservice", "managedClusters.List") => {
            let group = Target::parse(&call.path).unwrap_or_default().group().to_lowercase();
            limits.push(provider(&format!("list/{group}"), 60.0, 1.0));
        }
        ("containerservice", "managedClusters.ListAll") => limits.push(provider("list", 500.0, 1.0)),
        ("containerservice", "operations.Get") => limits.push(provider("operations", 200.0, 2.0)),
        ("containerservice", _) => limits.push(provider("other", 60.0, 1.0)),
        ("network", _) if class == "reads" => limits.push(provider("reads", 10_000.0, 10_000.0 / 300.0)),
        ("network", _) => limits.push(provider("writes", 1_000.0, 1_000.0 / 300.0)),
        _ => {}
    }
    limits
}

/// Takes a token of each bucket; gives the headers that say what is left.
///
/// # Errors
/// 429 with `Retry-After` if one is empty; then none is taken.
pub(crate) fn admit(ctx: &mut Ctx<'_>, call: &Call) -> Result<wire::Headers> {
    let limits = limits(call);
    if ctx.world.throttle.off {
        return Ok(Vec::new());
    }
    let now = ctx.now;
    let mut levels = Vec::new();
    for limit in &limits {
        let clock = &ctx.world.clock;
        let bucket = ctx
            .world
            .states
            .of_mut::<AzureState>()
            .buckets
            .entry(limit.key.clone())
            .or_insert(Bucket { left: limit.burst, at: now });
        let elapsed_s = clock.sim_ms_between(bucket.at, now).max(0) as f64 / 1_000.0;
        bucket.left = (bucket.left + elapsed_s * limit.per_second).min(limit.burst);
        bucket.at = now;
        levels.push(bucket.left);
    }
    let shortest = levels.iter().zip(&limits).filter(|(left, _)| **left < 1.0).max_by(|a, b| {
        let wait = |(left, limit): &(&f64, &Limit)| (1.0 - **left) / limit.per_second;
        wait(a).partial_cmp(&wait(b)).unwrap_or(Ordering::Equal)
    });
    if let Some((left, limit)) = shortest {
        let wait_s = (1.0 - left) / limit.per_second;
        let error = if limit.of_provider { of_provider(call) } else { refusal(call, limit.burst, wait_s) };
        let mut headers = remaining(call, &levels);
        headers.extend(retry_after(ctx, wait_s));
        return Err(wire::error_with_headers(error, headers));
    }
    for limit in &limits {
        if let Some(bucket) = ctx.world.states.of_mut::<AzureState>().buckets.get_mut(&limit.key) {
            bucket.left -= 1.0;
        }
    }
    let levels: Vec<f64> = levels.iter().map(|left| left - 1.0).collect();
    Ok(remaining(call, &levels))
}

fn remaining(call: &Call, levels: &[f64]) -> wire::Headers {
    let [own, all, ..] = levels else {
        return Vec::new();
    };
    let (own_name, all_name) = match class(call) {
        "deletes" => {
            ("x-ms-ratelimit-remaining-subscription-deletes", "x-ms-ratelimit-remaining-subscription-global-deletes")
        }
        "writes" => {
            ("x-ms-ratelimit-remaining-subscription-writes", "x-ms-ratelimit-remaining-subscription-global-writes")
        }
        _ => ("x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-subscription-global-reads"),
    };
    let whole = |left: f64| format!("{:.0}", left.max(0.0).floor());
    vec![(own_name, whole(*own)), (all_name, whole(*all))]
}

/// `Retry-After` in real whole seconds, and where time is compressed also in milliseconds, which no whole second can say.
#[must_use]
pub(crate) fn retry_after(ctx: &Ctx<'_>, sim_s: f64) -> wire::Headers {
    waits(sim_s, ctx.world.clock.scale())
}

fn waits(sim_s: f64, scale: f64) -> wire::Headers {
    let real_s = sim_s * scale;
    let mut headers = vec![("retry-after", format!("{:.0}", real_s.ceil().max(1.0)))];
    if scale < 1.0 {
        headers.push(("x-ms-retry-after-ms", format!("{:.0}", (real_s * 1_000.0).ceil().max(1.0))));
    }
    headers
}

fn refusal(call: &Call, limit: f64, wait_s: f64) -> ApiError {
    let word = class(call).trim_end_matches('s');
    let message = format!(
        "Number of '{word}' requests for subscription '{}' actor '{}' exceeded the limit of '{limit:.0}' for time interval '00:00:01'. Please try again after '{:.0}' seconds.",
        call.caller.account,
        call.caller.user_id,
        wait_s.ceil().max(1.0)
    );
    ApiError::new("SubscriptionRequestsThrottled", message).status(429)
}

fn of_provider(call: &Call) -> ApiError {
    let message = format!(
        "The request is being throttled as the limit has been reached for operation type - {}. For more information, see https://aka.ms/aks/throttling",
        call.action
    );
    ApiError::new("TooManyRequests", message).status(429)
}

/// How a throttle rule refuses a call: as Resource Manager does.
#[must_use]
pub(crate) fn throttled(call: &Call, scale: f64) -> ApiError {
    // A rule knows no bucket; a second is the shortest wait that the header can say.
    wire::error_with_headers(refusal(call, 250.0, 1.0), waits(1.0, scale))
}
