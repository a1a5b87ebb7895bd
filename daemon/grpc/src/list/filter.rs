//! The part of AIP-160 that lists understand: comparisons with `=`, joined by AND, and OR
//! between values of one field in parentheses.

use std::collections::BTreeMap;

use landlord_core::Violation;

use crate::error::violation;

/// Longest filter.
const CHARS_MAX: usize = 1_000;

/// Values by field; several values of a field are alternatives.
pub(crate) type Filter = BTreeMap<String, Vec<String>>;

/// Parses a filter; `fields` are those that the list knows.
pub(crate) fn parse(text: &str, fields: &[&str]) -> Result<Filter, Violation> {
    let refuse = |problem: String| {
        let form = "the form is: field = value AND (field = value OR field = value)";
        Err(violation("filter", format!("{problem}; {form}; fields: {}", fields.join(", "))))
    };
    if text.chars().count() > CHARS_MAX {
        return refuse(format!("is longer than {CHARS_MAX} characters"));
    }
    let mut filter = Filter::new();
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(problem) => return refuse(problem),
    };
    let mut rest = tokens.as_slice();
    let mut in_group: Option<String> = None;
    let mut depth = false;
    while !rest.is_empty() {
        if rest[0] == "(" && !depth {
            depth = true;
            in_group = None;
            rest = &rest[1..];
            continue;
        }
        let [field, equals, value, ..] = rest else {
            return refuse(format!("ends after {:?}", rest.join(" ")));
        };
        if !fields.contains(&field.as_str()) {
            return refuse(format!("knows no field {field:?}"));
        }
        if equals != "=" {
            return refuse(format!("{equals:?} is not supported after {field}"));
        }
        if in_group.as_ref().is_some_and(|group| group != field) {
            return refuse("OR is supported between values of one field only".into());
        }
        if !depth && filter.contains_key(field) {
            return refuse(format!("{field} is compared twice"));
        }
        filter.entry(field.clone()).or_default().push(value.clone());
        rest = &rest[3..];
        if depth && rest.first().is_some_and(|token| token == ")") {
            depth = false;
            in_group = None;
            rest = &rest[1..];
        }
        match rest.first().map(String::as_str) {
            None if depth => return refuse("has a '(' without ')'".into()),
            None => {}
            Some("AND") if !depth && rest.len() > 1 => rest = &rest[1..],
            Some("OR") if depth => {
                in_group = Some(field.clone());
                rest = &rest[1..];
            }
            Some(other) => return refuse(format!("{other:?} is not expected after {value:?}")),
        }
    }
    Ok(filter)
}

/// Takes the value of a field that can have one only.
pub(crate) fn one(filter: &mut Filter, field: &str) -> Result<Option<String>, Violation> {
    let mut values = filter.remove(field).unwrap_or_default();
    if values.len() > 1 {
        return Err(violation("filter", format!("{field} can have one value only")));
    }
    Ok(values.pop())
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&next) = characters.peek() {
        match next {
            ' ' | '\t' | '\n' => {
                characters.next();
            }
            '(' | ')' | '=' => {
                tokens.push(next.to_string());
                characters.next();
            }
            '"' => {
                characters.next();
                let mut value = String::new();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some(character) => value.push(character),
                        None => return Err("has a quote that does not end".into()),
                    }
                }
                tokens.push(value);
            }
            _ => {
                let mut word = String::new();
                while let Some(&character) = characters.peek() {
                    if " \t\n()=\"".contains(character) {
                        break;
                    }
                    word.push(character);
                    characters.next();
                }
                tokens.push(word);
            }
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_is_documented() {
        type Fields = &'static [(&'static str, &'static [&'static str])];
        let cases: [(&str, Fields); 4] = [
            ("", &[]),
            ("state = READY", &[("state", &["READY"])]),
            (r#"state=READY AND class = "small""#, &[("class", &["small"]), ("state", &["READY"])]),
            ("(state = READY OR state = FAILED) AND class=x", &[("class", &["x"]), ("state", &["READY", "FAILED"])]),
        ];
        for (text, expected) in cases {
            let filter = parse(text, &["state", "class"]).unwrap();
            let expected: Filter = expected
                .iter()
                .map(|(field, values)| ((*field).into(), values.iter().map(|v| (*v).into()).collect()))
                .collect();
            assert_eq!(filter, expected, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_with_a_reason() {
        for text in [
            "size = 3",
            "state",
            "state = ",
            "state > READY",
            "state = A state = B",
            "(state = A OR class = b)",
            "(state = A",
            "state = \"A",
            "state = A OR state = B",
            "state = A AND",
        ] {
            let refused = parse(text, &["state", "class"]).unwrap_err();
            assert_eq!(refused.field, "filter", "{text}");
        }
    }
}
