//! Long-running operations. The resource's own provisioningState is the truth; an operation's
//! URL, kept in the checkpoint, only tells sooner when to look again and more of why it failed.
//!
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    api::{self, Kind},
    arm::{Answer, Arm},
    error::{self, Error, Result, Said},
    progress::{self, Outcome, Sent},
};

/// A longer URL is not kept; a checkpoint ends at 16 KiB.
const URL_LEN_MAX: usize = 8 * 1024;

/// What a checkpoint holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Checkpoint {
    operation: String,
    deletion: bool,
}

/// What an operation does. A deletion is handed the checkpoint of the creation before it, whose
/// end says nothing about the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Makes or changes something.
    Change,
    /// Deletes something.
    Deletion,
}

/// What an operation came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// There is none to follow, or it is no longer known: the resource tells.
    Unknown,
    /// Under way; ask again after.
    Running(Option<Duration>),
    /// It ended well.
    Done,
    /// It ended badly, and says why.
    Failed(Said),
}

/// Pending, with what the answer says of when and where to ask.
pub(crate) fn begun(arm: &Arm, work: Work, answer: &Answer, poll_s: i64, detail: impl Into<String>) -> Outcome {
    let mut outcome = waiting(answer.retry_after, poll_s, detail);
    let Some(url) = &answer.operation else { return outcome };
    if arm.own(url).is_none() || url.len() > URL_LEN_MAX {
        tracing::warn!(host = host(url), "an operation's URL is not Azure Resource Manager's and is not followed");
        return outcome;
    }
    let kept = serde_json::to_vec(&Checkpoint { operation: url.clone(), deletion: work == Work::Deletion })
        .unwrap_or_default();
    if let Outcome::Pending(pending) = &mut outcome {
        pending.checkpoint = kept;
    }
    outcome
}

/// The same for a change, with the fields that were sent.
pub(crate) fn changed(arm: &Arm, answer: &Answer, poll_s: i64, sent: Sent) -> Outcome {
    let mut outcome = begun(arm, Work::Change, answer, poll_s, sent.to_string());
    if let Outcome::Pending(pending) = &mut outcome {
        pending.changes = sent.changes;
    }
    outcome
}

/// Pending, to be asked again after `poll_s`, or later if Azure said so: sooner tells nothing.
pub(crate) fn waiting(retry_after: Option<Duration>, poll_s: i64, detail: impl Into<String>) -> Outcome {
    let asked = retry_after.and_then(|wait| i64::try_from(wait.as_secs()).ok());
    progress::pending(asked.unwrap_or_default().max(poll_s), detail)
}

/// Keeps the checkpoint of the last call.
pub(crate) fn keep(mut outcome: Outcome, checkpoint: &[u8]) -> Outcome {
    if let Outcome::Pending(pending) = &mut outcome
        && pending.checkpoint.is_empty()
    {
        pending.checkpoint = checkpoint.to_vec();
    }
    outcome
}

fn host(url: &str) -> String {
    url.parse::<url::Url>().ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Follows the operation of a checkpoint, if it is of this kind.
pub(crate) async fn follow(arm: &Arm, work: Work, checkpoint: &[u8]) -> Result<Followed> {
    let kept: Checkpoint = serde_json::from_slice(checkpoint).unwrap_or_default();
    if kept.operation.is_empty() || kept.deletion != (work == Work::Deletion) {
        return Ok(Followed::Unknown);
    }
    // The checkpoint comes from outside: its URL is checked as if it were new.
    let Some(url) = arm.own(&kept.operation) else {
        tracing::warn!(
            host = host(&kept.operation),
            "an operation's URL is not Azure Resource Manager's and is not followed"
        );
        return Ok(Followed::Unknown);
    };
    match arm.ask(kind_of(url.path()), &url).await {
        Ok(answer) => Ok(read(&answer)),
        Err(Error::Service(e)) if matches!(e.status, 0 | 429) => Err(Error::Service(e)),
        // A `Location` answers with the failure itself; anything else says nothing about it.
        Err(Error::Service(e)) if is_verdict(e.status) => {
            Ok(Followed::Failed(Said { code: e.code.clone(), message: e.message.clone() }))
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
fn read(answer: &Answer) -> Followed {
    let status = answer.document["status"].as_str().unwrap_or_default().to_ascii_lowercase();
    match status.as_str() {
        "succeeded" => Followed::Done,
        "failed" | "canceled" | "cancelled" => Followed::Failed(error::read(&answer.document["error"])),
        "" if answer.status != 202 => Followed::Done,
        _ => Followed::Running(answer.retry_after),
    }
}

#[cfg(test)]
mod tests {
    use super::{Followed, read};
    use crate::{arm::Answer, error::Said};
    use serde_json::{Value, json};

    fn answer(status: u16, document: Value) -> Answer {
        Answer { status, operation: None, retry_after: None, document }
    }

    #[test]
    fn both_styles_of_operations_are_read() {
        assert_eq!(read(&answer(202, Value::Null)), Followed::Running(None));
        assert_eq!(read(&answer(200, json!({ "status": "InProgress" }))), Followed::Running(None));
        assert_eq!(read(&answer(200, json!({ "status": "Succeeded" }))), Followed::Done);
        assert_eq!(read(&answer(204, Value::Null)), Followed::Done);
        let failed = json!({ "status": "Failed", "error": { "code": "AllocationFailed", "message": "m" } });
        let said = Said { code: "AllocationFailed".to_owned(), message: "m".to_owned() };
        assert_eq!(read(&answer(200, failed)), Followed::Failed(said));
    }
}
