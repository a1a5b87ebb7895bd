//! How far the operation of a pass is, by what its stages took before.

use std::time::Duration;

use landlord_core::{
    Progress, Stage, graph,
    ports::{ReleasePlan, Work},
    progress, step,
};
use landlord_provider_api::v1::DescribeResponse;

use crate::{observed::Observed, timing};

/// What progress is reckoned with.
pub(crate) struct Reckoning<'a> {
    pub(crate) observed: &'a Observed,
    pub(crate) releases: &'a [ReleasePlan],
    pub(crate) description: Option<&'a DescribeResponse>,
    pub(crate) scales: timing::Scales,
}

impl Reckoning<'_> {
    /// How far the work's operation is; `None`: none runs.
    pub(crate) fn of(&self, work: &Work) -> Option<Progress> {
        if work.operation_done {
            return None;
        }
        let environment = &work.environment;
        let (desired_state, placement) = (environment.desired_state, &environment.placement);
        let nodes = graph::graph(desired_state, environment.kind(), placement, self.releases);
        let expected = |stage: &Stage| match self.observed.typical_ms(&placement.class, desired_state, stage) {
            Some(typical) => Duration::from_millis(typical),
            None => timing::expected(stage, desired_state, self.description, self.releases, self.scales),
        };
        let record = |stage: &Stage| step::current(work, stage);
        let (before, now) = (environment.status.progress, work.now);
        Some(progress::estimate(environment.operation, &nodes, record, expected, before, now))
    }
}
