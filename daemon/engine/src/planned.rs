//! The releases that an environment is to have, by the revisions that it names; or how long to wait for them. Asks nobody.

use std::time::Duration;

use landlord_core::{
    ErrorKind, Failure, Placement,
    ports::{Apps, ReleasePlan},
};

/// A revision that another daemon accepted is read within some seconds.
const UNPLANNED_WAIT: Duration = Duration::from_secs(3);
/// One that can't be used waits for somebody to mend it.
const UNUSABLE_WAIT: Duration = Duration::from_secs(30);

/// The releases of an environment's platform and stack, or why the revision that it runs can't be read.
pub(crate) fn releases(apps: &dyn Apps, placement: &Placement) -> Result<Vec<ReleasePlan>, Failure> {
    let revisions = &placement.revisions;
    let platform = placement.platform.iter().map(|platform| apps.platform(platform, revisions.platform.as_ref()));
    let stack = placement.stack.iter().map(|stack| apps.releases(stack, revisions.stack.as_ref()));
    let mut known = Vec::new();
    for plans in platform.chain(stack) {
        match plans {
            Ok(plans) => known.extend(plans),
            // Its apps can't be planned: Base fails with the same reason, which is shown.
            Err(failure) if failure.kind == ErrorKind::Invalid => {
                tracing::warn!(%failure, "a stack or platform is not known any more");
            }
            // Without it nobody knows what there is to build, or to remove.
            Err(failure) => {
                tracing::warn!(%failure, "the environment waits for it");
                return Err(failure);
            }
        }
    }
    Ok(known)
}

/// How long until it is tried again to plan.
pub(crate) fn wait(failure: &Failure) -> Duration {
    if failure.kind == ErrorKind::Transient { UNPLANNED_WAIT } else { UNUSABLE_WAIT }
}
