//! Conditions as messages of the API, and what follows from them.

use landlord_core::{Condition, DesiredState, Environment, State};
use landlord_proto::v1;

use super::value::timestamp;

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
    let is = |kind: &str| environment.status.conditions.iter().any(|known| known.r#type == kind && known.status);
    let paused = environment.desired_state == DesiredState::Present && environment.is_paused() && is("Paused");
    !paused && !matches!(environment.status.state, State::Ready | State::Failed)
}
