//! The second API of Nimbus, which gives ids instead of taking names, and whose work may end in error. Lists lag behind what
//! was made; an idempotency key keeps a repeated create from making a second object.
//!
//! | request | response |
//! |---|---|
//! | `POST /v2/projects/P/objects` `{key, collection, labels, spec}` | `{object, operation}`; the same key again: the object that it made, `GONE` if that went |
//! | `GET /v2/projects/P/objects/ID` | the object, with its `failure` once it is `FAILED`; or 404 `not_found` |
//! | `PATCH /v2/projects/P/objects/ID` `{spec}` | `{object, operation}`; 409 `busy` while it is being made or deleted |
//! | `DELETE /v2/projects/P/objects/ID` | `{object, operation}`; 409 `in_use` while another one's spec names it |
//! | `GET /v2/projects/P/objects?label=K=V&page=T` | `{items, next}`, two a page, without what was made a moment ago |
//! | `GET /v2/projects/P/keys/KEY` | what a key made, at once, `GONE` if it went; or 404 for a key that made nothing |
//! | `GET /v2/projects/P/operations/OP` | `{state, code, message}`: `RUNNING`, `DONE`, `FAILED`, or 404 once its object is gone |
//! | `POST /v2/projects/P/objects/ID/token` | as in the first API |
//! | `POST /_fail` `{collection, times, code, message}` | the next objects of the collection end in error |

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Access, CA_PEM, PAGE_OBJECTS, TOKEN_LIFE, not_found, now_ms, problem};

/// How long a new object is in no list.
const LIST_LAG: Duration = Duration::from_millis(40);

#[derive(Debug, Clone)]
struct Object {
    project: String,
    collection: String,
    labels: Value,
    spec: Value,
    made_ms: u128,
    ready_ms: u128,
    gone_ms: Option<u128>,
    /// Code and message of what it ends in.
    failure: Option<(String, String)>,
}

#[derive(Debug, Default)]
struct Objects {
    count: u64,
    by_id: BTreeMap<String, Object>,
    /// What a key made; remembered after the object's end.
    keys: BTreeMap<String, String>,
    /// Failures to come: collection, how many, code, message.
    failures: Vec<(String, u64, String, String)>,
}

#[derive(Debug)]
pub(super) struct Cloud {
    access: Access,
    objects: Mutex<Objects>,
}

type Refusal = Box<Response>;

/// The second API, and what it holds for whoever runs the server.
pub(super) fn router(access: Access) -> (Router, Arc<Cloud>) {
    let cloud = Arc::new(Cloud { access, objects: Mutex::default() });
    let router = Router::new()
        .route("/v2/projects/{project}/objects", post(create).get(list))
        .route("/v2/projects/{project}/objects/{id}", get(show).patch(change).delete(delete))
        .route("/v2/projects/{project}/objects/{id}/token", post(token))
        .route("/v2/projects/{project}/operations/{operation}", get(operation))
        .route("/v2/projects/{project}/keys/{key}", get(made_by))
        .route("/_fail", post(fail))
        .with_state(Arc::clone(&cloud));
    (router, cloud)
}

fn shown(id: &str, object: &Object) -> Value {
    let state = match (object.gone_ms, &object.failure) {
        (Some(_), _) => "DELETING",
        (None, _) if now_ms() < object.ready_ms => "CREATING",
        (None, Some(_)) => "FAILED",
        (None, None) => "READY",
    };
    let failure = object.failure.as_ref().filter(|_| state == "FAILED");
    let failure = failure.map(|(code, message)| json!({ "code": code, "message": message }));
    json!({ "id": id, "collection": object.collection, "name": id, "labels": object.labels, "spec": object.spec,
        "state": state, "failure": failure })
}

fn gone(id: &str) -> Value {
    json!({ "id": id, "collection": "", "name": id, "labels": {}, "spec": {}, "state": "GONE", "failure": null })
}

fn begun(id: &str, object: &Object) -> Response {
    let operation = format!("op-{id}");
    (StatusCode::ACCEPTED, Json(json!({ "object": shown(id, object), "operation": operation }))).into_response()
}

impl Cloud {
    /// Works on all objects as they are now, for whoever has the token.
    fn with(&self, headers: &HeaderMap, work: impl FnOnce(&mut Objects) -> Result<Response, Refusal>) -> Response {
        if let Err(refused) = self.access.is_let_in(headers) {
            return *refused;
        }
        let mut objects = self.objects.lock();
        objects.by_id.retain(|_, object| object.gone_ms.is_none_or(|gone| now_ms() < gone));
        work(&mut objects).unwrap_or_else(|refused| *refused)
    }

    pub(super) fn all(&self) -> Vec<Value> {
        let objects = self.objects.lock();
        let there = objects.by_id.iter().filter(|(_, object)| object.gone_ms.is_none_or(|gone| now_ms() < gone));
        there.map(|(id, object)| shown(id, object)).collect()
    }
}

/// The next failure of a collection, if one is to come.
fn next_failure(objects: &mut Objects, collection: &str) -> Option<(String, String)> {
    let next = objects.failures.iter_mut().find(|failure| failure.0 == collection && failure.1 > 0)?;
    next.1 -= 1;
    Some((next.2.clone(), next.3.clone()))
}

