//! Events by which the cloud shows a user of the cluster what is wrong.

use k8s_openapi::{
    api::core::v1::{Event, ObjectReference},
    jiff::Timestamp,
};
use kube::{Api, Client, Resource, ResourceExt as _, api::PostParams};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::context::FIELD_MANAGER;

/// Digits that keep events with different texts apart.
const NAME_DIGITS: usize = 16;

/// Reports `problem` at `object`, once for the same words. Failing to report harms nothing and is only logged.
pub(super) async fn warn<K>(client: &Client, object: &K, reason: &str, problem: &anyhow::Error)
where
    K: Resource<DynamicType = ()>,
{
    let message = format!("{problem:#}");
    let about: ObjectReference = object.object_ref(&());
    let namespace = object.namespace().unwrap_or_else(|| "default".into());
    let digest = hex::encode(Sha256::digest(format!("{reason} {message} {:?}", about.uid)));
    let now = Timestamp::now().to_string();
    let event = serde_json::from_value::<Event>(json!({
        "metadata": { "name": format!("{}.{}", object.name_any(), &digest[..NAME_DIGITS]), "namespace": namespace },
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": { "component": FIELD_MANAGER },
    }));
    let Ok(event) = event else { return };
    match Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &event).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => tracing::debug!(%error, reason, "an event was not written"),
    }
}
