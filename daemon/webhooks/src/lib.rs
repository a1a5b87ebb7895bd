//! Notifies portals over HTTP of what happens to their tenants.
//!
//! # Expected flow
//! Each webhook of the configuration has a place in the store's events, which are the only queue. The daemon that has its lease
//! reads on from there, sends each event as a CloudEvent 1.0 in JSON, signed as <https://www.standardwebhooks.com> says, and
//! moves the place when the receiver has answered 2xx.
//!
//! # Guarantees
//! - At least once: the place moves after the answer. A daemon that is killed between the two, or loses its lease, has the same
//!   events sent again, with the same ids.
//! - In order for each tenant: the next event of a tenant is sent when the one before was taken, or given up.
//! - A tenant whose event is not taken is held by itself; other tenants go on. When `progress::HELD_MAX` are held the
//!   receiver counts as down, and the place stands until one is taken.
//! - What is not taken for `retry_timeout` is parked: given up, kept, shown, and delivered again by a replay.
//! - Nothing waits for a receiver but its own events: not the engine, not the store, not another webhook.
//! - Requests go to public addresses only, or to networks that the configuration names, whatever a name resolves to; redirects
//!   are not followed; requests, times and what is read of an answer are bounded.
//!
//! # Cancellation
//! At the end of the daemon a request under way may end for `deliver::GRACE`; then what is known is recorded and the
//! lease is given back.
//!
//! Knows the ports of `core`, and neither gRPC nor any database.

mod address;
mod clock;
mod deliver;
mod error;
mod event;
mod event_id;
mod figures;
mod filter;
mod ports;
mod progress;
mod reading;
mod send;
mod service;
mod signature;

pub use error::Error;
pub use event::EventType;
pub use figures::WebhookFigures;
pub use ipnet::IpNet;
pub use ports::{SecretSource, Store};
pub use send::CaFile;
pub use service::{Service, Timing, WebhookOptions};
pub use signature::{InvalidSecret, Secret};
