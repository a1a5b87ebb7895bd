//! Pages: gRPC-Web on the port of gRPC, for origins of the configuration.

use http_body_util::BodyExt as _;
use landlord_proto::v1;
use prost::Message as _;
use tonic::{
    body::Body,
    codegen::{Service as _, http},
    transport::Channel,
};
use tower::ServiceExt as _;

use crate::common::{Daemon, ORIGIN, PROD, order};

const PATH: &str = "/landlord.v1.TenantService/GetTenant";
const FOREIGN: &str = "https://evil.example.com";

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// Status, headers and body of the response to a request.
async fn send(channel: &Channel, method: &str, headers: &[(&str, &str)]) -> (u16, http::HeaderMap, Vec<u8>) {
    let request = frame(&v1::GetTenantRequest { name: PROD.into() }.encode_to_vec());
    let mut builder = http::Request::builder().method(method).uri(PATH);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = if method == "POST" { Body::new(http_body_util::Full::from(request)) } else { Body::empty() };
    let mut channel = channel.clone();
    let response = channel.ready().await.unwrap().call(builder.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn pages_of_known_origins_call_by_grpc_web_and_others_reach_nothing() {
    let daemon = Daemon::start_with_tcp().await;
    daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
    let address = format!("http://{}", daemon.tcp.unwrap());
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let web = ("content-type", "application/grpc-web+proto");
    let (status, headers, body) = send(&channel, "POST", &[web, ("origin", ORIGIN)]).await;
    assert_eq!((status, headers["access-control-allow-origin"].as_bytes()), (200, ORIGIN.as_bytes()));
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("grpc-status-details-bin"));
    assert!(headers.get("access-control-allow-credentials").is_none());
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    let tenant = v1::Tenant::decode(&body[5..5 + length]).unwrap();
    assert_eq!(tenant.name, PROD);
    // The trailers are the last frame.
    let trailers = String::from_utf8_lossy(&body[5 + length..]).into_owned();
    assert!(body[5 + length] == 0x80 && trailers.contains("grpc-status:0"), "{trailers:?}");
    for headers in [vec![web], vec![web, ("origin", FOREIGN)], vec![web, ("origin", ORIGIN), ("origin", FOREIGN)]] {
        let (status, response, body) = send(&channel, "POST", &headers).await;
        assert_eq!((status, body.len()), (403, 0), "{headers:?}");
        assert!(response.get("access-control-allow-origin").is_none(), "{headers:?}");
    }
    let (status, headers, _) = send(&channel, "OPTIONS", &[("origin", ORIGIN)]).await;
    assert_eq!(status, 204);
    assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    assert_eq!(headers["access-control-allow-methods"], "POST");
    let (status, headers, _) = send(&channel, "OPTIONS", &[("origin", FOREIGN)]).await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (403, false));
    // What is no page needs no origin.
    let (status, headers, _) =
        send(&channel, "POST", &[("content-type", "application/grpc"), ("te", "trailers")]).await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (200, false));
}
