//! Webhooks against receivers on this machine that take, refuse, sleep, redirect and babble; over a real store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod delivery;
mod receiver;
mod world;
