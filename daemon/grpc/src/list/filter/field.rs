//! Fields that a filter can name, and their values.

use std::{borrow::Cow, collections::BTreeMap};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text, with what is wrong with one that it never holds.
    Text(fn(&str) -> Result<(), String>),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number,
    /// A time, RFC 3339.
    Time,
    /// A map from text to text: `labels.KEY = VALUE`, `labels:KEY`.
    Map,
    /// Several texts: `regions:VALUE`.
    List,
}

/// A field of a list's items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// As the API names it.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
}

impl Field {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// Of any text.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text(|_| Ok(())))
    }
}

/// The value of an item's field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// It has none.
    Absent,
    Text(Cow<'a, str>),
    Bool(bool),
    Number(i64),
    /// Milliseconds of the Unix epoch.
    Time(i64),
    Map(&'a BTreeMap<String, String>),
    List(Vec<&'a str>),
}

impl<'a> Value<'a> {
    /// A text; an empty one is absent.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Absent } else { Self::Text(text) }
    }

    /// A time, if there is one.
    pub(crate) fn time(time: Option<landlord_core::Timestamp>) -> Self {
        time.map_or(Self::Absent, |time| Self::Time(time.0))
    }
}
