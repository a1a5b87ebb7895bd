//! The gRPC front of landlordd: turns requests into checked domain values, hands them to the store, and turns results and
//! errors back. It never calls a provider and knows no engine; it only hints.
//!
//! # Expected flow
//! 1. An rpc's request becomes a `RequestContext` (caller, idempotency key, deadline, trace) and a message.
//! 2. Reads ask the store and convert. Writes of both resources take one path (`accept`): check, replay or refuse,
//!    dry run, commit.
//! 3. Whatever fails is the crate's one `Error`; `status` alone makes a `tonic::Status` of it.
//!
//! # Guarantees
//! - All violations of a request come back at once.
//! - A repeated `request_id` gets the first response, also when the same request would be refused now.
//! - A client's speed holds nothing of the store.

mod accept;
mod access;
mod attributes;
mod audit;
mod auth;
mod authenticate;
mod context;
mod convert;
mod customer;
mod daemon;
mod denials;
mod displayed;
mod error;
mod figures;
mod guard;
mod host_cluster;
mod limits;
mod list;
mod listen;
mod merge;
mod name;
mod opaque;
mod operation;
mod orphan;
mod ports;
mod provider;
mod reason;
mod renewal;
mod serve;
mod serve_error;
mod shares;
mod status;
mod tenant;
mod tenant_class;
mod watch;
mod web;
mod webhook;

pub use figures::RpcFigures;
pub use limits::Limits;
pub use listen::{Listen, ListenBounds, ListenTcp};
pub use merge::Turns;
pub use opaque::{OpaqueTokens, UnusableSecret};
pub use ports::Ports;
pub use serve::serve;
pub use serve_error::ServeError;
