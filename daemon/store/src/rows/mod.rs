//! The tables: how a record is written into columns and read back, and the statements on one table each. Portable between
//! the databases; knows neither requests nor leases.

pub(crate) mod audit;
pub(crate) mod clock;
mod columns;
pub(crate) mod customers;
pub(crate) mod environments;
pub(crate) mod events;
pub(crate) mod operations;
pub(crate) mod positions;
pub(crate) mod stages;
mod statement;

pub(crate) use columns::{
    column, desired_state_word, environment, etag, host_last_ready, json, key, kind_word, name_in, owner_columns,
    parse, priority, readable, scope, stage, state_word, unavailable,
};
pub(crate) use statement::Statement;
