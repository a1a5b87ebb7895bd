//! Conditions as messages of the API, and what follows from them.

use landlord_core::{Condition, DesiredState, Environment, State};
use landlord_proto::v1;

use super::value::timestamp;

/// Why a tenant of a customer rests that may order nothing more.
const CUSTOMER_FROZEN: &str = "CustomerFrozen";

/// A condition as clients see it.
pub(super) fn condition(condition: &Condition) -> v1::Condition {
    v1::Condition {
        r#type: condition.r#type.clone(),
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(timestamp(condition.transition_time)),
    }
}

/// Whether work is under way: not while it rests, as it does when it is paused.
pub(super) fn reconciling(environment: &Environment) -> bool {
    let paused = environment.status.conditions.iter().find(|known| known.r#type == "Paused" && known.status);
    // By its user, or by what its customer's contract says.
    let by_request = |paused: &Condition| environment.is_paused() || paused.reason == CUSTOMER_FROZEN;
    let rests = environment.desired_state == DesiredState::Present && paused.is_some_and(by_request);
    !rests && !matches!(environment.status.state, State::Ready | State::Failed)
}
