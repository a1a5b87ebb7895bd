//! Whether a chart stays within what a tenant on a shared cluster may have, judged from what it renders to, before
//! anything is applied. The wall is the deployer's role; this names which object does not fit, and why.

use kube::Client;
use landlord_core::isolation::TENANT_KINDS;
use landlord_kube::yaml;
use serde_json::Value;

use crate::error::{Error, Result};

/// Refuses the first object that is not for a shared cluster.
pub(crate) async fn check(client: &Client, release: &str, rendered: &str, namespace: &str) -> Result<()> {
    let documents = yaml::documents(rendered).map_err(|error| Error::NotForShared {
        release: release.to_owned(),
        object: "its manifest".into(),
        why: format!("can't be read: {error}"),
    })?;
    for object in objects(documents) {
        let Some(mut why) = violation(&object, namespace) else { continue };
        if why == UNKNOWN && is_cluster_scoped(client, &object).await {
            why = CLUSTER_SCOPED.into();
        }
        return Err(Error::NotForShared { release: release.to_owned(), object: name(&object), why });
    }
    Ok(())
}

const UNKNOWN: &str = "is of a kind that a tenant on a shared cluster can't have";
const CLUSTER_SCOPED: &str = "is cluster-scoped, which a tenant on a shared cluster can't have";

/// Lists are taken apart, empty documents left out.
pub(crate) fn objects(documents: Vec<Value>) -> Vec<Value> {
    let mut all = Vec::new();
    for mut document in documents {
        let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if is_list => all.extend(objects(items)),
            _ if document.is_null() => {}
            _ => all.push(document),
        }
    }
    all
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn name(object: &Value) -> String {
    format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// Why an object does not fit; `None`: it does.
fn violation(object: &Value, namespace: &str) -> Option<String> {
    let api_version = text(object, "/apiVersion");
    let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = text(object, "/kind");
    if !TENANT_KINDS.iter().any(|known| known.group == group && known.kind == kind) {
        return Some(UNKNOWN.into());
    }
    let own = text(object, "/metadata/namespace");
    (!own.is_empty() && own != namespace).then(|| format!("is for the namespace {own}, not for the tenant's"))
}

/// Checked only for a better message; a kind that nobody knows is refused all the same.
async fn is_cluster_scoped(client: &Client, object: &Value) -> bool {
    let api_version = text(object, "/apiVersion");
    let resources = match api_version.split_once('/') {
        Some(_) => client.list_api_group_resources(api_version).await,
        None => client.list_core_api_resources(api_version).await,
    };
    resources
        .ok()
        .and_then(|list| list.resources.into_iter().find(|r| r.kind == text(object, "/kind") && !r.name.contains('/')))
        .is_some_and(|resource| !resource.namespaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tenants_own_objects_are_allowed() {
        let cases = [
            ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", None),
            ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: mine}}", None),
            ("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}", None),
            ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}}", Some("kube-system")),
            ("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a}}", Some("kind")),
            ("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a}}", Some("kind")),
            ("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}", Some("kind")),
            ("{apiVersion: example.com/v1, kind: ConfigMap, metadata: {name: a}}", Some("kind")),
            (
                "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Namespace, metadata: {name: a}}]}",
                Some("kind"),
            ),
        ];
        for (manifest, expected) in cases {
            let found = objects(yaml::documents(manifest).unwrap());
            let why = found.iter().find_map(|object| violation(object, "mine"));
            assert_eq!(why.is_some(), expected.is_some(), "{manifest}: {why:?}");
            assert!(why.unwrap_or_default().contains(expected.unwrap_or_default()), "{manifest}");
        }
    }
}
