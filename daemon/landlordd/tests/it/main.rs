//! The daemon's configuration, and what is shipped to watch it with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod config;
mod observability;
