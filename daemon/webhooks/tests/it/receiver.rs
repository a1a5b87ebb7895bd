//! A receiver that does as a test says.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderMap, Response, StatusCode,
        header::{LOCATION, RETRY_AFTER},
    },
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What it does with the next requests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mode {
    Take,
    Refuse(u16),
    /// Refuses, and wants to be left alone for so many seconds.
    Busy(u64),
    /// Refuses events of this tenant only.
    RefuseTenant(&'static str),
    /// Refuses events of this customer only.
    RefuseCustomer(&'static str),
    /// Answers after this long.
    Sleep(Duration),
    Redirect(String),
    /// Takes, and sends this much without end in sight.
    Babble(usize),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) came: Instant,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) taken: bool,
}

impl Request {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn tenant(&self) -> String {
        self.event()["data"]["tenant"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned()
    }

    pub(crate) fn customer(&self) -> String {
        self.event()["data"]["tenant"].as_str().unwrap_or_default().split('/').nth(1).unwrap_or_default().to_owned()
    }

    pub(crate) fn reason(&self) -> String {
        self.event()["data"]["reason"].as_str().unwrap().to_owned()
    }
}

#[derive(Clone)]
struct Shared {
    mode: Arc<Mutex<Mode>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Shared,
    task: JoinSet<()>,
}

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mode = shared.mode.lock().unwrap().clone();
    let mut request = Request { came: Instant::now(), headers, body, taken: false };
    let response = |status: u16, body: Body| {
        let status = StatusCode::from_u16(status).unwrap();
        Response::builder().status(status).body(body).unwrap()
    };
    request.taken = match &mode {
        Mode::Take | Mode::Babble(_) => true,
        Mode::RefuseTenant(tenant) => request.tenant() != *tenant,
        Mode::RefuseCustomer(customer) => request.customer() != *customer,
        Mode::Refuse(_) | Mode::Busy(_) | Mode::Sleep(_) | Mode::Redirect(_) => false,
    };
    let taken = request.taken;
    shared.requests.lock().unwrap().push(request);
    match mode {
        Mode::Take | Mode::RefuseTenant(_) | Mode::RefuseCustomer(_) => {
            response(if taken { 204 } else { 500 }, Body::empty())
        }
        Mode::Refuse(status) => response(status, Body::from("no")),
        Mode::Busy(secs) => {
            Response::builder().status(503).header(RETRY_AFTER, secs).body(Body::from("later")).unwrap()
        }
        Mode::Sleep(how_long) => {
            tokio::time::sleep(how_long).await;
            response(204, Body::empty())
        }
        Mode::Redirect(to) => Response::builder().status(307).header(LOCATION, to).body(Body::empty()).unwrap(),
        Mode::Babble(chunks) => {
            let chunk = Bytes::from(vec![b'x'; 1 << 20]);
            let all = futures::stream::iter((0..chunks).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
            response(200, Body::from_stream(all))
        }
    }
}

impl Receiver {
    pub(crate) async fn start(mode: Mode) -> Self {
        let shared = Shared { mode: Arc::new(Mutex::new(mode)), requests: Arc::default() };
        Self::listen("127.0.0.1:0".parse().unwrap(), shared).await
    }

    async fn listen(address: SocketAddr, shared: Shared) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, task }
    }

    /// Nobody listens from now on.
    pub(crate) async fn down(&mut self) {
        self.task.shutdown().await;
    }

    /// Listens again, at the same address.
    pub(crate) async fn up(&mut self) {
        *self = Self::listen(self.address, self.shared.clone()).await;
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks?key=of-this-receiver", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The requests that were taken, as soon as there are so many.
    pub(crate) async fn taken(&self, count: usize) -> Vec<Request> {
        self.until(count, |request| request.taken).await
    }

    /// The requests of a kind, as soon as there are so many.
    pub(crate) async fn until(&self, count: usize, wanted: impl Fn(&Request) -> bool) -> Vec<Request> {
        for _ in 0..600 {
            let all: Vec<Request> = self.requests().into_iter().filter(|request| wanted(request)).collect();
            if all.len() >= count {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{count} requests have not come: {:#?}", self.requests());
    }
}

/// What came, for a program that checks signatures.
pub(crate) fn as_json(requests: &[Request]) -> Value {
    json!(requests.iter().map(|request| json!({"headers": request.headers, "body": request.body})).collect::<Vec<_>>())
}
