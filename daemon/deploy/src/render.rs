//! From a stack and a tenant's spec to values, secrets and addresses. Pure, but for the
//! randomness that is handed in; knows neither Helm nor Kubernetes.

use std::collections::BTreeMap;

use landlord_core::{isolation::SharedTarget, ports::DeployTarget};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    chart::ChartRef,
    error::{Error, Result},
    stack::{Manifest, Release, SecretKey, SecretSpec},
    values::merge,
};
use landlord_kube::{
    gateway_api::Routing,
    markers::{LISTENERS, POOL_KEY},
};

/// Hexadecimal digits of a digest that fit a label's 63 characters.
const DIGEST_DIGITS: usize = 48;

/// What a release is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) values: Value,
    /// Changes when chart, version or values do.
    pub(crate) digest: String,
}

/// Where the stack's releases live: the tenant's own namespace on a shared cluster, else the stack's.
pub(crate) fn namespace<'a>(target: &'a DeployTarget, manifest: &'a Manifest) -> &'a str {
    target.cluster.shared().map_or(manifest.namespace.as_str(), |place| place.namespace.as_str())
}

/// Values of a release: the contract, over it the stack's, over it the tenant's own, over it what a shared cluster requires.
pub(crate) fn release(
    target: &DeployTarget,
    manifest: &Manifest,
    release: &Release,
    chart: &ChartRef,
    routing: Routing,
) -> Result<Rendered> {
    let mut values = json!({});
    if release.contract {
        values = json!({
            "customer": { "id": target.name.customer, "domain": target.spec.domain },
            "storage": { "size": storage_size(target) },
        });
    }
    if release.gateway
        && let Some(gateway) = &manifest.gateway
    {
        let enabled = routing != Routing::Unknown;
        merge(
            &mut values,
            &json!({ "gateway": { "enabled": enabled, "name": gateway.name, "namespace": gateway.namespace } }),
        );
    }
    let own = replace_all(&Value::Object(release.values.clone()), target);
    merge(&mut values, &own);
    if let Some(wanted) = target.spec.stack_values.get(release.name.as_str()) {
        allowed(release, wanted)?;
        merge(&mut values, wanted);
    }
    if release.contract
        && let Some(place) = target.cluster.shared()
    {
        merge(&mut values, &shared_values(place, release, routing));
    }
    let digest = digest(chart, &values);
    Ok(Rendered { values, digest })
}

/// Changes when chart, version or values do; the order in which a file names its keys is no change.
pub(crate) fn digest(chart: &ChartRef, values: &Value) -> String {
    // Whether `serde_json` keeps keys as they were written depends on which other crates are built.
    let mut sorted = values.clone();
    sorted.sort_all_objects();
    let mut digest = Sha256::new();
    for part in [chart.digest.as_str(), &sorted.to_string()] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let mut digest = hex::encode(digest.finalize());
    digest.truncate(DIGEST_DIGITS);
    digest
}

/// The values of a chart with our contract on a shared cluster: the isolation has the network policies already, load
/// balancers are what the class allows, and pods go to the tenant's own nodes if it has any.
fn shared_values(place: &SharedTarget, release: &Release, routing: Routing) -> Value {
    let mut values = json!({ "networkPolicy": { "enabled": false } });
    if release.load_balancer && place.settings.load_balancers() == 0 {
        values["loadBalancers"] = json!({ "enabled": false });
    }
    // Without ListenerSets the tenant's listener is in the Gateway itself, which lets its routes in.
    if release.gateway && place.settings.gateway().is_some() && routing == Routing::ListenerSets {
        values["gateway"] = json!({ "kind": "ListenerSet", "name": LISTENERS, "namespace": place.namespace });
    }
    if let Some(pool) = place.pool() {
        values["nodeSelector"] = json!({ POOL_KEY: pool });
        values["tolerations"] =
            json!([{ "key": POOL_KEY, "operator": "Equal", "value": pool, "effect": "NoSchedule" }]);
    }
    values
}

/// Refuses stack values for releases that don't exist.
pub(crate) fn check_overrides(target: &DeployTarget, manifest: &Manifest) -> Result<()> {
    for name in target.spec.stack_values.keys() {
        if !manifest.releases.iter().any(|release| release.name.as_str() == name) {
            let names: Vec<&str> = manifest.releases.iter().map(|release| release.name.as_str()).collect();
            return Err(Error::ForbiddenValue { path: name.clone(), allowed: names.join(", ") });
        }
    }
    for release in &manifest.releases {
        if let Some(wanted) = target.spec.stack_values.get(release.name.as_str()) {
            allowed(release, wanted)?;
        }
    }
    Ok(())
}

