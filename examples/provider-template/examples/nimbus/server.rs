//! Nimbus: a fictional cloud, small and strict. Everything is an object in a collection of a project, with labels and a
//! spec; making, changing and deleting take their time. Knows nothing of landlord.
//!
//! | request | response |
//! |---|---|
//! | `GET /v1/projects/P/C/N` | the object, or 404 `not_found` |
//! | `PUT /v1/projects/P/C/N` `{labels, spec}` | makes or changes it; 409 `exists` if it has other labels, 409 `busy` while it is being made or deleted |
//! | `DELETE /v1/projects/P/C/N` | the object, which is being deleted; 409 `in_use` while another one's spec names it |
//! | `GET /v1/projects/P/objects?label=K=V&page=T` | `{items, next}`, two a page |
//! | `POST /v1/projects/P/clusters/N/token` | `{token, expires_unix_s, endpoint, ca_pem}` |
//! | `/v2/…` | a second API, which gives ids: see `by_id.rs` |
//! | `GET /_all` | every object of every project, for whoever runs the server |

#[path = "by_id.rs"]
mod by_id;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Small, so that clients learn to ask for the next one.
const PAGE_OBJECTS: usize = 2;
const TOKEN_LIFE: Duration = Duration::from_secs(900);
/// Of the clusters, which nobody can reach.
const CA_PEM: &str = "-----BEGIN CERTIFICATE-----\nbmltYnVz\n-----END CERTIFICATE-----\n";

/// How the cloud behaves.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Bearer token that is admitted.
    pub(crate) token: String,
    /// How long making and changing take.
    pub(crate) making: Duration,
    /// How long deleting takes.
    pub(crate) deleting: Duration,
}

#[derive(Debug, Clone)]
struct Object {
    id: String,
    labels: Value,
    spec: Value,
    ready_ms: u128,
    gone_ms: Option<u128>,
}

/// Project, collection, name.
type Key = (String, String, String);

/// Who is admitted, and how the cloud behaves.
#[derive(Debug, Clone)]
struct Access {
    options: Options,
}

impl Access {
    fn is_let_in(&self, headers: &HeaderMap) -> Result<(), Box<Response>> {
        let wanted = format!("Bearer {}", self.options.token);
        if headers.get("authorization").is_some_and(|value| value.as_bytes() == wanted.as_bytes()) {
            return Ok(());
        }
        Err(Box::new(problem(StatusCode::UNAUTHORIZED, "unauthorized", "the token is unknown or has expired")))
    }
}

#[derive(Debug)]
struct Cloud {
    access: Access,
    objects: Mutex<(u64, BTreeMap<Key, Object>)>,
    /// The second API's.
    others: Arc<by_id::Cloud>,
}

/// The cloud as a service.
pub(crate) fn router(options: Options) -> Router {
    let access = Access { options };
    let (second, others) = by_id::router(access.clone());
    let cloud = Arc::new(Cloud { access, objects: Mutex::default(), others });
    Router::new()
        .route("/v1/projects/{project}/objects", get(list))
        .route("/v1/projects/{project}/clusters/{name}/token", post(token))
        .route("/v1/projects/{project}/{collection}/{name}", get(show).put(put).delete(delete))
        .route("/_all", get(all))
        .with_state(cloud)
        .merge(second)
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}

fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", "there is no such object")
}

fn shown((_, collection, name): &Key, object: &Object) -> Value {
    let state = match object.gone_ms {
        Some(_) => "DELETING",
        None if now_ms() < object.ready_ms => "CREATING",
        None => "READY",
    };
    json!({ "id": object.id, "collection": collection, "name": name, "labels": object.labels, "spec": object.spec,
        "state": state })
}

impl Cloud {
    fn is_let_in(&self, headers: &HeaderMap) -> Result<(), Box<Response>> {
        self.access.is_let_in(headers)
    }

    /// All objects as they are now.
    fn with<T>(&self, work: impl FnOnce(&mut u64, &mut BTreeMap<Key, Object>) -> T) -> T {
        let mut objects = self.objects.lock();
        let (count, objects) = &mut *objects;
        objects.retain(|_, object| object.gone_ms.is_none_or(|gone| now_ms() < gone));
        work(count, objects)
    }
}

async fn show(State(cloud): State<Arc<Cloud>>, Path(key): Path<Key>, headers: HeaderMap) -> Response {
    if let Err(refused) = cloud.is_let_in(&headers) {
        return *refused;
    }
    cloud.with(|_, objects| match objects.get(&key) {
        Some(object) => Json(shown(&key, object)).into_response(),
        None => not_found(),
    })
}

