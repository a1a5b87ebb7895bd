//! An API server for tests of what is requested of it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// Methods and URIs that were requested, in that order.
pub(super) type Requests = Arc<Mutex<Vec<String>>>;

/// With these objects, each by the last part of its kind's path and its name, whatever is selected; what is deleted goes.
pub(super) fn cluster(objects: &[(&'static str, &'static str)]) -> (Client, Requests) {
    let (left, requests) = (Arc::new(Mutex::new(objects.to_vec())), Requests::default());
    let seen = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        let mut left = left.lock().unwrap();
        let value = if *request.method() == Method::DELETE {
            left.retain(|(kind, name)| !path.ends_with(&format!("{kind}/{name}")));
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" })
        } else {
            let of_kind = left.iter().filter(|(kind, _)| path.ends_with(kind));
            let items: Vec<Value> = of_kind.map(|(_, name)| json!({ "metadata": { "name": name } })).collect();
            json!({ "metadata": {}, "items": items })
        };
        let response = Response::new(Body::from(value.to_string().into_bytes()));
        async move { Ok::<_, Infallible>(response) }
    });
    (Client::new(service, "default"), requests)
}