async fn create(
    State(cloud): State<Arc<Cloud>>,
    Path(project): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let key = body["key"].as_str().unwrap_or_default().to_owned();
    let collection = body["collection"].as_str().unwrap_or_default().to_owned();
    let making = cloud.access.options.making;
    cloud.with(&headers, |objects| {
        if let Some(id) = objects.keys.get(&key).filter(|_| !key.is_empty()) {
            return Ok(match objects.by_id.get(id) {
                Some(object) => begun(id, object),
                None => Json(json!({ "object": gone(id), "operation": "" })).into_response(),
            });
        }
        objects.count += 1;
        let id = format!("obj-{:06}", objects.count);
        let failure = next_failure(objects, &collection);
        let (labels, spec, now) = (body["labels"].clone(), body["spec"].clone(), now_ms());
        let ready_ms = now + making.as_millis();
        let object = Object { project, collection, labels, spec, made_ms: now, ready_ms, gone_ms: None, failure };
        let response = begun(&id, &object);
        if !key.is_empty() {
            objects.keys.insert(key, id.clone());
        }
        objects.by_id.insert(id, object);
        Ok(response)
    })
}

fn find<'a>(objects: &'a mut Objects, project: &str, id: &str) -> Result<&'a mut Object, Refusal> {
    let found = objects.by_id.get_mut(id).filter(|object| object.project == project);
    found.ok_or_else(|| Box::new(not_found()))
}

async fn show(
    State(cloud): State<Arc<Cloud>>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    cloud.with(&headers, |objects| Ok(Json(shown(&id, find(objects, &project, &id)?)).into_response()))
}

async fn made_by(
    State(cloud): State<Arc<Cloud>>,
    Path((_, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    cloud.with(&headers, |objects| {
        let id = objects.keys.get(&key).ok_or_else(|| Box::new(not_found()))?;
        let made = objects.by_id.get(id).map_or_else(|| gone(id), |object| shown(id, object));
        Ok(Json(made).into_response())
    })
}

async fn change(
    State(cloud): State<Arc<Cloud>>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let ready_ms = now_ms() + cloud.access.options.making.as_millis();
    cloud.with(&headers, |objects| {
        let object = find(objects, &project, &id)?;
        if object.gone_ms.is_some() || now_ms() < object.ready_ms {
            return Ok(problem(StatusCode::CONFLICT, "busy", "the object is being made or deleted"));
        }
        object.spec = body["spec"].clone();
        object.ready_ms = ready_ms;
        Ok(begun(&id, object))
    })
}

async fn delete(
    State(cloud): State<Arc<Cloud>>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let gone_ms = now_ms() + cloud.access.options.deleting.as_millis();
    cloud.with(&headers, |objects| {
        let names = |spec: &Value| {
            spec.as_object().into_iter().flat_map(|fields| fields.values()).any(|value| value.as_str() == Some(&id))
        };
        if objects.by_id.values().any(|other| other.project == project && names(&other.spec)) {
            return Ok(problem(StatusCode::CONFLICT, "in_use", "another object needs it"));
        }
        let object = find(objects, &project, &id)?;
        object.gone_ms.get_or_insert(gone_ms);
        Ok(begun(&id, object))
    })
}

async fn list(
    State(cloud): State<Arc<Cloud>>,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let labels: Vec<(&str, &str)> =
        pairs.iter().filter(|(key, _)| key == "label").filter_map(|(_, label)| label.split_once('=')).collect();
    let page = pairs.iter().find(|(key, _)| key == "page").map(|(_, page)| page.clone()).unwrap_or_default();
    cloud.with(&headers, |objects| {
        let listed = |object: &Object| object.made_ms + LIST_LAG.as_millis() <= now_ms();
        let fits = |object: &Object| labels.iter().all(|(key, value)| object.labels[key] == **value);
        let mut found = objects
            .by_id
            .iter()
            .filter(|(id, object)| **id > page && object.project == project && fits(object) && listed(object));
        let items: Vec<(&String, &Object)> = found.by_ref().take(PAGE_OBJECTS).collect();
        let next = items.last().filter(|_| found.next().is_some()).map_or("", |(id, _)| id.as_str());
        let items: Vec<Value> = items.iter().map(|(id, object)| shown(id, object)).collect();
        Ok(Json(json!({ "items": items, "next": next })).into_response())
    })
}

async fn operation(
    State(cloud): State<Arc<Cloud>>,
    Path((project, operation)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    cloud.with(&headers, |objects| {
        let object = find(objects, &project, operation.trim_start_matches("op-"))?;
        let is_done = object.gone_ms.is_none() && now_ms() >= object.ready_ms;
        Ok(match &object.failure {
            _ if !is_done => Json(json!({ "state": "RUNNING", "code": "", "message": "" })),
            Some((code, message)) => Json(json!({ "state": "FAILED", "code": code, "message": message })),
            None => Json(json!({ "state": "DONE", "code": "", "message": "" })),
        }
        .into_response())
    })
}

async fn token(
    State(cloud): State<Arc<Cloud>>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    cloud.with(&headers, |objects| {
        find(objects, &project, &id)?;
        let expires = u64::try_from((now_ms() + TOKEN_LIFE.as_millis()) / 1_000).unwrap_or_default();
        let (token, endpoint) = (format!("nimbus-k8s-token-{id}"), format!("https://{id}.k8s.nimbus.example"));
        let body = json!({ "token": token, "expires_unix_s": expires, "endpoint": endpoint, "ca_pem": CA_PEM });
        Ok(Json(body).into_response())
    })
}

async fn fail(State(cloud): State<Arc<Cloud>>, Json(body): Json<Value>) -> Response {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let times = body["times"].as_u64().unwrap_or_default();
    cloud.objects.lock().failures.push((text("collection"), times, text("code"), text("message")));
    Json(json!({})).into_response()
}
