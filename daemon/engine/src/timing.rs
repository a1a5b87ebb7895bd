//! How long stages are expected to take, and which of the provider's methods they are.

use std::time::Duration;

use landlord_core::{DesiredState, Stage, executor::Executor, ports::ReleasePlan};
use landlord_provider_api::v1::DescribeResponse;

use crate::limits::Costs;

/// For what the plugin says nothing about: one call that is done when it returns.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Namespaces, secrets, verification: a few calls of the API server.
const IN_CLUSTER: Duration = Duration::from_secs(2);
/// Namespaces with load balancers and volumes end in a minute or two.
const TEARDOWN: Duration = Duration::from_secs(60);

/// The provider's method behind a stage; `None` for stages of the deploy side.
pub(crate) fn method(stage: &Stage, desired_state: DesiredState) -> Option<&'static str> {
    match (stage.executor(), desired_state) {
        (Executor::Provider(methods), DesiredState::Present) => Some(methods.ensure),
        (Executor::Provider(methods), DesiredState::Absent) => Some(methods.delete),
        (Executor::Store | Executor::Kubernetes, _) => None,
    }
}

/// By what times are multiplied: the cloud's may be simulated faster, those of API servers are real.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scales {
    /// Of the provider's calls.
    pub(crate) cloud: f64,
    /// Of the deploy stage.
    pub(crate) in_cluster: f64,
}

impl Scales {
    /// Of a stage.
    pub(crate) fn of(self, stage: &Stage, desired_state: DesiredState) -> f64 {
        // A host cluster that is waited for is the cloud's work too.
        let cloud = *stage == Stage::Host || method(stage, desired_state).is_some();
        if cloud { self.cloud } else { self.in_cluster }
    }
}

/// Expected duration of a stage.
pub(crate) fn expected(
    stage: &Stage,
    desired_state: DesiredState,
    description: Option<&DescribeResponse>,
    releases: &[ReleasePlan],
    scales: Scales,
) -> Duration {
    let typical = match stage {
        Stage::App(_) | Stage::Platform(_) => {
            let release = releases.iter().find(|release| release.stage() == *stage);
            release.map_or(UNKNOWN, |release| release.expected)
        }
        Stage::Isolation | Stage::Capacity | Stage::NodeScaling | Stage::Base | Stage::Verify => IN_CLUSTER,
        Stage::Teardown => TEARDOWN,
        // An observation of the store.
        Stage::Host => Duration::ZERO,
        _ => {
            let typical = method(stage, desired_state)
                .zip(description)
                .and_then(|(method, description)| description.expected_durations.iter().find(|e| e.method == method))
                .and_then(|expected| Duration::try_from(expected.typical?).ok());
            typical.unwrap_or(UNKNOWN)
        }
    };
    typical.mul_f64(scales.of(stage, desired_state))
}

/// How long a host cluster that was just ordered takes.
pub(crate) fn host(description: Option<&DescribeResponse>, scales: Scales) -> Duration {
    let present = |stage: Stage| expected(&stage, DesiredState::Present, description, &[], scales);
    [Stage::Network, Stage::Cluster, Stage::NodePool].into_iter().map(present).sum()
}

/// What a method costs. `Delete…` methods without figures of their own cost what `Delete` does.
pub(crate) fn costs(method: &str, description: &DescribeResponse) -> Costs {
    let of = |name: &str| -> Costs {
        let costs = description.method_costs.iter().filter(|cost| cost.method == name);
        costs.map(|cost| (cost.bucket.clone(), cost.cost)).collect()
    };
    let own = of(method);
    if own.is_empty() && method.starts_with("Delete") { of("Delete") } else { own }
}
