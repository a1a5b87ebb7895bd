//! `[telemetry]`: where traces and logs are sent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where traces and logs are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Collector of OTLP over gRPC, `https://HOST:4317`, or `http://` on a loopback address; empty: nothing is sent.
    pub otlp_endpoint: String,
    /// PEM file of the CAs of its certificate; empty: those of the system.
    pub otlp_ca_file: PathBuf,
    /// Share of the requests whose traces are sent, 0 to 1, where callers don't decide. Operations always are.
    pub requests_ratio: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: String::new(), otlp_ca_file: PathBuf::new(), requests_ratio: 1.0 }
    }
}

/// That nothing is sent over a network unencrypted.
pub(super) fn check(telemetry: &Telemetry, problems: &mut Vec<String>) {
    if !(0.0..=1.0).contains(&telemetry.requests_ratio) {
        problems.push(format!("telemetry.requests_ratio: {} is not between 0 and 1", telemetry.requests_ratio));
    }
    if telemetry.otlp_endpoint.is_empty() {
        return;
    }
    let url = url::Url::parse(&telemetry.otlp_endpoint).ok();
    let is_loopback = |url: &url::Url| match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url {
        Some(url) if url.scheme() == "https" && url.has_host() => {}
        Some(url) if url.scheme() == "http" && is_loopback(&url) => {}
        _ => problems.push(format!(
            "telemetry.otlp_endpoint: {:?} is not https://HOST:PORT, or http://127.0.0.1:PORT",
            telemetry.otlp_endpoint
        )),
    }
}
