//! The part of a call that removes: one stage's objects, what the inventory still lists, and what to make of an object that
//! has the tenant's name and not our marker.

use std::time::Duration;

use landlord_core::{
    DesiredState, ErrorKind, Failure, Stage, graph::graph, journal::CallReport, late, stage::RemovedObject,
    step::record_in,
};
use landlord_provider_api::v1;

use super::{Call, Report, misplaced, progress};
use crate::{request, timing};

/// Pages of an inventory; a tenant has a few dozen objects.
const PAGES_MAX: usize = 50;
/// Objects named in a detail line.
const NAMED_MAX: usize = 3;
/// The same of what is left for good: whoever forced a removal has to find it.
const LEFT_NAMED_MAX: usize = 50;
/// An inventory that is not empty is usually one that lags behind.
const INVENTORY_HINT: Duration = Duration::from_secs(2);
/// What lets a removal go on that is held by an object without its marker.
const HELD_REMEDY: &str = "put the marker back, and the removal goes on; or remove the object by hand; or delete with \
                           --force, which leaves it where it is and lists it";

/// What one more request for every removal came to.
#[derive(Default)]
struct Sweep {
    removed: Vec<RemovedObject>,
    /// What stopped it.
    failure: Option<Failure>,
    /// Something is going.
    is_going: bool,
    /// Something that lost its marker was left, as the user demands.
    is_left: bool,
}

impl Call<'_> {
    /// A removal that finds an object of the tenant's name without our marker: by the journal it is the tenant's, and holds
    /// the removal; or it never was, and for this tenant nothing is there.
    pub(super) fn judge_absence(&self, report: Report) -> Report {
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        report.or_else(|mut failure| {
            if !absent || failure.kind != ErrorKind::NameTaken {
                return Err(failure);
            }
            // Whether an object of the cloud is the tenant's was in the call's result; of a namespace it is decided here.
            let in_namespace = matches!(self.stage, Stage::Isolation | Stage::Teardown);
            if in_namespace && !request::is_ours(self.work, &Stage::Isolation) {
                let detail = format!("left as it is, since it is not this tenant's: {}", failure.message);
                return Ok(CallReport { done: true, detail, ..CallReport::default() });
            }
            failure.message = format!("{}; by record it is this tenant's, its marker is gone", failure.message);
            failure.remedy = format!("{HELD_REMEDY} ({})", failure.remedy);
            Err(failure)
        })
    }

    /// A removal that found nothing is observed once more when no create without a response can take effect any more.
    pub(super) fn judge_late(&self, report: Report) -> Report {
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        report.map(|report| {
            let scale =
                self.shared.scales(&self.work.environment.placement.provider).of(self.stage, DesiredState::Absent);
            let by_records = late::wait(self.work, self.stage, scale, self.shared.clock.since_jump());
            let end = record_in(self.work, DesiredState::Absent, self.stage).and_then(|record| record.late_end.as_ref());
            let now = self.shared.boot_clock.now();
            let wait = late::left(by_records, end, now.as_ref());
            match wait.filter(|_| absent && report.done) {
                Some(wait) => CallReport {
                    late_end: now.map(|now| now.after(wait)),
                    done: false,
                    wait: Some(wait),
                    detail: format!(
                        "nothing is left; observed once more in {} s, since a create had no response and may still take effect",
                        wait.as_secs() + 1
                    ),
                    ..report
                },
                None => report,
            }
        })
    }

    pub(super) async fn absent(&self) -> Report {
        if *self.stage == Stage::Inventory {
            return self.inventory().await;
        }
        let Some(delete) = request::delete(self.work, self.scope.clone(), self.stage) else {
            return Err(misplaced(self.stage));
        };
        let response = self.provider.delete(delete).await?;
        progress(response.progress, None::<&v1::Gone>)
    }

    /// Empty, or what is still listed, whose removal is requested once more.
    async fn inventory(&self) -> Report {
        let mut left = Vec::new();
        let mut page_token = String::new();
        for number in 0..PAGES_MAX {
            // The stage itself paid for the first page.
            let paid = if number > 0 { Some(self.pay("ListOwned", self.stage).await?) } else { None };
            let request = v1::ListOwnedRequest { scope: Some(self.scope.clone()), page_token };
            let page = self.provider.list_owned(request).await.map_err(Failure::from);
            if let Some(paid) = paid {
                paid.ended(page.as_ref().err());
            }
            let page = page?;
            left.extend(page.objects);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        // Something may be on a page that was not read; what was found goes first.
        if left.is_empty() && !page_token.is_empty() {
            return Err(Failure::new(ErrorKind::Internal, format!("the inventory has more than {PAGES_MAX} pages")));
        }
        if left.is_empty() {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        let Sweep { removed, failure, is_going, is_left } = self.sweep().await;
        if is_left && !is_going && removed.is_empty() && failure.is_none() {
            // Parts of what was left on demand: they bear the marker, and go with the whole of it or not at all.
            let names: Vec<&str> = left.iter().take(LEFT_NAMED_MAX).map(|object| object.id.as_str()).collect();
            let detail = format!("{} objects are left where they are, as demanded: {}", left.len(), names.join(", "));
            return Ok(CallReport { done: true, skipped: true, detail, ..CallReport::default() });
        }
        let failure = match failure {
            // What was removed is reported now; whatever stopped the sweep is met again by the next one.
            Some(failure) if removed.is_empty() => return Err(failure),
            failure => failure.map(|failure| format!("; {failure}")).unwrap_or_default(),
        };
        let names: Vec<&str> = left.iter().take(NAMED_MAX).map(|object| object.id.as_str()).collect();
        Ok(CallReport {
            poll_after: INVENTORY_HINT,
            detail: format!("{} objects are still listed: {}, …{failure}", left.len(), names.join(", ")),
            removed,
            ..CallReport::default()
        })
    }

    /// Requests the removal of everything once more: a create without a response may take effect after its
    /// delete found nothing. What is still in use goes in a later round.
    async fn sweep(&self) -> Sweep {
        let mut sweep = Sweep::default();
        let environment = &self.work.environment;
        // In the order of the removal: what is needed by others comes after them.
        for node in graph(environment.desired_state, environment.kind(), &environment.placement, &[]) {
            let stage = &node.stage;
            let Some(delete) = request::delete(self.work, self.scope.clone(), stage) else { continue };
            let method = timing::method(stage, DesiredState::Absent).unwrap_or("Delete");
            let paid = match self.pay(method, stage).await {
                Ok(paid) => paid,
                Err(failure) => return Sweep { failure: Some(failure), ..sweep },
            };
            let deleted = self.provider.delete(delete).await.map_err(Failure::from);
            paid.ended(deleted.as_ref().err());
            match deleted.and_then(|response| progress(response.progress, None::<&v1::Gone>)) {
                Ok(report) => {
                    sweep.is_going |= !report.done;
                    sweep.removed.extend(report.removed);
                }
                Err(failure) if failure.kind == ErrorKind::Conflict => sweep.is_going = true,
                // Left on demand; the stage that it belongs to names it.
                Err(failure) if failure.kind == ErrorKind::NameTaken && self.work.environment.force_delete => {
                    sweep.is_left = true;
                }
                Err(failure) => return Sweep { failure: Some(failure), ..sweep },
            }
        }
        sweep
    }
}
