//! What all requests share: parents, names, request ids, hashes.

use landlord_core::{
    CustomerId, TenantName, Violation,
    ports::{RequestContext, RequestKey},
};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use crate::status::{invalid_field, invalid_name};

/// The idempotency key of a request: its id, and the hash of all that it asks for. An id that
/// is none is added to the request's violations.
pub(crate) fn key<M: Message>(
    method: &str,
    request_id: &str,
    asked: &M,
    violations: &mut Vec<Violation>,
) -> RequestKey {
    let parsed = Uuid::parse_str(request_id).ok();
    if parsed.is_none() && !request_id.is_empty() {
        violations.push(Violation {
            field: "request_id".into(),
            description: format!("{request_id:?} is not a UUID (AIP-155)"),
        });
    }
    let mut hash = Sha256::new();
    hash.update(method);
    hash.update(asked.encode_to_vec());
    RequestKey { request_id: parsed, request_hash: hex::encode(hash.finalize()) }
}

/// The context of a request with a key.
pub(crate) fn context(key: RequestKey) -> RequestContext {
    RequestContext { key, ..RequestContext::of_daemon() }
}

/// A field of a specification as the API calls it.
pub(crate) fn field(field: &str) -> &str {
    match field {
        // A reserved word in many languages.
        "class" => "tenant_class",
        other => other,
    }
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

#[cfg(test)]
mod tests {
    use landlord_proto::v1;

    use super::*;

    fn request(order: [(&str, &str); 3]) -> v1::CreateTenantRequest {
        let labels = order.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let tenant = Some(v1::Tenant { labels, ..v1::Tenant::default() });
        v1::CreateTenantRequest { tenant, ..v1::CreateTenantRequest::default() }
    }

    #[test]
    fn the_same_request_has_the_same_hash_in_any_order_of_its_maps() {
        let hash = |request: &v1::CreateTenantRequest| {
            let mut violations = Vec::new();
            let key = key("CreateTenant", "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4", request, &mut violations);
            assert!(violations.is_empty(), "{violations:?}");
            key.request_hash
        };
        let one = hash(&request([("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!(one, hash(&request([("c", "3"), ("a", "1"), ("b", "2")])));
        assert_ne!(one, hash(&request([("a", "1"), ("b", "2"), ("c", "4")])));
    }

    #[test]
    fn parents_are_checked() {
        assert_eq!(customer("customers/acme").unwrap().as_str(), "acme");
        assert_eq!(customer_or_all("customers/-").unwrap(), None);
        for bad in ["", "acme", "customers/", "customers/-", "customers/../x", "customers/Acme"] {
            assert_eq!(customer(bad).unwrap_err().code(), tonic::Code::InvalidArgument, "{bad}");
        }
    }
}
