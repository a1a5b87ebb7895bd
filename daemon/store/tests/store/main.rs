//! Tests of the store. `contract` knows the ports only and judges every store alike; what only
//! one database can do is tested beside it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod contract;
mod crash;
mod earlier;
mod fixtures;
mod golden;
mod sqlite;

contract_suite!(crate::sqlite::fresh);
