//! What all changing requests share: parents, request ids, hashes.

use landlord_core::{CustomerId, TenantName, ports::RequestKey};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use crate::status::{invalid_field, invalid_name};

/// The idempotency key of a request: its id, and the hash of all that it asks for.
pub(crate) fn key<M: Message>(method: &str, request_id: &str, asked: &M) -> Result<RequestKey, Status> {
    let request_id = match request_id {
        "" => None,
        text => Some(Uuid::parse_str(text).map_err(|_| {
            invalid_field("request_id", format!("{text:?} is not a UUID (AIP-155)"))
        })?),
    };
    let mut hash = Sha256::new();
    hash.update(method);
    hash.update(asked.encode_to_vec());
    Ok(RequestKey { request_id, request_hash: hex::encode(hash.finalize()) })
}

/// `customers/{customer}`.
pub(crate) fn customer(parent: &str) -> Result<CustomerId, Status> {
    let malformed = || invalid_field("parent", format!("{parent:?} must have the form customers/{{customer}}"));
    let id = parent.strip_prefix("customers/").ok_or_else(malformed)?;
    id.parse().map_err(|error| invalid_name("parent", &error))
}

/// `customers/{customer}`, or `None` for `customers/-`.
pub(crate) fn customer_or_all(parent: &str) -> Result<Option<CustomerId>, Status> {
    if parent == "customers/-" { Ok(None) } else { customer(parent).map(Some) }
}

/// A tenant's name.
pub(crate) fn tenant_name(field: &str, name: &str) -> Result<TenantName, Status> {
    name.parse().map_err(|error| invalid_name(field, &error))
}