/// A tenant may set only what the release leaves to tenants.
fn allowed(release: &Release, values: &Value) -> Result<()> {
    match forbidden(release, values).into_iter().next() {
        None => Ok(()),
        Some(path) => Err(Error::ForbiddenValue {
            path: format!("{}.{path}", release.name),
            allowed: release.tenant_values.join(", "),
        }),
    }
}

/// The paths of `values` that the release does not leave to tenants.
pub(crate) fn forbidden(release: &Release, values: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    add_forbidden(release, values, String::new(), &mut paths);
    paths
}

fn add_forbidden(release: &Release, value: &Value, path: String, paths: &mut Vec<String>) {
    if release.tenant_values.contains(&path) {
        return;
    }
    match value {
        // An empty map sets something too: it replaces what is no map.
        Value::Object(map) if path.is_empty() || !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                add_forbidden(release, value, path, paths);
            }
        }
        _ => paths.push(path),
    }
}

fn storage_size(target: &DeployTarget) -> String {
    format!("{}Gi", target.spec.storage.gib())
}

/// `text` with the contract's references replaced.
pub(crate) fn replace(text: &str, target: &DeployTarget) -> String {
    text.replace("${customer.id}", target.name.customer.as_str())
        .replace("${customer.domain}", target.spec.domain.as_str())
        .replace("${storage.size}", &storage_size(target))
}

fn replace_all(value: &Value, target: &DeployTarget) -> Value {
    match value {
        Value::String(text) => Value::String(replace(text, target)),
        Value::Array(items) => items.iter().map(|item| replace_all(item, target)).collect(),
        Value::Object(map) => {
            let map: Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), replace_all(value, target))).collect();
            Value::Object(map)
        }
        other => other.clone(),
    }
}

