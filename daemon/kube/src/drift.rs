//! Whether an object is as it shall be. Pure.

use serde_json::Value;

/// What the API server writes itself, and what only says of which kind the object is: it was requested by that, and what
/// is listed does not repeat it.
const NOT_OURS: [&str; 4] = ["status", "metadata", "apiVersion", "kind"];

/// Whether `found` differs from `wanted` in what is ours to say: our labels and annotations, and every other part in full. What somebody
/// added inside such a part is a difference too: a second selector in a network policy's peer opens it.
#[must_use]
pub fn differs(wanted: &Value, found: &Value) -> bool {
    let marks_differ = ["/metadata/labels", "/metadata/annotations"].iter().any(|marks| {
        let found = found.pointer(marks);
        let wanted = wanted.pointer(marks).and_then(Value::as_object);
        wanted.into_iter().flatten().any(|(key, value)| found.and_then(|found| found.get(key)) != Some(value))
    });
    let part_differs = wanted
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !NOT_OURS.contains(&key.as_str()))
        .any(|(key, value)| found.get(key) != Some(value));
    marks_differ || part_differs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_change_of_ours_is_seen() {
        let wanted = json!({ "apiVersion": "v1", "kind": "K", "metadata": { "name": "n", "labels": { "a": "1" } },
            "spec": { "from": [{ "podSelector": {} }] } });
        let mut same = wanted.clone();
        same["metadata"]["labels"]["b"] = json!("2");
        same["metadata"]["resourceVersion"] = json!("7");
        same["status"] = json!({ "x": 1 });
        // As it comes in a list.
        same.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
        assert!(!differs(&wanted, &same));
        let changes = [
            ("/metadata/labels/a", json!("2")),
            ("/metadata/labels", json!({})),
            ("/spec/from/0", json!({ "podSelector": {}, "namespaceSelector": {} })),
            ("/spec/from", json!([])),
            ("/spec", json!(null)),
        ];
        for (path, value) in changes {
            let mut changed = same.clone();
            *changed.pointer_mut(path).unwrap() = value;
            assert!(differs(&wanted, &changed), "{path}");
        }
    }
}
