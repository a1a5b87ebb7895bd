//! Browsers: gRPC-Web on the ports of gRPC, and CORS, for pages of the origins that the configuration names and nobody else.
//!
//! A page calls with a bearer token, never with cookies: `access-control-allow-credentials` is not sent. What a page of another
//! origin sends in the form of gRPC-Web reaches no service.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{
    body::Body,
    codegen::http::{
        HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, ORIGIN, VARY,
        },
    },
};
use tower::{Layer, Service};

/// What gRPC-Web clients send beside what every page may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, grpc-timeout, x-grpc-web, x-user-agent, connect-protocol-version, connect-timeout-ms",
);
/// Where an error stands that has no body.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");
const METHODS: HeaderValue = HeaderValue::from_static("POST");
/// A browser asks again after this long, in seconds: two hours is the most that any keeps.
const MAX_AGE_SECS: HeaderValue = HeaderValue::from_static("7200");
const GRPC_WEB: &str = "application/grpc-web";

/// Lets pages of these origins in.
#[derive(Clone)]
pub(crate) struct WebLayer {
    origins: Arc<BTreeSet<String>>,
}

impl WebLayer {
    pub(crate) fn new(origins: Arc<BTreeSet<String>>) -> Self {
        Self { origins }
    }
}

impl<S> Layer<S> for WebLayer {
    type Service = Web<S>;

    fn layer(&self, inner: S) -> Web<S> {
        Web { inner, origins: self.origins.clone() }
    }
}

/// A service that pages may call.
#[derive(Clone)]
pub(crate) struct Web<S> {
    inner: S,
    origins: Arc<BTreeSet<String>>,
}

/// The origin of a request, if it is one that is let in. Several are none.
fn origin(origins: &BTreeSet<String>, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (values.next(), values.next()) else { return None };
    origin.to_str().is_ok_and(|text| origins.contains(text)).then(|| origin.clone())
}

fn is_grpc_web(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.get(..GRPC_WEB.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC_WEB))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Adds what lets a page read the response.
fn allow(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    headers.insert(VARY, HeaderValue::from_static("origin"));
}

/// The response to a preflight.
fn preflight(origin: HeaderValue) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    allow(&mut response, origin);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
    response
}

impl<S> Service<Request<Body>> for Web<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let origin = origin(&self.origins, request.headers());
        if request.method() == Method::OPTIONS {
            let response = origin.map_or_else(|| empty(StatusCode::FORBIDDEN), preflight);
            return Box::pin(std::future::ready(Ok(response)));
        }
        // A page may send anything that needs no preflight, with the certificate of its user. Other clients name no origin.
        let is_of_a_page = request.headers().contains_key(ORIGIN) || is_grpc_web(request.headers());
        if origin.is_none() && is_of_a_page {
            return Box::pin(std::future::ready(Ok(empty(StatusCode::FORBIDDEN))));
        }
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            if let Some(origin) = origin {
                allow(&mut response, origin);
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_origins_of_the_configuration_are_let_in() {
        let origins = BTreeSet::from(["https://portal.example.com".to_owned()]);
        let of = |all: &[(&'static str, &'static str)]| origin(&origins, &headers(all)).is_some();
        assert!(of(&[("origin", "https://portal.example.com")]));
        for other in [
            "https://portal.example.com.evil.example",
            "http://portal.example.com",
            "https://portal.example.com:8443",
            "https://portal.example.com/",
            "null",
            "*",
            "",
        ] {
            assert!(!of(&[("origin", other)]), "{other}");
        }
        let twice = [("origin", "https://portal.example.com"), ("origin", "https://evil.example")];
        assert!(!of(&twice) && !of(&[]));
    }

    #[test]
    fn grpc_web_is_known_by_its_type() {
        for (value, expected) in [
            ("application/grpc-web", true),
            ("application/grpc-web+proto", true),
            ("Application/gRPC-Web-Text", true),
            ("application/grpc", false),
            ("application/grpc+proto", false),
            ("text/plain", false),
        ] {
            assert_eq!(is_grpc_web(&headers(&[("content-type", value)])), expected, "{value}");
        }
    }
}
