//! Values of charts, laid over one another.

use serde_json::{Map, Value};

/// Objects are merged, everything else is replaced.
pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The same for the values of a release.
pub(crate) fn merge_map(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        merge(into.entry(key.clone()).or_insert(Value::Null), value);
    }
}
