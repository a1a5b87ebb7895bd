//! How Google's REST APIs put results and errors on the wire.
//!
//! Shapes: <https://cloud.google.com/apis/design/errors#http_mapping>; Compute leaves the canonical status out of most
//! of its errors, GKE and Cloud DNS have it. OAuth's token endpoint has RFC 6749's errors.

use super::error::{canonical, reason};
use bytes::Bytes;
use cloudsim_core::{
    call::{ApiError, Call, Reply},
    http::HttpResponse,
    json::without_nulls,
};
use http_body_util::Full;
use hyper::Response;
use serde_json::json;

fn response(status: u16) -> hyper::http::response::Builder {
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=UTF-8")
        .header("vary", "Origin")
        .header("vary", "X-Origin")
        .header("vary", "Referer")
        .header("server", "ESF")
        .header("x-xss-protection", "0")
        .header("x-frame-options", "SAMEORIGIN")
        .header("x-content-type-options", "nosniff")
}

fn finish(builder: hyper::http::response::Builder, body: String) -> HttpResponse {
    builder.body(Full::new(Bytes::from(body))).unwrap_or_else(|_| Response::new(Full::new(Bytes::new())))
}

/// Encodes a result.
#[must_use]
pub(crate) fn encode(_call: &Call, reply: Reply) -> HttpResponse {
    match reply {
        Reply::Json(status, body) => finish(response(status), without_nulls(body).to_string()),
        // The forms of other clouds' services; none here gives them.
        _ => finish(response(500), String::new()),
    }
}

/// Encodes an error.
#[must_use]
pub(crate) fn encode_error(call: &Call, error: &ApiError) -> HttpResponse {
    if call.service == "oauth2" {
        let body = json!({ "error": error.code, "error_description": error.message });
        return finish(response(error.status), body.to_string());
    }
    let mut item = json!({ "domain": error.fields.get("domain").cloned().unwrap_or_else(|| json!("global")),
                           "message": error.message, "reason": reason(&error.code) });
    if error.status == 401 {
        item["location"] = json!("Authorization");
        item["locationType"] = json!("header");
        item["message"] = json!("Invalid Credentials");
    }
    let mut body = json!({ "code": error.status, "errors": [item], "message": error.message });
    if call.service != "compute" || error.fields.contains_key("details") {
        body["status"] = json!(canonical(error));
    }
    if let Some(details) = error.fields.get("details") {
        body["details"] = details.clone();
    }
    let body = json!({ "error": body });
    let mut builder = response(error.status);
    if error.status == 401 {
        builder = builder.header("www-authenticate", "Bearer realm=\"https://accounts.google.com/\"");
    }
    finish(builder, body.to_string())
}
