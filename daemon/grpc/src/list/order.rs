//! `order_by` of lists (AIP-132): fields of the filter, each with `desc` or not.

use std::cmp::Ordering;

use landlord_core::Violation;
use serde::{Deserialize, Serialize};

use super::filter::{Field, Kind, Value};
use crate::error::violation;

/// Most fields of an order.
const FIELDS_MAX: usize = 4;

/// An order; without fields the list's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order(Vec<(&'static str, bool)>);

/// What an item is ordered by. Its text form is part of a page token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Key {
    /// Absent values, `false` and `true` as -1, 0 and 1, numbers, times.
    Number(i64),
    Text(String),
}

impl Order {
    /// Parses `order_by`. Maps and lists have no order.
    pub(crate) fn parse(text: &str, fields: &[Field]) -> Result<Self, Violation> {
        let known = || fields.iter().filter(|field| !matches!(field.kind, Kind::Map | Kind::List));
        let refuse = |problem: String| {
            let names: Vec<&str> = known().map(|field| field.name).collect();
            let form = "the form is: FIELD desc, FIELD";
            violation("order_by", format!("{problem}; {form}; fields: {}", names.join(", ")))
        };
        let mut order = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            let descending = match (words.next(), words.next()) {
                (None | Some("asc"), None) => false,
                (Some("desc"), None) => true,
                _ => return Err(refuse(format!("{part:?} is not understood"))),
            };
            let field = known().find(|field| field.name == name);
            let field = field.ok_or_else(|| refuse(format!("knows no field {name:?}")))?;
            if order.iter().any(|(of, _)| *of == field.name) {
                return Err(refuse(format!("names {name} twice")));
            }
            order.push((field.name, descending));
        }
        if order.len() > FIELDS_MAX {
            return Err(refuse(format!("names more than {FIELDS_MAX} fields")));
        }
        Ok(Self(order))
    }

    /// Whether it is the list's own, by name.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.0.as_slice(), [] | [("name", false)])
    }

    /// The keys of an item.
    pub(crate) fn keys<'a>(&self, value: &impl Fn(&str) -> Value<'a>) -> Vec<Key> {
        let key = |field: &str| match value(field) {
            Value::Text(text) => Key::Text(text.into_owned()),
            Value::Number(number) | Value::Time(number) => Key::Number(number),
            Value::Bool(flag) => Key::Number(flag.into()),
            Value::Absent | Value::Map(_) | Value::List(_) => Key::Number(i64::MIN),
        };
        self.0.iter().map(|(field, _)| key(field)).collect()
    }

    /// Compares the keys of two items.
    pub(crate) fn compare(&self, one: &[Key], other: &[Key]) -> Ordering {
        let each = self.0.iter().zip(one.iter().zip(other));
        each.map(|((_, descending), (one, other))| if *descending { other.cmp(one) } else { one.cmp(other) })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 3] = [Field::text("name"), Field::new("age", Kind::Number), Field::new("labels", Kind::Map)];

    #[test]
    fn orders_are_parsed_and_compared() {
        let order = Order::parse("age desc, name", &FIELDS).unwrap();
        let item = |age: i64, name: &str| [Key::Number(age), Key::Text(name.into())];
        let mut items = [item(1, "a"), item(2, "b"), item(2, "a")];
        items.sort_by(|one, other| order.compare(one, other));
        assert_eq!(items, [item(2, "a"), item(2, "b"), item(1, "a")]);
        assert!(Order::parse("", &FIELDS).unwrap().is_own() && Order::parse(" name asc ", &FIELDS).unwrap().is_own());
        for bad in ["size", "labels", "age down", "age desc desc", "age,,name", "age, age"] {
            assert_eq!(Order::parse(bad, &FIELDS).unwrap_err().field, "order_by", "{bad}");
        }
    }
}
