//! Long-running operations. The resource's own provisioningState is the truth; an operation's
//! URL, kept in the checkpoint, only shows sooner when to observe again and more of why it failed.
//!
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>

pub(crate) use landlord_provider_sdk::operation::waiting;
use landlord_provider_sdk::operation::{Observed, Operations};

use crate::{
    api::{self, Kind},
    arm::{Arm, ArmResponse},
    error::{self, Error, ErrorBody, Result},
    progress::{Outcome, Sent},
};

/// What an operation does. A deletion is handed the checkpoint of the creation before it, whose
/// end says nothing about the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Makes or changes something.
    Change,
    /// Deletes something.
    Deletion,
}

impl Work {
    /// As the checkpoint calls it.
    fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Deletion => "deletion",
        }
    }
}

/// What an operation came to.
pub(crate) type Followed = Observed<ErrorBody>;

/// Pending, with what the response says of when and where to ask.
pub(crate) fn begun(arm: &Arm, work: Work, response: &ArmResponse, poll_s: i64, detail: impl Into<String>) -> Outcome {
    let outcome = waiting(response.retry_after, poll_s, detail);
    let Some(url) = &response.operation else { return outcome };
    if arm.own(url).is_none() {
        tracing::warn!(host = host(url), "an operation's URL is not Azure Resource Manager's and is not followed");
        return outcome;
    }
    outcome.with_checkpoint(Operations::one(work.word(), url).checkpoint())
}

/// The same for a change, with the fields that were sent.
pub(crate) fn changed(arm: &Arm, response: &ArmResponse, poll_s: i64, sent: Sent) -> Outcome {
    let mut outcome = begun(arm, Work::Change, response, poll_s, sent.to_string());
    if let Outcome::Pending(pending) = &mut outcome {
        pending.changes = sent.changes;
    }
    outcome
}

fn host(url: &str) -> String {
    url.parse::<url::Url>().ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Follows the operation of a checkpoint, if it is of this kind.
pub(crate) async fn follow(arm: &Arm, work: Work, checkpoint: &[u8]) -> Result<Followed> {
    Operations::read(checkpoint).observe(work.word(), |url| observe(arm, url)).await
}

async fn observe(arm: &Arm, operation: String) -> Result<Followed> {
    // The checkpoint comes from outside: its URL is checked as if it were new.
    let Some(url) = arm.own(&operation) else {
        tracing::warn!(
            host = host(&operation),
            "an operation's URL is not Azure Resource Manager's and is not followed"
        );
        return Ok(Followed::Unknown);
    };
    match arm.ask(kind_of(url.path()), &url).await {
        Ok(response) => Ok(read(&response)),
        Err(Error::Service(e)) if matches!(e.status, 0 | 429) => Err(Error::Service(e)),
        // A `Location` responds with the failure itself; anything else says nothing about it.
        Err(Error::Service(e)) if is_verdict(e.status) => {
            Ok(Followed::Failed(ErrorBody { code: e.code.clone(), message: e.message.clone() }))
        }
        Err(_) => Ok(Followed::Unknown),
    }
}

/// Whether a status is the operation's own end, and not about the question.
fn is_verdict(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 404 | 405 | 408)
}

fn kind_of(path: &str) -> &'static Kind {
    let path = path.to_ascii_lowercase();
    let kinds: [(&str, &'static Kind); 3] = [
        ("/microsoft.network/dns", &api::ZONE_OPERATION),
        ("/microsoft.network/", &api::NETWORK_OPERATION),
        ("/microsoft.containerservice/", &api::OPERATION),
    ];
    kinds.iter().find(|(part, _)| path.contains(part)).map_or(&api::GROUP_OPERATION, |(_, kind)| *kind)
}

/// Both styles: a document with a status, and a bare 202 until it is done.
fn read(response: &ArmResponse) -> Followed {
    let status = response.document["status"].as_str().unwrap_or_default().to_ascii_lowercase();
    match status.as_str() {
        "succeeded" => Followed::Done,
        "failed" | "canceled" | "cancelled" => Followed::Failed(error::read(&response.document["error"])),
        "" if response.status != 202 => Followed::Done,
        _ => Followed::Running { retry_after: response.retry_after },
    }
}

#[cfg(test)]
mod tests {
    use super::{Followed, read};
    use crate::{arm::ArmResponse, error::ErrorBody};
    use serde_json::{Value, json};

    fn respond(status: u16, document: Value) -> ArmResponse {
        ArmResponse { status, operation: None, retry_after: None, document }
    }

    #[test]
    fn both_styles_of_operations_are_read() {
        assert_eq!(read(&respond(202, Value::Null)), Followed::Running { retry_after: None });
        assert_eq!(read(&respond(200, json!({ "status": "InProgress" }))), Followed::Running { retry_after: None });
        assert_eq!(read(&respond(200, json!({ "status": "Succeeded" }))), Followed::Done);
        assert_eq!(read(&respond(204, Value::Null)), Followed::Done);
        let failed = json!({ "status": "Failed", "error": { "code": "AllocationFailed", "message": "m" } });
        let reported = ErrorBody { code: "AllocationFailed".to_owned(), message: "m".to_owned() };
        assert_eq!(read(&respond(200, failed)), Followed::Failed(reported));
    }
}
