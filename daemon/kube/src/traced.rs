//! A span for each request to an API server, in the trace of whoever sends it.

use std::task::{Context, Poll};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use tower::{Layer, Service};
use tracing::Instrument as _;

/// Makes the service [`Traced`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TracedLayer;

impl<S> Layer<S> for TracedLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner }
    }
}

/// Sends each request in a span of its own; the span ends with the response's head.
#[derive(Debug, Clone)]
pub(crate) struct Traced<S> {
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    A: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Of the address only the path: a query has selectors and names of field owners, which say nothing here.
        let span = tracing::debug_span!(
            "api-server",
            otel.kind = "client",
            "http.request.method" = request.method().as_str(),
            "url.path" = request.uri().path(),
            "http.response.status_code" = tracing::field::Empty,
        );
        let sent = span.in_scope(|| self.inner.call(request));
        let recorded = span.clone();
        let response = async move {
            let response = sent.await;
            if let Ok(response) = &response {
                recorded.record("http.response.status_code", response.status().as_u16());
            }
            response
        };
        response.instrument(span).boxed()
    }
}
