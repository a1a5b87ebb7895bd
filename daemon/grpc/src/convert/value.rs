//! Common values: times, whole numbers, structs, messages of any type.

use landlord_core::{Timestamp, Violation};
use landlord_proto::v1;

pub(crate) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.0.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: time.0.div_euclid(1_000), nanos }
}

/// A number that is never too large.
pub(super) fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A message of any type.
pub(super) fn any<M: prost::Name>(message: &M) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// The numbers of a tenant's stack values that JSON has no way to write.
pub(crate) fn non_finite(tenant: &v1::Tenant) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (key, value) in tenant.stack_values.iter().flat_map(|values| &values.fields) {
        add_non_finite(&format!("tenant.stack_values.{key}"), value, &mut violations);
    }
    violations
}

fn add_non_finite(path: &str, value: &prost_types::Value, violations: &mut Vec<Violation>) {
    use prost_types::value::Kind;
    match &value.kind {
        Some(Kind::NumberValue(number)) if !number.is_finite() => {
            violations
                .push(Violation { field: path.to_owned(), description: format!("{number} is no number of JSON") });
        }
        Some(Kind::StructValue(fields)) => {
            for (key, value) in &fields.fields {
                add_non_finite(&format!("{path}.{key}"), value, violations);
            }
        }
        Some(Kind::ListValue(list)) => {
            for (index, value) in list.values.iter().enumerate() {
                add_non_finite(&format!("{path}.{index}"), value, violations);
            }
        }
        _ => {}
    }
}

/// A struct as JSON.
pub(super) fn from_struct(fields: prost_types::Struct) -> serde_json::Map<String, serde_json::Value> {
    fields.fields.into_iter().map(|(key, value)| (key, from_value(value))).collect()
}

fn from_value(value: prost_types::Value) -> serde_json::Value {
    use prost_types::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect(),
        Some(Kind::StructValue(fields)) => serde_json::Value::Object(from_struct(fields)),
    }
}

/// Struct knows only floats; charts want their whole numbers whole.
fn number(value: f64) -> serde_json::Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range of f64")]
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        return (value as i64).into();
    }
    value.into()
}

/// JSON as a struct.
pub(super) fn to_struct(map: &serde_json::Map<String, serde_json::Value>) -> prost_types::Struct {
    prost_types::Struct { fields: map.iter().map(|(key, value)| (key.clone(), to_value(value))).collect() }
}

fn to_value(value: &serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        serde_json::Value::String(value) => Kind::StringValue(value.clone()),
        serde_json::Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(to_value).collect() })
        }
        serde_json::Value::Object(map) => Kind::StructValue(to_struct(map)),
    };
    prost_types::Value { kind: Some(kind) }
}
