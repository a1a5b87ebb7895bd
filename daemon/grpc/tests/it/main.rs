//! The API over a socket, with a store in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod audit;
mod common;
mod customers;
mod floods;
mod handed_over;
mod hidden;
mod hosts;
mod limits;
mod orders;
mod placement;
mod requests;
mod service;
mod tenants;
mod tls;
mod web;
