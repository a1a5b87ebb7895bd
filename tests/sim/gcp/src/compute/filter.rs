//! The part of list filters that is used: comparisons joined by AND.
//!
//! <https://cloud.google.com/compute/docs/reference/rest/v1/networks/list> (`filter`). `=`, `!=`, `:` (has, `*` for
//! any run of characters) and `eq`, `ne` (whole-value regular expressions, of which `.*` is understood here).

use crate::error::invalid_field;
use cloudsim_core::{call::Result, faults::glob};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Is(String),
    Has(String),
}

/// A parsed filter.
#[derive(Debug, Default)]
pub(super) struct Filter {
    terms: Vec<(String, bool, Test)>,
}

impl Filter {
    /// Parses a filter; the empty one lets everything through.
    ///
    /// # Errors
    /// An expression that is not understood.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut terms = Vec::new();
        for part in split(text) {
            terms.push(term(&part).ok_or_else(|| invalid_field("filter", text, "Invalid list filter expression."))?);
        }
        Ok(Self { terms })
    }

    /// Whether a document fits.
    #[must_use]
    pub(super) fn fits(&self, doc: &Value) -> bool {
        self.terms.iter().all(|(field, wanted, test)| {
            let found = look_up(doc, field);
            let fits = match test {
                Test::Is(pattern) => values(found).iter().any(|v| glob(pattern, v)),
                Test::Has(pattern) if pattern == "*" => found.is_some_and(|v| !v.is_null()),
                Test::Has(pattern) => values(found).iter().any(|v| glob(pattern, v) || v.contains(pattern.as_str())),
            };
            fits == *wanted
        })
    }
}

/// The value of `a.b`; names of labels may have dots.
fn look_up<'a>(doc: &'a Value, field: &str) -> Option<&'a Value> {
    match field.split_once('.') {
        None => doc.get(field),
        Some((head, rest)) => {
            let inner = doc.get(head)?;
            inner.get(rest.trim_matches('"')).or_else(|| look_up(inner, rest))
        }
    }
}

fn values(found: Option<&Value>) -> Vec<String> {
    match found {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().flat_map(|v| values(Some(v))).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(other) => vec![other.to_string()],
    }
}

/// The terms between AND or parentheses, outside quotes.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut current, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                current.push(c);
            }
            '(' | ')' if !quoted => parts.push(std::mem::take(&mut current)),
            _ => current.push(c),
        }
        if !quoted && current.ends_with(" AND ") {
            current.truncate(current.len() - 5);
            parts.push(std::mem::take(&mut current));
        }
    }
    parts.push(current);
    let trimmed = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty() && *p != "AND");
    trimmed.map(str::to_owned).collect()
}

fn term(part: &str) -> Option<(String, bool, Test)> {
    for (operator, wanted, regular) in [(" eq ", true, true), (" ne ", false, true), ("!=", false, false)] {
        if let Some((field, value)) = part.split_once(operator) {
            let value = if regular { plain(value).replace(".*", "*") } else { plain(value) };
            return Some((name(field)?, wanted, Test::Is(value)));
        }
    }
    // A label's value may hold a colon and a description an equals sign: the first operator decides.
    let at = part.find(['=', ':'])?;
    let (field, value) = (name(&part[..at])?, plain(&part[at + 1..]));
    let test = if part[at..].starts_with('=') { Test::Is(value) } else { Test::Has(value) };
    Some((field, true, test))
}

fn name(field: &str) -> Option<String> {
    let field = field.trim();
    let fits = |c: char| c.is_alphanumeric() || "._-/\"".contains(c);
    (!field.is_empty() && field.chars().all(fits)).then(|| field.to_owned())
}

fn plain(value: &str) -> String {
    let value = value.trim();
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    inner.replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use serde_json::json;

    #[test]
    fn filters() {
        let doc = json!({ "name": "net-1", "labels": { "a": "b" }, "description": "{\"uid\":\"7\"}", "sizeGb": "10" });
        for (filter, expected) in [
            ("", true),
            ("name=net-1", true),
            ("name = \"net-*\"", true),
            ("name eq net-.*", true),
            ("name ne net-.*", false),
            ("name != other", true),
            ("labels.a=b", true),
            ("labels.a:*", true),
            ("labels.c:*", false),
            ("(labels.a=b) AND (name=other)", false),
            ("(labels.a=b) (name=net-1)", true),
            ("labels.a=b AND sizeGb=10", true),
            ("description:uid", true),
        ] {
            assert_eq!(Filter::parse(filter).expect(filter).fits(&doc), expected, "{filter}");
        }
        assert!(Filter::parse("nonsense").is_err());
    }
}
