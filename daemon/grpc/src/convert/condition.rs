//! Conditions as messages of the API.

use landlord_core::Condition;
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
