//! GKE's operations: finding the one that shows how a change goes and why it failed. They are
//! GKE's own type, not `google.longrunning`, and a cluster has one at a time.

use google_cloud_container_v1::model::{Operation, StatusCondition, operation::Status};
use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::operation::Operations;

use crate::{
    action::{self, Action},
    error::{Absent as _, Error, ErrorBody, Result, failed},
    google::Google,
    progress::{self, Outcome},
};

/// `projects/P/locations/R`.
pub(crate) fn parent(scope: &v1::Scope) -> String {
    format!("projects/{}/locations/{}", scope.account, scope.region)
}

/// As a checkpoint calls what a call works on: a cluster or a pool has one operation at a time.
const WORK: &str = "container";

/// Under way, with the operation's name in the next call's checkpoint. Without a name the last call's is kept.
pub(crate) fn pending(poll_after_s: i64, detail: impl Into<String>, operation: &str) -> Outcome {
    if operation.is_empty() {
        return progress::pending(poll_after_s, detail);
    }
    Operations::one(WORK, operation).pending(poll_after_s, detail)
}

/// The operation that a checkpoint names. It comes from outside, and becomes a part of a path.
fn named_in(checkpoint: &[u8]) -> Option<String> {
    let is_name = |name: &&str| name.starts_with("operation-") && !name.contains(['/', '?', '#']);
    Operations::read(checkpoint).get(WORK).filter(is_name).map(str::to_owned)
}

/// Notes that the failure of the checkpoint's operation is being returned, by what it left behind.
pub(crate) fn mark_reported(google: &Google, checkpoint: &[u8]) {
    if let Some(name) = named_in(checkpoint) {
        google.is_news(&name);
    }
}

/// The operation that the last call began, if the checkpoint still names it.
pub(crate) async fn of_checkpoint(google: &Google, scope: &v1::Scope, checkpoint: &[u8]) -> Result<Option<Operation>> {
    let Some(name) = named_in(checkpoint) else {
        return Ok(None);
    };
    let request = google.clusters.get_operation().set_name(format!("{}/operations/{name}", parent(scope)));
    request.send().await.map_err(failed(action::GET_CONTAINER_OPERATION, &name)).or_absent()
}

/// The last operation on an object, found without any memory. `path`: the object's path below the
/// location.
pub(crate) async fn last_of(google: &Google, scope: &v1::Scope, path: &str) -> Result<Option<Operation>> {
    let response = google.clusters.list_operations().set_parent(parent(scope)).send().await;
    let response = response.map_err(failed(action::LIST_CONTAINER_OPERATIONS, parent(scope)))?;
    let suffix = format!("/{path}");
    let of_object = response.operations.into_iter().filter(|o| o.target_link.ends_with(&suffix));
    // RFC 3339 in UTC sorts as text.
    Ok(of_object.max_by(|a, b| a.start_time.cmp(&b.start_time)))
}

/// Whether it still runs.
pub(crate) fn is_running(operation: &Operation) -> bool {
    !matches!(operation.status, Status::Done | Status::Aborting)
}

