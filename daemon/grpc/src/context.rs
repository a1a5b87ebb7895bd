//! The context of a request: who makes it, by which way, and how a repetition of it is known. When nobody waits for it any more,
//! the transport drops it (`grpc-timeout`), and with it what it does in the store; its trace is its span's.

use landlord_core::{
    Violation,
    ports::{Caller, Peer, RequestContext, RequestKey, Via},
};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Request;
use uuid::Uuid;

use crate::{access::Access, error::violation, listen::Accepted};

/// The context of `request`. A request id that is none is added to `violations`.
pub(crate) fn of<M: Message>(
    method: &'static str,
    request: &Request<M>,
    request_id: &str,
    violations: &mut Vec<Violation>,
) -> RequestContext {
    let caller = caller(request);
    RequestContext {
        key: key(method, request_id, &caller, request.get_ref(), violations),
        caller,
        via: via(request),
        rpc: method,
        client_request_id: request_id.to_owned(),
    }
}

/// The principal that a layer in front has authenticated, else the transport's peer.
fn caller<M>(request: &Request<M>) -> Caller {
    if let Some(access) = request.extensions().get::<Access>() {
        return access.caller();
    }
    match request.extensions().get::<Accepted>().map(|connection| &connection.peer) {
        Some(Peer::Local { .. }) | None => Caller::Anonymous { address: None },
        Some(Peer::Remote { address, .. }) => Caller::Anonymous { address: *address },
    }
}

/// By which way it came, as the layer in front has seen it.
fn via<M>(request: &Request<M>) -> Via {
    request.extensions().get::<Access>().map(|access| access.via().clone()).unwrap_or_default()
}

/// The idempotency key of a request: its id, and the hash of all that it requests. Ids are each caller's own: nobody gets the
/// response to another's request, nor learns that there was one.
fn key<M: Message>(
    method: &str,
    request_id: &str,
    caller: &Caller,
    message: &M,
    violations: &mut Vec<Violation>,
) -> RequestKey {
    let parsed = Uuid::parse_str(request_id).ok();
    if parsed.is_none() && !request_id.is_empty() {
        violations.push(violation("request_id", format!("{request_id:?} is not a UUID (AIP-155)")));
    }
    if parsed.is_some_and(|id| id.is_nil()) {
        let problem = "is the nil UUID, which is no id; make a random one for each request (AIP-155)";
        violations.push(violation("request_id", problem));
    }
    let mut hash = Sha256::new();
    hash.update(method);
    hash.update(message.encode_to_vec());
    let request_id = parsed.filter(|id| !id.is_nil()).map(|id| of_caller(id, caller));
    RequestKey { request_id, request_hash: hex::encode(hash.finalize()) }
}

/// The id of a caller's request among those of all.
fn of_caller(id: Uuid, caller: &Caller) -> Uuid {
    let digest = Sha256::new().chain_update(id).chain_update(caller.to_string()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
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
            let id = "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4";
            let key = key("CreateTenant", id, &Caller::Daemon, request, &mut violations);
            assert!(violations.is_empty(), "{violations:?}");
            key.request_hash
        };
        let one = hash(&request([("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!(one, hash(&request([("c", "3"), ("a", "1"), ("b", "2")])));
        assert_ne!(one, hash(&request([("a", "1"), ("b", "2"), ("c", "4")])));
    }

    #[test]
    fn a_request_id_is_its_callers_own() {
        let id = |text: &str| Uuid::parse_str(text).unwrap();
        let (one, two) = (id("8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4"), id("9d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4"));
        let (daemon, other) = (Caller::Daemon, Caller::Anonymous { address: None });
        assert_eq!(of_caller(one, &daemon), of_caller(one, &daemon));
        assert_ne!(of_caller(one, &daemon), of_caller(two, &daemon));
        assert_ne!(of_caller(one, &daemon), of_caller(one, &other));
    }
}
