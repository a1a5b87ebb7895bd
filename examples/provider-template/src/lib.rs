//! A complete provider for Nimbus, a small fictional cloud with an HTTP/JSON API (`examples/nimbus` is its server). Copy this
//! crate to begin a provider of your own; `plugins/README.md` goes through it step by step.
//!
//! `cloud` is the client: requests, and every error of the cloud mapped to a kind. `objects` is the contract's core, once
//! for all kinds of objects: look up, adopt or create, delete, list. `by_id` is the same for a cloud that gives ids and whose
//! work may end in error: of the two, keep the one that your cloud is like (`either` is the choice, which yours does not have).
//! `provider` names which method is which object.

mod by_id;
mod cloud;
mod either;
mod objects;
mod provider;

pub use provider::Nimbus;

landlord_provider_api::export_provider!(Nimbus);
