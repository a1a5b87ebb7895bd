//! Whether the Gateway of a cluster of the tenant's own serves the tenant's names: certificate there, listener programmed.

use landlord_core::ports::DeployTarget;
use landlord_kube::{Result, client::ClusterClients, object::ObjectRef, ready};
use serde_json::Value;

use crate::stack::Manifest;

/// In a cluster of the tenant's own: why its Gateway does not serve one of the tenant's names, as it itself says. A Gateway
/// that has no listeners for them is somebody else's.
pub(crate) async fn without_certificate(
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
) -> Result<Option<String>> {
    let (None, Some(gateway)) = (target.cluster.shared(), &manifest.gateway) else { return Ok(None) };
    let object = ObjectRef {
        api_version: "gateway.networking.k8s.io/v1".into(),
        kind: "Gateway".into(),
        name: gateway.name.clone(),
        namespace: gateway.namespace.clone(),
    };
    let Some(found) = ready::get(&clients.admin, &object).await? else { return Ok(None) };
    let served = manifest.entry_points.iter().filter(|entry| entry.gateway);
    let mut hosts = served.map(|entry| format!("{}.{}", entry.record, target.spec.domain.as_str()));
    Ok(hosts.find_map(|host| unprogrammed(&found, &host)))
}

/// Why a Gateway's listener for a host is not programmed; `None`: it is, or there is none.
fn unprogrammed(gateway: &Value, host: &str) -> Option<String> {
    let list = |pointer: &str| gateway.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let name = list("/spec/listeners").find(|listener| listener["hostname"] == host)?["name"].clone();
    let status = list("/status/listeners").find(|listener| listener["name"] == name);
    let conditions = || status.and_then(|status| status["conditions"].as_array()).into_iter().flatten();
    let is = |kind: &str, value: &str| conditions().find(|c| c["type"] == kind && c["status"] == value);
    if is("Programmed", "True").is_some() && is("ResolvedRefs", "False").is_none() {
        return None;
    }
    let why = is("ResolvedRefs", "False").or(is("Programmed", "False"));
    let why = why.and_then(|condition| condition["message"].as_str()).unwrap_or("its controller has not seen it yet");
    let see = "`kubectl describe certificates,orders,challenges -A` says how far the certificate is";
    Some(format!("the Gateway does not serve https://{host} yet: {why} ({see})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listener_without_its_certificate_is_named() {
        let gateway = |programmed: &str, resolved: &str| {
            json!({
                "spec": { "listeners": [{ "name": "http" }, { "name": "https-0", "hostname": "chat.a.example.com" }] },
                "status": { "listeners": [{ "name": "https-0", "conditions": [
                    { "type": "Programmed", "status": programmed, "message": "invalid" },
                    { "type": "ResolvedRefs", "status": resolved, "message": "Secret landlord-tls does not exist." },
                ] }] },
            })
        };
        assert_eq!(unprogrammed(&gateway("True", "True"), "chat.a.example.com"), None);
        assert_eq!(unprogrammed(&gateway("False", "False"), "files.a.example.com"), None, "nobody's name");
        let why = unprogrammed(&gateway("False", "False"), "chat.a.example.com").unwrap();
        assert!(why.contains("landlord-tls does not exist"), "{why}");
        let why = unprogrammed(&json!({ "spec": gateway("", "")["spec"] }), "chat.a.example.com").unwrap();
        assert!(why.contains("has not seen"), "{why}");
    }
}
