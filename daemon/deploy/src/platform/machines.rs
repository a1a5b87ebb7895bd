//! What Karpenter has in a cluster, whoever ordered it. Reads only.

use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use landlord_kube::{Doing as _, absent::known, object::resource};

use crate::error::Result;

const API_VERSION: &str = "karpenter.sh/v1";
/// Pools, and the machines that were made for them.
const KINDS: [&str; 2] = ["NodePool", "NodeClaim"];

/// One of its pools or machines, in words; `None`: there is none.
pub(super) async fn any(client: &Client) -> Result<Option<String>> {
    for kind in KINDS {
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource(API_VERSION, kind));
        let found = known(all.list_metadata(&ListParams::default().limit(1)).await)
            .doing(|| format!("listing objects of kind {kind}"))?;
        if let Some(found) = found.iter().flat_map(|found| &found.items).next() {
            return Ok(Some(format!("{kind} {}", found.name_any())));
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
    async fn what_a_provisioner_has_is_named_whoever_ordered_it() {
        assert_eq!(any(&cluster(&[])).await.unwrap(), None);
        assert_eq!(any(&cluster(&[("nodepools", None), ("nodeclaims", None)])).await.unwrap(), None);
        let left = any(&cluster(&[("nodepools", None), ("nodeclaims", Some("m-1"))])).await.unwrap();
        assert_eq!(left.as_deref(), Some("NodeClaim m-1"));
        let pool = any(&cluster(&[("nodepools", Some("p")), ("nodeclaims", Some("m-1"))])).await.unwrap();
        assert_eq!(pool.as_deref(), Some("NodePool p"));
    }
}
