//! The contract by itself: what follows from an implementation, and what the C header says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capabilities;
mod header;
