//! What in a cluster needs a part of a platform to go on, whoever ordered it. Reads only.

use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use landlord_core::node_scaling::NODE_SCALING;
use landlord_kube::{Doing as _, absent::known, object::resource};

use crate::error::Result;

/// A part by its word, what its releases do, and what is left without it.
struct Needed {
    capability: &'static str,
    does: &'static str,
    api_version: &'static str,
    kinds: &'static [&'static str],
}

const NEEDED: [Needed; 3] = [
    // Pools, and the machines that were made for them: nobody else ends these.
    Needed {
        capability: NODE_SCALING,
        does: "makes nodes",
        api_version: "karpenter.sh/v1",
        kinds: &["NodePool", "NodeClaim"],
    },
    // A Gateway without its controller takes no route more, and its load balancer goes with nobody.
    Needed {
        capability: "gateway",
        does: "serves Gateways",
        api_version: "gateway.networking.k8s.io/v1",
        kinds: &["Gateway"],
    },
    // Definitions go with their release, and every Certificate with them.
    Needed {
        capability: "certificates",
        does: "renews certificates",
        api_version: "cert-manager.io/v1",
        kinds: &["Certificate"],
    },
];

/// What needs the part of this word, in words that follow the release's name; `None`: there is nothing.
pub(super) async fn any(client: &Client, capability: &str) -> Result<Option<String>> {
    for needed in NEEDED.iter().filter(|needed| needed.capability == capability) {
        for kind in needed.kinds {
            let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource(needed.api_version, kind));
            let found = known(all.list_metadata(&ListParams::default().limit(1)).await)
                .doing(|| format!("listing objects of kind {kind}"))?;
            if let Some(found) = found.iter().flat_map(|found| &found.items).next() {
                return Ok(Some(format!("{}, and {kind} {} is there", needed.does, found.name_any())));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that knows these objects, by kind; of other kinds it knows nothing.
    fn cluster(objects: &'static [(&str, Option<&str>)]) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let known = objects.iter().find(|(kind, _)| path.ends_with(kind));
            let (status, value): (u16, Value) = match known {
                None => (404, json!({ "code": 404, "reason": "NotFound", "message": path, "status": "Failure" })),
                Some((_, name)) => {
                    let items: Vec<Value> = name.iter().map(|name| json!({ "metadata": { "name": name } })).collect();
                    (200, json!({ "metadata": {}, "items": items }))
                }
            };
            let response = Response::builder().status(status).body(Body::from(value.to_string().into_bytes())).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn what_needs_a_part_is_named_whoever_ordered_it() {
        assert_eq!(any(&cluster(&[]), NODE_SCALING).await.unwrap(), None);
        assert_eq!(any(&cluster(&[("nodepools", None), ("nodeclaims", None)]), NODE_SCALING).await.unwrap(), None);
        let left = any(&cluster(&[("nodepools", None), ("nodeclaims", Some("m-1"))]), NODE_SCALING).await.unwrap();
        assert_eq!(left.as_deref(), Some("makes nodes, and NodeClaim m-1 is there"));
        let all = [("nodepools", Some("p")), ("gateways", Some("landlord")), ("certificates", Some("landlord-tls"))];
        let all: &'static [(&str, Option<&str>)] = Box::leak(Box::new(all));
        for (part, wanted) in [
            (NODE_SCALING, Some("makes nodes, and NodePool p is there")),
            ("gateway", Some("serves Gateways, and Gateway landlord is there")),
            ("certificates", Some("renews certificates, and Certificate landlord-tls is there")),
            ("metrics-server", None),
        ] {
            assert_eq!(any(&cluster(all), part).await.unwrap().as_deref(), wanted, "{part}");
        }
    }
}
