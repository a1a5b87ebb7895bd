//! Tests of the store: the contract that holds every store, and beside it what only one database can do.
#![allow(clippy::unwrap_used, reason = "tests")]

mod crash;
mod earlier;
mod golden;
mod identity;
mod installation;
mod postgres;
mod silent;
mod sqlite;
mod standby;
mod transfer;

use landlord_store_contract::{assert_refused, contract_suite, fixtures};

contract_suite!(crate::sqlite::fresh);
