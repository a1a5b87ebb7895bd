//! How each service words results and errors on the wire.
//!
//! Query: <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>, EC2 query:
//! <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html>, REST-JSON and JSON 1.1:
//! <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html>, REST-XML:
//! <https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html>.

use crate::xml::Xml;
use bytes::Bytes;
use cloudsim_core::{
    call::{ApiError, Call, Reply},
    http::HttpResponse,
    json::without_nulls,
};
use http_body_util::Full;
use hyper::Response;

fn namespace(service: &str) -> &'static str {
    match service {
        "cloudformation" => "http://cloudformation.amazonaws.com/doc/2010-05-15/",
        "ec2" => "http://ec2.amazonaws.com/doc/2016-11-15/",
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        "elasticloadbalancing" => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        _ => "https://route53.amazonaws.com/doc/2013-04-01/",
    }
}

fn response(call: &Call, status: u16, content_type: &str, body: String) -> HttpResponse {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-amzn-requestid", &call.request_id)
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_else(|_| Response::new(Full::new(Bytes::new())))
}

/// Encodes a result.
#[must_use]
pub(crate) fn encode(call: &Call, reply: Reply) -> HttpResponse {
    match reply {
        Reply::Json(status, value) => {
            let content_type = if matches!(call.service.as_str(), "tagging" | "logs") {
                "application/x-amz-json-1.1"
            } else {
                "application/json"
            };
            response(call, status, content_type, without_nulls(value).to_string())
        }
        // No service of AWS does so.
        Reply::Headed(status, value, _) => response(call, status, "application/json", value.to_string()),
        Reply::Query(inner) => {
            let (action, xmlns, id) = (&call.action, namespace(&call.service), &call.request_id);
            let body = if call.service == "ec2" {
                format!("<{action}Response xmlns=\"{xmlns}\"><requestId>{id}</requestId>{inner}</{action}Response>")
            } else {
                format!(
                    "<{action}Response xmlns=\"{xmlns}\"><{action}Result>{inner}</{action}Result>\
                     <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
                )
            };
            response(call, 200, "text/xml;charset=UTF-8", body)
        }
        Reply::Xml(status, body, headers) => {
            let mut response = response(call, status, "text/xml", body);
            for (name, value) in headers {
                if let Ok(value) = value.parse() {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
    }
}

/// Encodes an error.
#[must_use]
pub(crate) fn encode_error(call: &Call, error: &ApiError) -> HttpResponse {
    match call.service.as_str() {
        "ec2" => {
            let mut x = Xml::new();
            x.node("Response", |x| {
                x.node("Errors", |x| {
                    x.node("Error", |x| {
                        x.leaf("Code", &error.code).leaf("Message", &error.message);
                    });
                });
                x.leaf("RequestID", &call.request_id);
            });
            response(call, error.status, "text/xml;charset=UTF-8", x.finish())
        }
        "cloudformation" | "iam" | "sts" | "elasticloadbalancing" | "route53" => query_error(call, error),
        _ => {
            let mut body = (*error.fields).clone();
            body.insert("message".to_owned(), error.message.clone().into());
            body.insert("__type".to_owned(), error.code.clone().into());
            let mut response =
                response(call, error.status, "application/json", serde_json::Value::Object(body).to_string());
            if let Ok(code) = error.code.parse() {
                response.headers_mut().insert("x-amzn-errortype", code);
            }
            response
        }
    }
}

fn query_error(call: &Call, error: &ApiError) -> HttpResponse {
    let xmlns = namespace(&call.service);
    let mut x = Xml::new();
    if error.code == "InvalidChangeBatch" {
        // Route 53 alone has this shape: <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>
        x.list("Messages", "Message", error.message.split('\n'), |x, m| {
            let text = quick_xml::escape::escape(m).into_owned();
            x.raw(&text);
        });
        x.leaf("RequestId", &call.request_id);
        let body = format!("<InvalidChangeBatch xmlns=\"{xmlns}\">{}</InvalidChangeBatch>", x.finish());
        return response(call, error.status, "text/xml", body);
    }
    x.node("Error", |x| {
        x.leaf("Type", if error.status >= 500 { "Receiver" } else { "Sender" });
        x.leaf("Code", &error.code).leaf("Message", &error.message);
    });
    x.leaf("RequestId", &call.request_id);
    response(call, error.status, "text/xml", format!("<ErrorResponse xmlns=\"{xmlns}\">{}</ErrorResponse>", x.finish()))
}

/// The error for an operation that a service does not offer here.
pub(crate) fn unknown_action(call: &Call) -> ApiError {
    ApiError::new("InvalidAction", format!("The action {} is not valid for this web service.", call.action))
}
