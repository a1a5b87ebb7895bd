//! Tests of the daemon as a whole, and of what is shipped with it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod config;
mod observability;
mod service;
