//! The daemon's figures over HTTP, for Prometheus and its like, and whether it lives and is ready, for whoever runs it. Knows no
//! figure itself.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md#overall-structure>
const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Binds the address, so that a bad one is reported at start.
///
/// # Errors
/// The address is taken or not this machine's.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let taken = || format!("server.metrics_listen: cannot listen on {address}; another program may use it");
    let listener = TcpListener::bind(address).await.with_context(taken)?;
    // Reported, since port 0 is whichever was free.
    tracing::info!(url = %format_args!("http://{}/metrics", listener.local_addr()?), "figures are served");
    Ok(listener)
}

/// Serves `/metrics`, `/livez` and `/readyz` until cancelled. `ready`: clients can connect.
pub(crate) async fn serve(listener: TcpListener, registry: Registry, ready: Arc<AtomicBool>, stop: CancellationToken) {
    let readiness = {
        let stop = stop.clone();
        move || {
            let is_ready = ready.load(Ordering::Relaxed) && !stop.is_cancelled();
            std::future::ready(if is_ready {
                (StatusCode::OK, "ready\n")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "starting or ending\n")
            })
        }
    };
    let router = Router::new()
        .route("/metrics", get(page))
        .with_state(Arc::new(registry))
        .route("/livez", get(|| std::future::ready("alive\n")))
        .route("/readyz", get(readiness));
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the metrics page is no longer served");
    }
}

async fn page(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &registry);
    ([(CONTENT_TYPE, CONTENT)], text)
}
