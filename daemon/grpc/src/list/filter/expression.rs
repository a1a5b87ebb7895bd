//! A checked filter, and whether an item matches it.

use super::field::{Field, Value};

/// A checked filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// All of these; of none: everything.
    And(Vec<Expression>),
    /// One of these.
    Or(Vec<Expression>),
    /// Not this.
    Not(Box<Expression>),
    /// A comparison.
    Compare(Comparison),
}

/// A field compared with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// The field's name.
    pub(super) field: &'static str,
    /// Of a map: which of its keys.
    pub(super) key: Option<String>,
    pub(super) operator: Operator,
    pub(super) literal: Literal,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Has,
}

/// With what.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// Whatever is there.
    Any,
    /// A text, which may go on before and behind.
    Text {
        text: String,
        open_start: bool,
        open_end: bool,
    },
    Bool(bool),
    Number(i64),
    /// Milliseconds of the Unix epoch.
    Time(i64),
}

impl Expression {
    /// Whether an item matches; `value` gives its fields.
    pub(crate) fn matches<'a>(&self, value: &impl Fn(&str) -> Value<'a>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.matches(value)),
            Self::Or(any) => any.iter().any(|one| one.matches(value)),
            Self::Not(inner) => !inner.matches(value),
            Self::Compare(comparison) => comparison.matches(&value(comparison.field)),
        }
    }

    /// The texts of which a field has one in every item that matches; `None`: it may have any. Lists hand it to the store,
    /// so that it reads less.
    pub(crate) fn texts(&self, field: &str) -> Option<Vec<String>> {
        match self {
            Self::And(all) => all.iter().find_map(|one| one.texts(field)),
            Self::Or(any) => any.iter().map(|one| one.texts(field)).collect::<Option<Vec<_>>>().map(|all| all.concat()),
            Self::Not(_) => None,
            Self::Compare(Comparison { field: of, operator: Operator::Equal, literal, .. }) if *of == field => {
                match literal {
                    Literal::Text { text, open_start: false, open_end: false } => Some(vec![text.clone()]),
                    _ => None,
                }
            }
            Self::Compare(_) => None,
        }
    }

    /// The value that a field that is `true` or `false` has in every item that matches.
    pub(crate) fn flag(&self, field: &str) -> Option<bool> {
        match self {
            Self::And(all) => all.iter().find_map(|one| one.flag(field)),
            Self::Compare(Comparison {
                field: of, operator: Operator::Equal, literal: Literal::Bool(flag), ..
            }) if *of == field => Some(*flag),
            Self::Or(_) | Self::Not(_) | Self::Compare(_) => None,
        }
    }

    /// The time (milliseconds of the Unix epoch) before which no item lies that matches.
    pub(crate) fn since(&self, field: &Field) -> Option<i64> {
        use Operator::{Equal, Greater, GreaterOrEqual};
        match self {
            Self::And(all) => all.iter().filter_map(|one| one.since(field)).max(),
            Self::Compare(Comparison {
                field: of,
                operator: Equal | Greater | GreaterOrEqual,
                literal: Literal::Time(time),
                ..
            }) if *of == field.name => Some(*time),
            Self::Or(_) | Self::Not(_) | Self::Compare(_) => None,
        }
    }

    /// The only text that a field can have in an item that matches.
    pub(crate) fn text(&self, field: &Field) -> Option<String> {
        let mut texts = self.texts(field.name)?;
        texts.dedup();
        if texts.len() == 1 { texts.pop() } else { None }
    }
}

impl Comparison {
    fn matches(&self, value: &Value<'_>) -> bool {
        let value = match (value, &self.key) {
            (Value::Map(map), Some(key)) => {
                map.get(key).map_or(Value::Absent, |text| Value::Text(text.as_str().into()))
            }
            (value, _) => value.clone(),
        };
        match (self.operator, &value) {
            (Operator::Has, _) => self.has(&value),
            (Operator::NotEqual, _) => !self.equals(&value),
            (Operator::Equal, _) => self.equals(&value),
            (operator, Value::Number(number)) => match &self.literal {
                Literal::Number(literal) => operator.orders(*number, *literal),
                _ => false,
            },
            (operator, Value::Time(time)) => match &self.literal {
                Literal::Time(literal) => operator.orders(*time, *literal),
                _ => false,
            },
            _ => false,
        }
    }

    fn equals(&self, value: &Value<'_>) -> bool {
        match (&self.literal, value) {
            (Literal::Any, value) => *value != Value::Absent,
            // A text that a client leaves out is an empty one.
            (Literal::Text { text, open_start: false, open_end: false }, Value::Absent) => text.is_empty(),
            (Literal::Text { .. }, Value::Text(value)) => self.literal.fits(value),
            (Literal::Bool(literal), Value::Bool(value)) => literal == value,
            (Literal::Number(literal), Value::Number(value)) | (Literal::Time(literal), Value::Time(value)) => {
                literal == value
            }
            _ => false,
        }
    }

    fn has(&self, value: &Value<'_>) -> bool {
        match (&self.literal, value) {
            (Literal::Any, Value::Map(map)) => !map.is_empty(),
            (Literal::Any, Value::List(list)) => !list.is_empty(),
            (Literal::Any, value) => *value != Value::Absent,
            (literal, Value::Map(map)) => map.keys().any(|key| literal.fits(key)),
            (literal, Value::List(list)) => list.iter().any(|text| literal.fits(text)),
            _ => self.equals(value),
        }
    }
}

impl Operator {
    fn orders(self, value: i64, literal: i64) -> bool {
        match self {
            Self::Less => value < literal,
            Self::LessOrEqual => value <= literal,
            Self::Greater => value > literal,
            Self::GreaterOrEqual => value >= literal,
            Self::Equal | Self::Has => value == literal,
            Self::NotEqual => value != literal,
        }
    }
}

impl Literal {
    /// Whether a text is the literal's.
    fn fits(&self, value: &str) -> bool {
        let Self::Text { text, open_start, open_end } = self else { return false };
        match (open_start, open_end) {
            (false, false) => value == text,
            (false, true) => value.starts_with(text),
            (true, false) => value.ends_with(text),
            (true, true) => value.contains(text),
        }
    }
}