/// The content of a Secret: what `existing` has stays, what is missing is made.
pub(crate) fn secret(
    spec: &SecretSpec,
    existing: &BTreeMap<String, String>,
    target: &DeployTarget,
    random: &mut impl FnMut(usize) -> String,
) -> BTreeMap<String, String> {
    let mut content = existing.clone();
    for (key, how) in &spec.keys {
        if let SecretKey::Generate(chars) = how {
            content.entry(key.clone()).or_insert_with(|| random(*chars));
        }
    }
    let generated = content.clone();
    for (key, how) in &spec.keys {
        if let SecretKey::Template(template) = how {
            content.entry(key.clone()).or_insert_with(|| {
                let text = replace(template, target);
                generated.iter().fold(text, |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
            });
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use landlord_core::{
        TenantSpec,
        environment::SpecInput,
        ports::{KubeCredentials, KubeIdentity, TargetCluster},
    };

    use super::*;
    use crate::stack::Stack;

    fn target(stack_values: Value) -> DeployTarget {
        let spec = TenantSpec::parse(SpecInput {
            domain: "acme.example.com".into(),
            storage_gib: 25,
            stack_values: stack_values.as_object().cloned().unwrap_or_default(),
            ..SpecInput::default()
        });
        DeployTarget {
            kube: KubeCredentials {
                endpoint: "https://127.0.0.1:1".into(),
                ca_pem: String::new(),
                identity: KubeIdentity::Token("secret".to_owned().into()),
                expire_time: None,
            },
            cluster: TargetCluster::OwnCluster,
            installation: "test".into(),
            uid: landlord_core::TenantUid(uuid::Uuid::nil()),
            name: "customers/acme/tenants/prod".parse().unwrap(),
            spec: spec.unwrap(),
            generation: 1,
            was_ready: false,
            stack: Some("ai-fileserver".parse().unwrap()),
            name_servers: Vec::new(),
            skip_checks: Vec::new(),
            checks_from: landlord_core::ChecksFrom::default(),
            revision: None,
        }
    }

    fn stack() -> Stack {
        Stack::load(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks/ai-fileserver"),
            &Default::default(),
        )
        .unwrap()
    }

    fn rendered(app: &str, stack_values: Value, gateway_api: bool) -> Result<Rendered> {
        let routing = if gateway_api { Routing::Gateways } else { Routing::Unknown };
        let stack = stack();
        let found = stack.release(&app.parse().unwrap())?;
        release(&target(stack_values), &stack.manifest, found, &stack.chart(found), routing)
    }

    #[test]
    fn the_contract_the_stack_and_the_tenant_in_this_order() {
        let values = rendered("sftpgo", json!({ "sftpgo": { "sftp": { "sourceRanges": ["203.0.113.0/24"] } } }), true)
            .unwrap()
            .values;
        assert_eq!(
            values,
            json!({
                "customer": { "id": "acme", "domain": "acme.example.com" },
                "storage": { "size": "25Gi" },
                "gateway": { "enabled": true, "name": "landlord", "namespace": "landlord-gateway" },
                "sftp": { "sourceRanges": ["203.0.113.0/24"] },
            })
        );
        let values = rendered("qdrant", json!({}), true).unwrap().values;
        assert_eq!(values["storage"]["size"], "20Gi", "the stack's own size wins");
        assert!(values.get("gateway").is_none());
    }

    #[test]
    fn a_tenant_sets_only_what_the_stack_leaves_to_it() {
        let cases = [
            json!({ "sftpgo": { "image": { "repository": "evil" } } }),
            json!({ "sftpgo": { "sftp": { "annotations": { "a": "b" } } } }),
            json!({ "sftpgo": { "customer": { "id": "other" } } }),
            json!({ "sftpgo": "text" }),
            json!({ "sftpgo": { "networkPolicy": { "enabled": {} } } }),
            json!({ "sftpgo": { "image": {} } }),
        ];
        for case in cases {
            assert!(matches!(rendered("sftpgo", case.clone(), false), Err(Error::ForbiddenValue { .. })), "{case}");
            assert!(check_overrides(&target(case), &stack().manifest).is_err());
        }
        assert!(check_overrides(&target(json!({ "nope": {} })), &stack().manifest).is_err());
        assert!(check_overrides(&target(json!({ "ollama": { "models": ["a:1"] } })), &stack().manifest).is_ok());
    }

    #[test]
    fn the_digest_does_not_follow_the_order_of_keys() {
        let stack = stack();
        let chart = stack.chart(stack.release(&"ollama".parse().unwrap()).unwrap());
        let digest = |text: &str| super::digest(&chart, &serde_json::from_str(text).unwrap());
        assert_eq!(digest(r#"{"a": [{"b": 1, "c": 2}], "d": 3}"#), digest(r#"{"d": 3, "a": [{"c": 2, "b": 1}]}"#));
        assert_ne!(digest(r#"{"a": [1, 2]}"#), digest(r#"{"a": [2, 1]}"#), "the order of a list is one");
    }

    #[test]
    fn the_digest_follows_the_values() {
        let digest = |app: &str, values: Value| rendered(app, values, false).unwrap().digest;
        assert_eq!(digest("ollama", json!({})), digest("ollama", json!({})));
        assert_ne!(digest("ollama", json!({})), digest("ollama", json!({ "ollama": { "models": ["a:1"] } })));
        assert_ne!(digest("ollama", json!({})), digest("qdrant", json!({})));
        assert_eq!(digest("ollama", json!({})).len(), DIGEST_DIGITS);
    }

    #[test]
    fn secrets_are_generated_once_and_templates_see_them() {
        let stack = stack();
        let spec = &stack.manifest.secrets[0];
        let mut count = 0;
        let mut random = |chars: usize| {
            count += 1;
            char::from(b'a' + count).to_string().repeat(chars)
        };
        let first = secret(spec, &BTreeMap::new(), &target(json!({})), &mut random);
        let dump: Value = serde_json::from_str(&first["initial-data.json"]).unwrap();
        assert_eq!(dump["users"][0]["username"], "acme");
        assert_eq!(dump["users"][0]["password"], json!(first["customer-password"]));
        assert_eq!(secret(spec, &first, &target(json!({})), &mut random), first, "what exists stays");
        let mut partial = first.clone();
        partial.remove("admin-password");
        let mended = secret(spec, &partial, &target(json!({})), &mut random);
        assert_eq!(mended["customer-password"], first["customer-password"]);
        assert_ne!(mended["admin-password"], first["admin-password"]);
    }
}
