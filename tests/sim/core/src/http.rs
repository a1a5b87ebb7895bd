//! Requests and responses of HTTP, whole.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use std::collections::BTreeMap;

/// The finished HTTP response.
pub type HttpResponse = Response<Full<Bytes>>;

/// A request read whole.
#[derive(Debug)]
pub struct Raw {
    /// Method.
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Bytes,
}
