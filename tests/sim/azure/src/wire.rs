//! Responses and errors as Resource Manager, its providers and Entra put them on the wire.
//!
//! Errors: <https://github.com/cloud-and-ai-microsoft/resource-provider-contract/blob/master/v1.0/common-api-details.md#error-response-content>.
//! AKS returns its own errors without the envelope `error`, as seen in
//! <https://github.com/Azure/terraform-azurerm-aks/issues/604>; Microsoft's clients read both.

use super::entra;
use bytes::Bytes;
use cloudsim_core::{
    call::{ApiError, Call, Reply},
    http::HttpResponse,
    json::without_nulls,
};
use http_body_util::Full;
use hyper::Response;
use serde_json::{Map, Value, json};

/// Headers by name.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// Fields of an [`ApiError`] that are no part of the body.
const HEADERS: &str = "headers";
const CHALLENGE: &str = "challenge";
/// The error is the resource provider's own, in its own shape.
pub(crate) const BARE: &str = "bare";

/// Adds headers to a reply.
#[must_use]
pub(crate) fn with_headers(reply: Reply, more: Headers) -> Reply {
    match reply {
        Reply::Json(status, body) => Reply::Headed(status, body, more),
        Reply::Headed(status, body, mut headers) => {
            headers.extend(more);
            Reply::Headed(status, body, headers)
        }
        other => other,
    }
}

/// Adds headers to an error.
#[must_use]
pub(crate) fn error_with_headers(mut error: ApiError, more: Headers) -> ApiError {
    let headers = error.fields.entry(HEADERS).or_insert_with(|| json!({}));
    for (name, value) in more {
        headers[name] = value.into();
    }
    error
}

fn response(call: &Call, status: u16, body: &Value, headers: &Map<String, Value>) -> HttpResponse {
    let empty = body.is_null() || call.method == "HEAD";
    let text = if empty { String::new() } else { without_nulls(body.clone()).to_string() };
    let mut builder = Response::builder()
        .status(status)
        .header("cache-control", "no-cache")
        .header("x-ms-request-id", &call.request_id)
        .header("x-ms-correlation-request-id", &call.request_id);
    if !text.is_empty() {
        builder = builder.header("content-type", "application/json; charset=utf-8");
    }
    if let Some(id) = call.headers.get("x-ms-client-request-id") {
        builder = builder.header("x-ms-client-request-id", id);
    }
    for (name, value) in headers {
        builder = builder.header(name, value.as_str().unwrap_or_default());
    }
    builder.body(Full::new(Bytes::from(text))).unwrap_or_else(|_| Response::new(Full::new(Bytes::new())))
}

/// Encodes a result.
#[must_use]
pub(crate) fn encode(call: &Call, reply: Reply) -> HttpResponse {
    match reply {
        Reply::Headed(status, body, headers) => {
            let headers = headers.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
            response(call, status, &body, &headers)
        }
        Reply::Json(status, body) => response(call, status, &body, &Map::new()),
        // No service of Azure does so.
        Reply::Query(text) | Reply::Xml(_, text, _) => response(call, 200, &Value::String(text), &Map::new()),
    }
}

/// Encodes an error.
#[must_use]
pub(crate) fn encode_error(call: &Call, error: &ApiError) -> HttpResponse {
    if call.service == "entra" {
        return response(call, error.status, &entra::error_body(call, error), &Map::new());
    }
    let mut fields = (*error.fields).clone();
    let mut headers = match fields.remove(HEADERS) {
        Some(Value::Object(headers)) => headers,
        _ => Map::new(),
    };
    if fields.remove(CHALLENGE).is_some() {
        let challenge = format!(
            "Bearer authorization_uri=\"https://login.windows.net/\", error=\"invalid_token\", error_description=\"{}\"",
            error.message
        );
        headers.insert("www-authenticate".to_owned(), challenge.into());
    }
    let bare = fields.remove(BARE).is_some();
    fields.insert("code".to_owned(), error.code.clone().into());
    fields.insert("message".to_owned(), error.message.clone().into());
    if bare {
        fields.entry("details").or_insert(Value::Null);
        fields.entry("subcode").or_insert_with(|| "".into());
        return response(call, error.status, &Value::Object(fields), &headers);
    }
    headers.insert("x-ms-failure-cause".to_owned(), "gateway".into());
    response(call, error.status, &json!({ "error": fields }), &headers)
}

/// The error for what a service does not offer here.
pub(crate) fn unknown(call: &Call) -> ApiError {
    let message = format!("The simulator does not know {} {}.", call.method, call.action);
    ApiError::new("MethodNotAllowed", message).status(405)
}
