//! Whether a text is a JSON Schema (2020-12) as far as an object's description needs one: the keywords that plugins use,
//! in the form that the meta-schema requests (<https://json-schema.org/draft/2020-12/schema>). Unknown keywords are
//! annotations, as the specification says. Validates no instance.

use serde_json::{Map, Value};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];
/// Keywords whose value is a schema.
const SCHEMAS: [&str; 9] = [
    "additionalProperties",
    "items",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
];
/// Keywords whose value is a map of schemas.
const SCHEMA_MAPS: [&str; 4] = ["properties", "patternProperties", "$defs", "dependentSchemas"];
/// Keywords whose value is a list of schemas.
const SCHEMA_LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a text.
const TEXTS: [&str; 7] = ["title", "description", "pattern", "format", "$ref", "$id", "$comment"];
/// Keywords whose value is a number.
const NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
/// Keywords whose value is a count.
const COUNTS: [&str; 6] = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"];
/// A schema that is nested deeper describes nothing that a person fills in.
const DEPTH_MAX: usize = 32;

/// What is wrong with a schema text; nothing is fine.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    match serde_json::from_str::<Value>(text) {
        Ok(schema @ Value::Object(_)) => {
            if let Some(dialect) = schema.get("$schema").and_then(Value::as_str)
                && dialect.trim_end_matches('#') != DIALECT
            {
                problems.push(format!("$schema is {dialect:?}, not {DIALECT:?}"));
            }
            if !schema.get("type").is_some_and(|kind| kind == "object") {
                problems.push("describes no object: its type must be \"object\"".into());
            }
            check("", &schema, 0, &mut problems);
        }
        Ok(_) => problems.push("is no JSON object".into()),
        Err(error) => problems.push(format!("is no JSON: {error}")),
    }
    problems
}

fn check(at: &str, schema: &Value, depth: usize, problems: &mut Vec<String>) {
    let fields = match schema {
        Value::Bool(_) => return,
        Value::Object(fields) if depth < DEPTH_MAX => fields,
        _ => return problems.push(format!("{at}: is no schema")),
    };
    check_type(at, fields, problems);
    for (key, value) in fields {
        let here = format!("{at}/{key}");
        let name = key.as_str();
        let fits = match name {
            "required" => value.as_array().is_some_and(|names| names.iter().all(Value::is_string)),
            "enum" => value.as_array().is_some_and(|values| !values.is_empty()),
            _ if TEXTS.contains(&name) => value.is_string(),
            _ if NUMBERS.contains(&name) => value.is_number(),
            _ if COUNTS.contains(&name) => value.as_u64().is_some(),
            _ if SCHEMA_MAPS.contains(&name) => value.is_object(),
            _ if SCHEMA_LISTS.contains(&name) => value.as_array().is_some_and(|list| !list.is_empty()),
            _ => true,
        };
        if !fits {
            problems.push(format!("{here}: has the wrong form: {value}"));
        } else if SCHEMAS.contains(&name) {
            check(&here, value, depth + 1, problems);
        } else if SCHEMA_MAPS.contains(&name) {
            let inner = value.as_object().into_iter().flatten();
            inner.for_each(|(key, value)| check(&format!("{here}/{key}"), value, depth + 1, problems));
        } else if SCHEMA_LISTS.contains(&name) {
            let inner = value.as_array().into_iter().flatten();
            inner.for_each(|value| check(&here, value, depth + 1, problems));
        }
    }
}

fn check_type(at: &str, fields: &Map<String, Value>, problems: &mut Vec<String>) {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let fits = match fields.get("type") {
        None => true,
        Some(Value::Array(names)) => !names.is_empty() && names.iter().all(is_type),
        Some(name) => is_type(name),
    };
    if !fits {
        problems.push(format!("{at}/type: is none of {}", TYPES.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::problems;

    #[test]
    fn good_schemas_pass_and_bad_ones_name_the_place() {
        let good = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["a"],
            "properties": {"a": {"type": ["string", "null"], "pattern": "^x"}, "b": {"items": {"type": "integer"}}},
            "additionalProperties": false}"#;
        assert_eq!(problems(good), Vec::<String>::new());
        for (bad, place) in [
            ("nonsense", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "describes no object"),
            (r#"{"type": "object", "properties": {"a": {"type": "text"}}}"#, "/properties/a/type"),
            (r#"{"type": "object", "required": "a"}"#, "/required"),
            (r#"{"type": "object", "properties": {"a": 1}}"#, "/properties/a"),
            (r#"{"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}"#, "$schema"),
        ] {
            let found = problems(bad);
            assert!(found.iter().any(|problem| problem.contains(place)), "{bad}: {found:?}");
        }
    }
}
