//! Whether Kubernetes objects do what they are for, and if not, which one blocks and why, in
//! plain words. Judged from objects alone: pods that a simulated node calls Ready are Ready.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use crate::{
    absent::known,
    error::{Doing as _, Result},
    object::{DEFINITION, ObjectRef, resource},
};

/// Longest reason quoted from a pod or an event.
const REASON_CHARS_MAX: usize = 240;

/// Kinds that are inspected: of known scope, and made to stay.
const KINDS: [&str; 11] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "PersistentVolumeClaim",
    "Service",
    "NetworkPolicy",
    "HTTPRoute",
    "Gateway",
    "ConfigMap",
    "ServiceAccount",
    // The one of them that has no namespace, whatever a release's record says.
    DEFINITION,
];

/// What was found of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it should be.
    Ready,
    /// Not there although the release has it.
    Missing,
    /// Not yet, and why.
    Waiting(String),
}

/// Inspects one object.
///
/// # Errors
/// What the API server says.
pub async fn judge(client: &Client, object: &ObjectRef) -> Result<Found> {
    if !KINDS.contains(&object.kind.as_str()) {
        return Ok(Found::Ready);
    }
    let Some(found) = get(client, object).await? else {
        return Ok(Found::Missing);
    };
    let Some(waiting) = state(&object.kind, &found) else {
        return Ok(Found::Ready);
    };
    let reason = match object.kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" => blocking_pod(client, object, &found).await?,
        "PersistentVolumeClaim" => last_warning(client, object).await?,
        _ => None,
    };
    let what = format!("{} {}", object.kind, object.name);
    Ok(Found::Waiting(match reason {
        Some(reason) => format!("{what}: {waiting}; {reason}"),
        None => format!("{what}: {waiting}"),
    }))
}

/// An object as it is, `None` if it is not.
///
/// # Errors
/// What the API server says.
pub async fn get(client: &Client, object: &ObjectRef) -> Result<Option<Value>> {
    let resource = resource(&object.api_version, &object.kind);
    let api: Api<DynamicObject> = match object.kind.as_str() {
        DEFINITION => Api::all_with(client.clone(), &resource),
        _ => Api::namespaced_with(client.clone(), &object.namespace, &resource),
    };
    // The object is gone, or the kind itself.
    let found = known(api.get(&object.name).await)
        .doing(|| format!("reading {} {}/{}", object.kind, object.namespace, object.name))?;
    Ok(found.and_then(|found| serde_json::to_value(found).ok()))
}

/// Why an object is not ready; `None`: it is.
fn state(kind: &str, object: &Value) -> Option<String> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let seen = number("/status/observedGeneration") >= number("/metadata/generation");
    let wanted = number("/spec/replicas").unwrap_or(1);
    match kind {
        "Deployment" | "StatefulSet" if !seen => Some("its controller has not seen it yet".into()),
        "Deployment" => {
            let updated = number("/status/updatedReplicas").unwrap_or(0);
            let available = number("/status/availableReplicas").unwrap_or(0);
            let total = number("/status/replicas").unwrap_or(0);
            if updated >= wanted && available >= wanted && total <= updated {
                return None;
            }
            let refused = condition(object, "ReplicaFailure").map(|reason| format!("; {reason}"));
            Some(format!("{available} of {wanted} pods are available{}", refused.unwrap_or_default()))
        }
        "StatefulSet" => {
            let ready = number("/status/readyReplicas").unwrap_or(0);
            let current = object.pointer("/status/currentRevision") == object.pointer("/status/updateRevision");
            (ready < wanted || !current).then(|| format!("{ready} of {wanted} pods are ready"))
        }
        "DaemonSet" => {
            let wanted = number("/status/desiredNumberScheduled").unwrap_or(0);
            let ready = number("/status/numberReady").unwrap_or(0);
            (!seen || ready < wanted).then(|| format!("{ready} of {wanted} pods are ready"))
        }
        "PersistentVolumeClaim" => {
            let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
            (phase != "Bound").then(|| format!("its volume is not bound, its phase is {phase}"))
        }
        "Gateway" => {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
            let programmed = conditions.into_iter().find(|condition| condition["type"] == "Programmed");
            match programmed {
                Some(condition) if condition["status"] == "True" => None,
                Some(condition) => Some(condition["message"].as_str().unwrap_or("it is not programmed").to_owned()),
                None => Some("no controller has programmed it yet".into()),
            }
        }
        DEFINITION => match condition(object, "Established") {
            Some(_) => None,
            None => Some("the API server does not serve it yet".into()),
        },
        _ => None,
    }
}

fn condition(object: &Value, kind: &str) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")?;
    found["message"].as_str().map(shorten)
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= REASON_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(REASON_CHARS_MAX).chain("…".chars()).collect()
}

