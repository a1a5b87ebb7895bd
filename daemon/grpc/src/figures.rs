//! What is measured of calls, as OpenMetrics, and the layer in front of everything that measures it. Names are those of our own
//! rpcs only: whoever calls decides nothing about what is kept.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use http_body::{Frame, SizeHint};
use landlord_core::access::Action;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tonic::{Code, Status, body::Body, codegen::http};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};

/// From a read of the database's cache to the longest wait that a client may ask for, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];
/// Calls of no rpc of ours: reflection, health, unknown paths.
const OTHER: &str = "other";
/// A client that went away before the end.
const GONE: &str = "GONE";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    code: &'static str,
    reason: String,
}

type Seconds = Family<MethodLabels, Histogram, fn() -> Histogram>;

/// The figures of all calls; clones share them.
#[derive(Debug, Clone)]
pub struct RpcFigures {
    calls: Family<CallLabels, Counter>,
    seconds: Seconds,
    running: Family<MethodLabels, Gauge>,
}

impl Default for RpcFigures {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        Self { calls: Family::default(), seconds: Family::new_with_constructor(seconds), running: Family::default() }
    }
}

impl RpcFigures {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let calls = "Calls that ended, by rpc, gRPC code and, of errors, the reason in their ErrorInfo; GONE: the client went away";
        registry.register("landlord_rpc_calls", calls, self.calls.clone());
        let seconds = "Time from the request to the end of the response, of rpcs that are no streams";
        registry.register_with_unit("landlord_rpc_duration", seconds, Unit::Seconds, self.seconds.clone());
        let running = "Calls under way, streams (WatchTenants, WatchHostClusters) among them";
        registry.register("landlord_rpc_running", running, self.running.clone());
    }
}

/// A call under way: counted when it ends, however it does.
struct Running {
    figures: RpcFigures,
    method: &'static str,
    began: Instant,
    /// As the headers or trailers reported; `None`: not yet.
    end: Option<(&'static str, String)>,
}

impl Running {
    fn begin(figures: &RpcFigures, path: &str) -> Self {
        let method = Action::of_path(path).map_or(OTHER, Action::as_str);
        figures.running.get_or_create(&MethodLabels { method }).inc();
        Self { figures: figures.clone(), method, began: Instant::now(), end: None }
    }

    /// Searches for the status in headers or trailers.
    fn see(&mut self, headers: &http::HeaderMap) {
        let Some(status) = Status::from_header_map(headers) else { return };
        let reason = match status.code() {
            Code::Ok => String::new(),
            _ => status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default(),
        };
        self.end = Some((code(status.code()), reason));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let labels = MethodLabels { method: self.method };
        self.figures.running.get_or_create(&labels).dec();
        let is_stream = self.method.starts_with("Watch") || self.method == "GetTenantLogs" || self.method == OTHER;
        let (code, reason) = self.end.take().unwrap_or((GONE, String::new()));
        if !is_stream && code != GONE {
            self.figures.seconds.get_or_create(&labels).observe(self.began.elapsed().as_secs_f64());
        }
        self.figures.calls.get_or_create(&CallLabels { method: self.method, code, reason }).inc();
    }
}

fn code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Puts the measuring in front of a service.
#[derive(Clone)]
pub(crate) struct MeasureLayer {
    figures: RpcFigures,
}

impl MeasureLayer {
    pub(crate) fn new(figures: &RpcFigures) -> Self {
        Self { figures: figures.clone() }
    }
}

impl<S> Layer<S> for MeasureLayer {
    type Service = Measure<S>;

    fn layer(&self, inner: S) -> Measure<S> {
        Measure { inner, figures: self.figures.clone() }
    }
}

/// A service that is measured.
#[derive(Clone)]
pub(crate) struct Measure<S> {
    inner: S,
    figures: RpcFigures,
}

impl<S> Service<http::Request<Body>> for Measure<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut running = Running::begin(&self.figures, request.uri().path());
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            running.see(response.headers());
            Ok(response.map(|inner| Body::new(Measured { inner, running })))
        })
    }
}

/// The body of a response, whose trailers say how the call ended.
struct Measured {
    inner: Body,
    running: Running,
}

impl http_body::Body for Measured {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.running.see(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
