//! HTTP over any connection, with or without TLS.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use kube::Client;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::route::{Io, Route};

/// For one answer that needs no model.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a response.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024;
/// What is quoted of an answer that is not as it should be.
const QUOTED_CHARS_MAX: usize = 200;

/// Where requests go.
#[derive(Clone)]
pub(super) struct Web {
    pub(super) client: Client,
    pub(super) route: Route,
    /// For https.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) host: String,
}

/// The response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Response {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Its status and the beginning of its text.
    pub(super) fn quoted(&self) -> String {
        let text: String = self.text().split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        format!("{} {text}", self.status).trim_end().to_owned()
    }
}

/// One request: method, path and query, headers, body.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: Vec<(&'a str, String)>,
    pub(super) body: Vec<u8>,
}

impl Web {
    /// The response, or why there is none. Redirects are responds.
    pub(super) async fn ask(&self, ask: Ask<'_>, within: Duration) -> Result<Response, String> {
        let what = format!("{} {}{}", ask.method, self.host, ask.path);
        let response = timeout(within, self.exchange(ask)).await;
        response
            .unwrap_or_else(|_| Err(format!("no response within {} s", within.as_secs())))
            .map_err(|why| format!("{what}: {why}"))
    }

    async fn exchange(&self, ask: Ask<'_>) -> Result<Response, String> {
        let stream: Box<dyn Io> = match &self.tls {
            None => self.route.open(&self.client).await?,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
                let stream = self.route.open(&self.client).await?;
                let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
                Box::new(stream.map_err(|error| error.to_string())?)
            }
        };
        let method = Method::from_bytes(ask.method.as_bytes()).map_err(|error| error.to_string())?;
        let uri: Uri = ask.path.parse().map_err(|_| "its path is none".to_owned())?;
        let mut request = Request::builder().method(method).uri(uri).header("host", &self.host);
        request = request.header("connection", "close");
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        // A value that is no header's would be in the error's words.
        let request =
            request.body(Full::new(Bytes::from(ask.body))).map_err(|_| "it can't be put together".to_owned())?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
            drop(sender);
            Ok(Response { status, body: body.map_err(|error| error.to_string())?.to_bytes() })
        };
        tokio::pin!(exchange);
        tokio::select! {
            response = &mut exchange => response,
            // What it has read is there to be taken when it has ended.
            _ = connection => exchange.await,
        }
    }
}