/// The first pod of a workload that does not run, with its reason; without pods, what the
/// workload's events complain about.
async fn blocking_pod(client: &Client, object: &ObjectRef, found: &Value) -> Result<Option<String>> {
    let labels = found.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
        .collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &object.namespace);
    let pods = pods
        .list(&ListParams::default().labels(&selector.join(",")))
        .await
        .doing(|| format!("listing the pods of {} {}", object.kind, object.name))?;
    if pods.items.is_empty() {
        return last_warning(client, object).await;
    }
    Ok(pods.items.iter().find_map(pod_reason))
}

/// Why a pod is not ready, if something stands in its way.
fn pod_reason(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let status = pod.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unschedulable {
        let why = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no node fits");
        return Some(format!("pod {name} can't be scheduled: {}", shorten(why)));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    for container in containers {
        let Some(state) = &container.state else { continue };
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref().unwrap_or("waiting");
            if reason == "ContainerCreating" || reason == "PodInitializing" {
                continue;
            }
            let message = waiting.message.as_deref().map(|text| format!(": {}", shorten(text)));
            return Some(format!(
                "container {} of pod {name} has {reason}{}",
                container.name,
                message.unwrap_or_default()
            ));
        }
        if let Some(ended) = &state.terminated
            && ended.exit_code != 0
        {
            return Some(format!("container {} of pod {name} ended with code {}", container.name, ended.exit_code));
        }
    }
    None
}

async fn last_warning(client: &Client, object: &ObjectRef) -> Result<Option<String>> {
    let events: Api<Event> = Api::namespaced(client.clone(), &object.namespace);
    let about = format!("involvedObject.kind={},involvedObject.name={},type=Warning", object.kind, object.name);
    let events = events
        .list(&ListParams::default().fields(&about))
        .await
        .doing(|| format!("listing the events of {} {}", object.kind, object.name))?;
    let newest = events.items.into_iter().max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    Ok(newest.and_then(|event| event.message).map(|message| shorten(&message)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn workloads_and_claims_are_judged() {
        let cases = [
            (
                "Deployment",
                json!({ "metadata": { "generation": 2 }, "spec": { "replicas": 1 }, "status": { "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 } }),
                None,
            ),
            (
                "Deployment",
                json!({ "metadata": { "generation": 2 }, "status": { "observedGeneration": 1 } }),
                Some("has not seen"),
            ),
            (
                "Deployment",
                json!({ "metadata": { "generation": 1 }, "spec": { "replicas": 1 }, "status": { "observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2 } }),
                Some("available"),
            ),
            (
                "Deployment",
                json!({ "metadata": { "generation": 1 }, "status": { "observedGeneration": 1, "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }] } }),
                Some("exceeded quota"),
            ),
            (
                "StatefulSet",
                json!({ "metadata": { "generation": 1 }, "spec": { "replicas": 1 }, "status": { "observedGeneration": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a" } }),
                None,
            ),
            (
                "StatefulSet",
                json!({ "metadata": { "generation": 1 }, "spec": { "replicas": 1 }, "status": { "observedGeneration": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b" } }),
                Some("ready"),
            ),
            ("PersistentVolumeClaim", json!({ "status": { "phase": "Bound" } }), None),
            ("PersistentVolumeClaim", json!({}), Some("not bound")),
            (
                "CustomResourceDefinition",
                json!({ "status": { "conditions": [{ "type": "Established", "status": "True", "message": "accepted" }] } }),
                None,
            ),
            ("CustomResourceDefinition", json!({}), Some("does not serve it")),
            ("Service", json!({}), None),
        ];
        for (kind, object, expected) in cases {
            let found = state(kind, &object);
            match expected {
                None => assert_eq!(found, None, "{kind} {object}"),
                Some(part) => assert!(found.clone().unwrap_or_default().contains(part), "{kind} {object}: {found:?}"),
            }
        }
    }

    #[test]
    fn pods_name_what_stands_in_their_way() {
        let pod = |status: Value| -> Pod {
            serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status })).unwrap()
        };
        let waiting = |reason: &str| json!({ "containerStatuses": [{ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": { "waiting": { "reason": reason, "message": "no such tag" } } }] });
        assert!(pod_reason(&pod(waiting("ImagePullBackOff"))).unwrap().contains("ImagePullBackOff: no such tag"));
        assert!(pod_reason(&pod(waiting("CrashLoopBackOff"))).unwrap().contains("container c of pod p"));
        assert_eq!(pod_reason(&pod(waiting("ContainerCreating"))), None);
        let unschedulable = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/2 nodes: Insufficient memory" }] });
        assert!(pod_reason(&pod(unschedulable)).unwrap().contains("Insufficient memory"));
    }
}
