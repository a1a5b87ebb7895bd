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

#[cfg(test)]
mod tests {
    use super::without_nulls;
    use serde_json::json;

    #[test]
    fn what_has_no_value_is_absent_at_any_depth() {
        let given = json!({ "a": null, "b": { "c": null, "d": [{ "e": null }, 1] } });
        assert_eq!(without_nulls(given), json!({ "b": { "d": [{}, 1] } }));
    }
}
