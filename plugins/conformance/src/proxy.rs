//! The recording proxy between plugin and cloud: HTTP/1.1 in, HTTP/1.1 out, every call in its log, faults where the rule
//! does so. Knows neither the contract nor the cloud.
//!
//! Uses hyper directly, since a lost response must end the connection without a response, which frameworks prevent.

use std::{
    fmt, io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Frame, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    config::{Config, Outside, Throttle},
    fault::{Fault, Rule},
    outside::{Call, Fate, glob},
};

/// Larger than any template or response of a cloud.
const BODY_BYTES_MAX: usize = 64 << 20;
/// A case that makes more outside calls is in a loop; the rest is refused.
const CALLS_MAX: usize = 200_000;
/// A call that hangs is let go in the end: by then its caller is long gone.
const HANG_MAX: Duration = Duration::from_secs(120);
/// Longest that the cloud is waited for; the plugin's own timeouts are shorter.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(100);
/// Pause after a connection that could not be accepted (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A cloud that takes longer to accept a connection is taken for one that is not there.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers that belong to one connection, and the length, which each side sets itself.
static HOP_HEADERS: LazyLock<[header::HeaderName; 6]> = LazyLock::new(|| {
    [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::UPGRADE, header::EXPECT, header::TE]
});

type Body = BoxBody<Bytes, io::Error>;
type Kill = Arc<dyn Fn() + Send + Sync>;

/// The connection ends without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped as a fault demands")]
struct Dropped;

/// The proxy; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    state: Arc<State>,
    /// Accepts connections; its own tasks end with it.
    _accepting: JoinSet<()>,
}