async fn put(
    State(cloud): State<Arc<Cloud>>,
    Path(key): Path<Key>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Err(refused) = cloud.is_let_in(&headers) {
        return *refused;
    }
    let ready_ms = now_ms() + cloud.access.options.making.as_millis();
    cloud.with(|count, objects| {
        if let Some(object) = objects.get(&key) {
            if object.labels != body["labels"] {
                return problem(StatusCode::CONFLICT, "exists", "an object with other labels has this name");
            }
            let same = object.spec == body["spec"];
            if object.gone_ms.is_some() || now_ms() < object.ready_ms && !same {
                return problem(StatusCode::CONFLICT, "busy", "the object is being made or deleted");
            }
            if same {
                return Json(shown(&key, object)).into_response();
            }
        }
        *count += 1;
        let id = objects.get(&key).map_or_else(|| format!("nim-{count:06}"), |object| object.id.clone());
        let object = Object { id, labels: body["labels"].clone(), spec: body["spec"].clone(), ready_ms, gone_ms: None };
        let response = Json(shown(&key, &object)).into_response();
        objects.insert(key, object);
        response
    })
}

async fn delete(State(cloud): State<Arc<Cloud>>, Path(key): Path<Key>, headers: HeaderMap) -> Response {
    if let Err(refused) = cloud.is_let_in(&headers) {
        return *refused;
    }
    let gone_ms = now_ms() + cloud.access.options.deleting.as_millis();
    cloud.with(|_, objects| {
        let Some(object) = objects.get(&key) else { return not_found() };
        // Another object's spec names it by id or by name.
        let names = |spec: &Value| {
            let texts = spec.as_object().into_iter().flat_map(|fields| fields.values()).filter_map(Value::as_str);
            texts.into_iter().any(|text| text == object.id || text == key.2)
        };
        if objects.iter().any(|(other, in_use)| other.0 == key.0 && names(&in_use.spec)) {
            return problem(StatusCode::CONFLICT, "in_use", "another object needs it");
        }
        let Some(object) = objects.get_mut(&key) else { return not_found() };
        object.gone_ms.get_or_insert(gone_ms);
        Json(shown(&key, object)).into_response()
    })
}

async fn list(
    State(cloud): State<Arc<Cloud>>,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = cloud.is_let_in(&headers) {
        return *refused;
    }
    let query = query.unwrap_or_default();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let labels: Vec<(&str, &str)> =
        pairs.iter().filter(|(key, _)| key == "label").filter_map(|(_, label)| label.split_once('=')).collect();
    let page = value("page").unwrap_or_default();
    cloud.with(|_, objects| {
        let fits = |object: &Object| labels.iter().all(|(key, value)| object.labels[key] == **value);
        let place = |key: &Key| format!("{}/{}", key.1, key.2);
        let mut found = objects.iter().filter(|(key, object)| key.0 == project && fits(object) && place(key) > page);
        let items: Vec<(&Key, &Object)> = found.by_ref().take(PAGE_OBJECTS).collect();
        let next = items.last().filter(|_| found.next().is_some()).map(|(key, _)| place(key)).unwrap_or_default();
        let items: Vec<Value> = items.iter().map(|(key, object)| shown(key, object)).collect();
        Json(json!({ "items": items, "next": next })).into_response()
    })
}

async fn token(
    State(cloud): State<Arc<Cloud>>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = cloud.is_let_in(&headers) {
        return *refused;
    }
    cloud.with(|_, objects| match objects.get(&(project, "clusters".to_owned(), name)) {
        Some(cluster) => {
            let expires = (now_ms() + TOKEN_LIFE.as_millis()) / 1_000;
            let endpoint = format!("https://{}.k8s.nimbus.example", cluster.id);
            let token = format!("nimbus-k8s-token-{}", cluster.id);
            let body = json!({ "token": token, "expires_unix_s": u64::try_from(expires).unwrap_or_default(),
                "endpoint": endpoint, "ca_pem": CA_PEM });
            Json(body).into_response()
        }
        None => not_found(),
    })
}

async fn all(State(cloud): State<Arc<Cloud>>) -> Response {
    let items: Vec<Value> = cloud.with(|_, objects| objects.iter().map(|(key, object)| shown(key, object)).collect());
    let items: Vec<Value> = items.into_iter().chain(cloud.others.all()).collect();
    Json(items).into_response()
}
