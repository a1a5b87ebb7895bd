//! Every object of a cluster, to be compared before and after. Knows nothing of whose they are.

use std::collections::BTreeMap;

use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;

use crate::error::{Error, Result};

/// What changes by itself: news, heartbeats, what nodes report of themselves, and leases of addresses that are tried again.
const RESTLESS: [&str; 3] = ["Event", "Lease", "Node"];
/// Kinds whose state is inspected and written again and again; that they are there counts.
const WATCHED: [&str; 1] = ["APIService"];

fn asking() -> impl FnOnce(kube::Error) -> Error {
    Error::kubernetes("listing every object")
}

/// Every object that can be listed, by kind and name, but for what changes by itself and what `left_out` says. APIs that do
/// not respond are passed over if `silent` names their group.
///
/// # Errors
/// The API server's.
pub async fn everything(
    client: &Client,
    silent: &[&str],
    left_out: impl Fn(&str, &DynamicObject) -> bool,
) -> Result<BTreeMap<String, Value>> {
    let mut lists = vec![("v1".to_owned(), client.list_core_api_resources("v1").await.map_err(asking())?)];
    for group in client.list_api_groups().await.map_err(asking())?.groups {
        let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next());
        let Some(version) = preferred.map(|version| version.group_version) else { continue };
        if !silent.contains(&group.name.as_str()) {
            let list = client.list_api_group_resources(&version).await.map_err(asking())?;
            lists.push((version, list));
        }
    }
    let mut all = BTreeMap::new();
    for (version, list) in lists {
        for resource in list.resources {
            let listed = !resource.name.contains('/') && resource.verbs.iter().any(|verb| verb == "list");
            if !listed || RESTLESS.contains(&resource.kind.as_str()) {
                continue;
            }
            let (group, version) = version.split_once('/').unwrap_or(("", &version));
            let kind = GroupVersionKind::gvk(group, version, &resource.kind);
            let of_kind = ApiResource::from_gvk_with_plural(&kind, &resource.name);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &of_kind);
            for object in api.list(&ListParams::default()).await.map_err(asking())? {
                if left_out(&resource.kind, &object) {
                    continue;
                }
                let name =
                    format!("{} {}/{}", resource.kind, object.namespace().unwrap_or_default(), object.name_any());
                let mut value = serde_json::to_value(object).unwrap_or_default();
                if WATCHED.contains(&resource.kind.as_str()) {
                    value["status"] = Value::Null;
                    value["metadata"] = Value::Null;
                }
                all.insert(name, value);
            }
        }
    }
    Ok(all)
}

/// What is lost, new and changed, a line each; empty: the same.
#[must_use]
pub fn differences(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let lost = before.keys().filter(|key| !after.contains_key(*key)).map(|key| format!("lost: {key}"));
    let new = after.keys().filter(|key| !before.contains_key(*key)).map(|key| format!("new: {key}"));
    let changed = before.iter().filter(|(key, object)| after.get(*key).is_some_and(|found| found != *object));
    lost.chain(new).chain(changed.map(|(key, _)| format!("changed: {key}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_reported() {
        let of = |pairs: &[(&str, i32)]| -> BTreeMap<String, Value> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let reported = differences(&of(&[("a", 1), ("b", 1), ("c", 1)]), &of(&[("b", 2), ("c", 1), ("d", 1)]));
        assert_eq!(reported, ["lost: a", "new: d", "changed: b"]);
    }
}