struct State {
    upstream: reqwest::Client,
    endpoint: String,
    keeps_host: bool,
    outside: Outside,
    throttle: Vec<Throttle>,
    log: Mutex<Vec<Call>>,
    /// Bodies of changing calls, while they are kept.
    bodies: Mutex<Option<Vec<String>>>,
    rule: Mutex<Rule>,
    kill: Mutex<Option<Kill>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Whether anything listens at the cloud's endpoint: without it every case would fail only after its timeout.
///
/// # Errors
/// What hinders it, and what to do.
pub async fn reach(endpoint: &str) -> Result<(), String> {
    let url = url::Url::parse(endpoint).map_err(|error| format!("the endpoint {endpoint:?} is no URL: {error}"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let connected = tokio::net::TcpStream::connect((host, url.port_or_known_default().unwrap_or_default()));
    let why = match tokio::time::timeout(REACH_TIMEOUT, connected).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no response within {} s", REACH_TIMEOUT.as_secs()),
    };
    Err(format!("the cloud at {endpoint} can't be reached: {why}; start it, or name another with --endpoint"))
}

impl Proxy {
    /// Listens on a free port of the loopback interface, in front of the configured endpoint.
    ///
    /// # Errors
    /// What the operating system or the HTTP client says.
    pub async fn start(config: &Config) -> Result<Self, String> {
        let upstream = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(UPSTREAM_TIMEOUT)
            .build()
            .map_err(|error| format!("the HTTP client can't be built: {error}"))?;
        let endpoint = config.endpoint.trim_end_matches('/').to_owned();
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| format!("the proxy can't listen: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let state = Arc::new(State {
            upstream,
            keeps_host: endpoint.starts_with("http://"),
            endpoint,
            outside: config.outside.clone(),
            throttle: config.throttle.clone(),
            log: Mutex::default(),
            bodies: Mutex::default(),
            rule: Mutex::default(),
            kill: Mutex::default(),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { url: format!("http://{address}"), state, _accepting: accepting })
    }

    /// What the plugin is given instead of the cloud's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is called when a fault kills the plugin's process.
    pub fn on_kill(&self, kill: Kill) {
        *self.state.kill.lock() = Some(kill);
    }

    /// Sets the rule, and gives the last one with its counts.
    pub fn set(&self, rule: Rule) -> Rule {
        std::mem::replace(&mut *self.state.rule.lock(), rule)
    }

    /// How many calls were struck by the rule.
    #[must_use]
    pub fn strikes(&self) -> usize {
        self.state.rule.lock().strikes()
    }

    /// Begins or ends to keep the bodies of changing calls; gives those that were kept.
    pub fn keep_bodies(&self, keep: bool) -> Vec<String> {
        std::mem::replace(&mut *self.state.bodies.lock(), keep.then(Vec::new)).unwrap_or_default()
    }

    /// Forgets all calls.
    pub fn reset(&self) {
        self.state.log.lock().clear();
    }

    /// Calls so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.log.lock().len()
    }

    /// Calls after the first `mark`.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<Call> {
        self.state.log.lock().get(mark..).unwrap_or_default().to_vec()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Each connection's task ends with the connection; one's failure is its own.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let state = Arc::clone(&state);
                    connections.spawn(async move {
                        let service = service_fn(|request| respond(Arc::clone(&state), request));
                        let served = hyper::server::conn::http1::Builder::new();
                        let _ = served.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of the plugin could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| Dropped)?.to_bytes();
    let call = Call::read(&state.outside, parts.method.as_str(), parts.uri.path(), &parts.headers, &body);
    let (id, fault) = state.note(&call)?;
    if let Some(bodies) = state.bodies.lock().as_mut().filter(|_| call.mutating) {
        bodies.push(String::from_utf8_lossy(&body).into_owned());
    }
    match fault {
        Some(Fault::LoseRequest) => return Err(Dropped),
        Some(Fault::KillBefore) => {
            state.kill();
            return Err(Dropped);
        }
        Some(Fault::Throttle) => return Ok(state.throttled(&call)),
        Some(Fault::Hang) => {
            tokio::time::sleep(HANG_MAX).await;
            return Err(Dropped);
        }
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        None | Some(Fault::LoseAnswer | Fault::CutAnswer | Fault::KillAfter) => {}
    }
    let forwarded = state.forward(&parts, body).await;
    let (status, headers, body) = match forwarded {
        Ok(response) => response,
        Err(error) => {
            state.settle(id, Fate::Unreachable);
            tracing::warn!(call = call.name(), %error, "the cloud could not be reached");
            return Err(Dropped);
        }
    };
    let plain = matches!(fault, None | Some(Fault::Delay(_)));
    let applied = status.as_u16() < 400;
    state.settle(id, if plain { Fate::Responded(status.as_u16()) } else { Fate::Struck { applied } });
    match fault {
        Some(Fault::LoseAnswer) => Err(Dropped),
        Some(Fault::KillAfter) => {
            state.kill();
            Err(Dropped)
        }
        Some(Fault::CutAnswer) => cut(status, headers, &body),
        _ => Ok(whole(status, headers, body)),
    }
}

impl State {
    /// Logs a call and says what happens to it.
    fn note(&self, call: &Call) -> Result<(usize, Option<Fault>), Dropped> {
        let mut log = self.log.lock();
        if log.len() >= CALLS_MAX {
            return Err(Dropped);
        }
        let fault = self.rule.lock().strike(call);
        let fate = match fault {
            None | Some(Fault::Delay(_)) => Fate::Open,
            Some(_) => Fate::Struck { applied: false },
        };
        log.push(Call { fate, ..call.clone() });
        Ok((log.len() - 1, fault))
    }

    /// A reset log has no such call any more; then there is nothing to say.
    fn settle(&self, id: usize, fate: Fate) {
        if let Some(call) = self.log.lock().get_mut(id) {
            call.fate = fate;
        }
    }

    fn kill(&self) {
        let kill = self.kill.lock().clone();
        if let Some(kill) = kill {
            kill();
        }
    }

    fn throttled(&self, call: &Call) -> Response<Body> {
        let fits = |t: &&Throttle| glob(&t.path, &call.path) && glob(&t.operation, &call.operation);
        let Some(response) = self.throttle.iter().find(fits) else {
            return whole(StatusCode::TOO_MANY_REQUESTS, HeaderMap::new(), Bytes::new());
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &response.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        whole(status, headers, Bytes::from(response.body.clone()))
    }

    async fn forward(
        &self,
        parts: &hyper::http::request::Parts,
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap, Bytes), reqwest::Error> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        for name in HOP_HEADERS.iter() {
            headers.remove(name);
        }
        // Over http the plugin's own Host stays: signatures cover it. Over TLS the server needs its own name.
        if !self.keeps_host {
            headers.remove(header::HOST);
        }
        let url = format!("{}{path}", self.endpoint);
        let response = self.upstream.request(parts.method.clone(), url).headers(headers).body(body).send().await?;
        let (status, mut headers) = (response.status(), response.headers().clone());
        for name in HOP_HEADERS.iter() {
            headers.remove(name);
        }
        Ok((status, headers, response.bytes().await?))
    }
}

fn whole(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Half of a response that promises all of it.
fn cut(status: StatusCode, headers: HeaderMap, body: &Bytes) -> Result<Response<Body>, Dropped> {
    if body.len() < 2 {
        return Err(Dropped);
    }
    let half = Frame::data(body.slice(..body.len() / 2));
    let pieces = [Ok(half), Err(io::Error::from(io::ErrorKind::ConnectionAborted))];
    let mut response = Response::new(BoxBody::new(StreamBody::new(futures::stream::iter(pieces))));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
    Ok(response)
}
