//! One part of a network: inspected, made if absent, made again if it failed.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::POLL_S;
use crate::{
    api::Kind,
    arm::If,
    error::{Result, late},
    names::Call,
    object::{Object, State, short},
    operation::{self, Followed, Work},
    progress::{Outcome, pending},
    tags,
};

/// How far a part is.
pub(super) enum Part<P> {
    /// As requested.
    Ready(Object<P>),
    /// Under way.
    Waiting(Outcome),
}

/// Makes the part exist. One that exists is compared by its markers only; what of it may change
/// is the caller's affair.
pub(super) async fn ensure<P: DeserializeOwned + Default>(
    call: &Call<'_>,
    kind: &'static Kind,
    id: &str,
    body: &Value,
    checkpoint: &[u8],
) -> Result<Part<P>> {
    let name = short(id);
    let Some(present) = call.arm.get::<P>(kind, id).await? else {
        return write(call, kind, id, body).await;
    };
    if !present.is_ours(call.scope) {
        return Err(tags::name_taken(kind.name, name).into());
    }
    match present.state() {
        State::Succeeded => Ok(Part::Ready(present)),
        State::Failed => {
            let last = operation::follow(call.arm, Work::Change, checkpoint).await?;
            // Sent back as it was read: what others put into it stays.
            let again = write(call, kind, id, &present.document).await?;
            match last {
                Followed::Failed(reported) => Err(late(kind, name, &reported).into()),
                _ => Ok(again),
            }
        }
        State::Deleting => {
            Ok(Part::Waiting(pending(POLL_S, format!("{} {name} is being deleted before it is recreated", kind.name))))
        }
        State::Busy(state) => {
            let outcome = pending(POLL_S, format!("{} {name} is {state}", kind.name));
            Ok(Part::Waiting(outcome.or_checkpoint(checkpoint)))
        }
    }
}

async fn write<P: DeserializeOwned + Default>(
    call: &Call<'_>,
    kind: &'static Kind,
    id: &str,
    body: &Value,
) -> Result<Part<P>> {
    let mut response = call.arm.put(kind, id, body, If::Always).await?;
    // Azure's wait is meant for whoever polls the operation. The part itself is inspected, and is
    // mostly there long before.
    response.retry_after = None;
    let detail = format!("{} {} is being created", kind.name, short(id));
    let outcome = operation::begun(call.arm, Work::Change, &response, POLL_S, detail);
    if response.status == 202 || response.document.get("id").is_none() {
        return Ok(Part::Waiting(outcome));
    }
    let made = response.object::<P>(kind)?;
    Ok(if made.state() == State::Succeeded { Part::Ready(made) } else { Part::Waiting(outcome) })
}
