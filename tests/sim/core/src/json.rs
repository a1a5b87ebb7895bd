//! JSON as the clouds put it on the wire.

use serde_json::Value;

/// A document without members that are null: what has no value is absent.
#[must_use]
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(key, v)| (key, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// A document with the members of each object in order: two are equal as text then, in whatever order they came.
#[must_use]
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: std::collections::BTreeMap<&String, &Value> = fields.iter().collect();
            fields.into_iter().map(|(key, v)| (key.clone(), sorted(v))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{sorted, without_nulls};
    use serde_json::json;

    #[test]
    fn what_has_no_value_is_absent_at_any_depth() {
        let given = json!({ "a": null, "b": { "c": null, "d": [{ "e": null }, 1] } });
        assert_eq!(without_nulls(given), json!({ "b": { "d": [{}, 1] } }));
    }

    #[test]
    fn the_order_of_members_is_no_difference() {
        let (one, other) = (json!({ "a": 1, "b": [{ "c": 2, "d": 3 }] }), json!({ "b": [{ "d": 3, "c": 2 }], "a": 1 }));
        assert_eq!(sorted(&one).to_string(), sorted(&other).to_string());
    }
}
