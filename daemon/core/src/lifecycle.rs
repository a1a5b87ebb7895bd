//! The rules of an environment's life as pure functions: what a request makes of the record that it finds.
//! Knows no store, no clock and no cloud.

use crate::{Direction, Offer, OperationKind, Tenant, TenantSpec};

/// What a requested cancellation does.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time; it is never stored in bulk")]
pub enum Cancellation {
    /// A create that runs: what it made is removed again.
    Unwind,
    /// An update of an environment that was READY: back to this, as far as that is possible.
    Revert(TenantSpec, Offer),
    /// Anything else: work stops where it is. Nothing is removed. Retry, Update or Delete lead on.
    Stop,
}

/// What the cancellation that was requested of a tenant's newest operation does; `None`: none was requested, or
/// it was acted upon already.
///
/// Only a create that runs unwinds, and only if the environment is not protected: whatever was built by an earlier operation,
/// or is protected, is removed by a delete alone.
///
/// `operation_generation`: the generation for which the operation was accepted. A tenant beyond it was reverted.
#[must_use]
pub fn cancellation(
    tenant: &Tenant,
    kind: OperationKind,
    operation_done: bool,
    operation_generation: i64,
) -> Option<Cancellation> {
    if !tenant.cancel_requested || tenant.direction == Direction::Absent || tenant.generation > operation_generation {
        return None;
    }
    if may_unwind(tenant, kind, operation_done) {
        return Some(Cancellation::Unwind);
    }
    if let (OperationKind::Update, false, Some((spec, offer))) = (kind, operation_done, &tenant.last_ready) {
        let spec = tenant.spec.reverted_to(spec);
        if tenant.spec.needs_work(&spec) {
            return Some(Cancellation::Revert(spec, offer.clone()));
        }
    }
    Some(Cancellation::Stop)
}

/// Whether cancelling a tenant's newest operation would remove the environment.
#[must_use]
pub fn may_unwind(tenant: &Tenant, kind: OperationKind, operation_done: bool) -> bool {
    kind == OperationKind::Create
        && !operation_done
        && tenant.direction == Direction::Present
        && tenant.last_ready.is_none()
        && !tenant.spec.deletion_protection
}
