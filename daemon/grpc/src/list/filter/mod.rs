//! Filters of lists: AIP-160 (<https://google.aip.dev/160>) as far as fields of resources go.
//!
//! `AND`, `OR` (which binds tighter than `AND`), `NOT` or `-`, brackets; `=`, `!=`, `<`, `<=`, `>`, `>=`, `:`. A text may
//! begin or end with `*`. A filter is checked whole before anything is listed: an unknown field, or a value that is none of
//! its kind, is refused.

mod expression;
mod field;
mod parse;
mod token;

pub(crate) use self::{
    expression::Expression,
    field::{Field, Kind, Value},
    parse::parse,
};