/// How far it is, in words; empty if it does not say.
pub(crate) fn detail(operation: &Operation) -> String {
    let stage = operation.progress.as_ref().map(|p| p.name.as_str()).unwrap_or_default();
    [stage, operation.detail.as_str()].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Why it failed; `None` if it did not.
pub(crate) fn failure(action: Action, subject: &str, operation: &Operation) -> Option<Error> {
    let reported = operation.error.as_ref().filter(|e| e.code != 0);
    // GKE's older field, still filled in beside `error`.
    #[expect(deprecated, reason = "given when `error` is not")]
    let message = reported.map_or(operation.status_message.as_str(), |e| e.message.as_str());
    if reported.is_none() && message.is_empty() {
        return None;
    }
    let mut codes: Vec<String> = words(message).into_iter().collect();
    codes.extend(reported.map(|e| google_cloud_gax::error::rpc::Code::from(e.code).name().to_owned()));
    let response = ErrorBody { codes, message: message.to_owned(), retry_after: None };
    Some(response.into_error(action, subject.to_owned(), 0))
}

/// Why a cluster or pool is in a bad state, by its conditions; `None` if they do not say.
pub(crate) fn by_conditions(
    action: Action,
    subject: &str,
    conditions: &[StatusCondition],
    message: &str,
) -> Option<ProviderError> {
    let conditions: Vec<&StatusCondition> = conditions.iter().collect();
    let mut messages: Vec<&str> = conditions.iter().map(|c| c.message.as_str()).chain([message]).collect();
    messages.retain(|m| !m.is_empty());
    messages.dedup();
    if messages.is_empty() {
        return None;
    }
    let message = messages.join("; ");
    let mut codes = condition_codes(&conditions);
    codes.extend(words(&message));
    codes.extend(
        conditions
            .iter()
            .filter(|c| c.canonical_code.value() != Some(0))
            .filter_map(|c| c.canonical_code.name().map(str::to_owned)),
    );
    let response = ErrorBody { codes, message, retry_after: None };
    Some(response.into_error(action, subject.to_owned(), 0).into())
}

/// Named by conditions, as far as they say more than "unknown".
fn condition_codes(conditions: &[&StatusCondition]) -> Vec<String> {
    #[expect(deprecated, reason = "GKE fills it in beside canonical_code, and it is more specific")]
    let names = conditions.iter().filter_map(|c| c.code.name());
    names.filter(|n| *n != "UNKNOWN").map(str::to_owned).collect()
}

/// Compute Engine's codes inside GKE's words are more specific than GKE's own.
fn words(message: &str) -> Option<String> {
    const WORDS: [(&str, &str); 5] = [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "GCE_STOCKOUT"),
        ("does not have enough resources available", "GCE_STOCKOUT"),
        ("GCE_STOCKOUT", "GCE_STOCKOUT"),
        ("QUOTA_EXCEEDED", "GCE_QUOTA_EXCEEDED"),
        ("IP_SPACE_EXHAUSTED", "GCE_STOCKOUT"),
    ];
    WORDS.iter().find(|(word, _)| message.contains(word)).map(|(_, code)| (*code).to_owned())
}

/// The error for something that failed without a reason.
pub(crate) fn unknown(what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Transient, format!("{what} failed, and GKE does not say why"))
}

#[cfg(test)]
mod tests {
    use super::{by_conditions, failure};
    use crate::action;
    use google_cloud_container_v1::model::{Operation, StatusCondition, status_condition::Code};
    use landlord_provider_api::{ErrorKind, ProviderError};

    #[test]
    fn a_failed_operation_is_read_by_conditions_words_and_code() {
        let status = |code: i32, message: &str| -> Operation {
            let text = serde_json::json!({ "error": { "code": code, "message": message } });
            serde_json::from_value(text).expect("an operation")
        };
        let cases = [
            (
                status(8, "Google Compute Engine: the zone does not have enough resources available"),
                ErrorKind::Capacity,
            ),
            (
                status(8, "Instance 'x' creation failed: Quota 'CPUS' exceeded.  Limit: 24.0 in region europe-west1."),
                ErrorKind::Quota,
            ),
            (status(13, "internal error"), ErrorKind::Transient),
            (status(7, "Required 'compute.networks.use' permission"), ErrorKind::Auth),
        ];
        for (operation, kind) in cases {
            let error: ProviderError = failure(action::CREATE_CLUSTER, "x", &operation).expect("a failure").into();
            assert_eq!(error.kind, kind, "{error}");
        }
        assert!(failure(action::CREATE_CLUSTER, "x", &Operation::new()).is_none());
    }

    #[test]
    fn a_condition_decides_before_its_canonical_code() {
        #[expect(deprecated, reason = "as GKE sends it")]
        let condition = StatusCondition::new().set_code(Code::GceStockout).set_message("no room");
        let error = by_conditions(action::GET_NODE_POOL, "x", &[condition], "").expect("a reason");
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Capacity, "GCE_STOCKOUT"), "{error}");
        assert!(by_conditions(action::GET_NODE_POOL, "x", &[], "").is_none());
    }
}
