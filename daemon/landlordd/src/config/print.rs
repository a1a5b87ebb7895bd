//! `--print-config`: every value with its origin, secrets masked.

use serde_json::Value;

use super::{Loaded, secret::is_secret};

const MASK: &str = "\"********\"";

/// One line for each value: `key = value  # origin`.
#[must_use]
pub fn print(loaded: &Loaded) -> String {
    let tree = serde_json::to_value(&loaded.config).unwrap_or(Value::Null);
    let mut lines = Vec::new();
    walk(loaded, "", &tree, &mut lines);
    let width = lines.iter().map(|(left, _)| left.len()).max().unwrap_or(0).min(60);
    let mut text = String::new();
    for (left, origin) in lines {
        text.push_str(&format!("{left:width$}  # {origin}\n"));
    }
    text
}

fn walk(loaded: &Loaded, path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let inner_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(loaded, &inner_path, inner, lines);
            }
        }
        _ => {
            let shown = if is_secret(path) { MASK.to_owned() } else { value.to_string() };
            lines.push((format!("{path} = {shown}"), loaded.origin(path)));
        }
    }
}
