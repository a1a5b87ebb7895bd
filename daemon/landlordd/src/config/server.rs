//! `[server]`: how clients reach the daemon.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use landlord_auth::tls::{self, TlsFiles};
use landlord_grpc::ListenBounds;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// Shorter ones cost more handshakes than they save.
const IDLE_TIMEOUT_MIN: Duration = Duration::from_secs(10);

/// How clients reach the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Unix socket; only its owner and root may connect.
    pub socket: PathBuf,
    /// TCP listeners.
    pub listeners: Vec<Listener>,
    /// Connections of each listener at the same moment.
    pub connections_max: u32,
    /// Of these one address may have so many.
    pub connections_per_address_max: u32,
    /// A connection without a call ends after this long.
    pub idle_timeout: HumanDuration,
    /// Origins whose pages may call by gRPC-Web (`https://portal.example.com`); none: no page may.
    pub web_origins: Vec<String>,
    /// Address of the pages `/metrics` (OpenMetrics), `/livez` and `/readyz`; empty: none.
    pub metrics_listen: String,
    /// Whether that may be another than a loopback address, although its readers are not authenticated.
    pub metrics_open: bool,
}

impl Default for Server {
    fn default() -> Self {
        // As whoever listens has chosen them, with the reasons.
        let bounds = ListenBounds::default();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            socket: "/run/landlord/landlord.sock".into(),
            listeners: Vec::new(),
            connections_max: count(bounds.connections_max),
            connections_per_address_max: count(bounds.connections_per_address_max),
            idle_timeout: HumanDuration::from_secs(bounds.idle_timeout.as_secs()),
            web_origins: Vec::new(),
            metrics_listen: String::new(),
            metrics_open: false,
        }
    }
}

impl Server {
    /// Bounds of each listener.
    #[must_use]
    pub fn bounds(&self) -> ListenBounds {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        ListenBounds {
            connections_max: count(self.connections_max),
            connections_per_address_max: count(self.connections_per_address_max),
            idle_timeout: self.idle_timeout.get(),
            ..ListenBounds::default()
        }
    }
}

/// A TCP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port.
    pub address: String,
    /// Listen without TLS; only on the loopback interface.
    #[serde(default)]
    pub insecure: bool,
    /// TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// TLS of a listener. The files are followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM, leaf first.
    pub cert_file: PathBuf,
    /// Private key, PEM; not readable by others.
    pub key_file: PathBuf,
    /// CAs of clients' certificates, PEM. None: clients show no certificate.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients must show one.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They may, or authenticate by a token.
    #[default]
    Optional,
    /// Connections without one are refused.
    Required,
}

impl Tls {
    /// Its files.
    #[must_use]
    pub fn files(&self) -> TlsFiles {
        let auth = match self.client_auth {
            ClientAuth::Optional => tls::ClientAuth::Optional,
            ClientAuth::Required => tls::ClientAuth::Required,
        };
        TlsFiles {
            certificate: self.cert_file.clone(),
            key: self.key_file.clone(),
            client_ca: self.client_ca_file.clone().map(|path| (path, auth)),
        }
    }
}

/// Addresses, and that nobody listens without TLS by accident. The files are read by whoever listens.
pub(super) fn check(server: &Server, problems: &mut Vec<String>) {
    for origin in &server.web_origins {
        // As a browser writes it: what differs by a slash or a capital would let nobody in.
        let written = origin.parse::<url::Url>().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        if written != *origin || !origin.starts_with("http") {
            problems.push(format!(
                "server.web_origins: {origin:?} is no origin such as https://portal.example.com, without a path"
            ));
        }
    }
    for (key, value) in [
        ("connections_max", server.connections_max),
        ("connections_per_address_max", server.connections_per_address_max),
    ] {
        if value == 0 {
            problems.push(format!("server.{key}: is 0, so nobody could connect"));
        }
    }
    if server.idle_timeout.get() < IDLE_TIMEOUT_MIN {
        problems.push(format!(
            "server.idle_timeout: is less than {}s: clients would connect for each call",
            IDLE_TIMEOUT_MIN.as_secs()
        ));
    }
    for (index, listener) in server.listeners.iter().enumerate() {
        check_listener(&format!("server.listeners[{index}]"), listener, problems);
    }
    check_metrics(server, problems);
}

fn check_listener(at: &str, listener: &Listener, problems: &mut Vec<String>) {
    let Ok(address) = listener.address.parse::<SocketAddr>() else {
        problems.push(format!("{at}.address: {:?} is not an address such as 0.0.0.0:7443", listener.address));
        return;
    };
    match (&listener.tls, listener.insecure) {
        (Some(_), true) => problems.push(format!("{at}.insecure: has TLS; remove one of the two")),
        (None, false) => problems.push(format!(
            "{at}.tls: is missing; name cert_file and key_file (without TLS: insecure = true, on loopback only)"
        )),
        (None, true) if !address.ip().is_loopback() => problems.push(format!(
            "{at}.insecure: {address} is not a loopback address, and tokens would cross the network unencrypted; \
             configure {at}.tls"
        )),
        (None, true) | (Some(_), false) => {}
    }
    if let Some(tls) = &listener.tls
        && tls.client_ca_file.is_none()
        && tls.client_auth == ClientAuth::Required
    {
        problems.push(format!("{at}.tls.client_auth: is \"required\", but client_ca_file names no CA"));
    }
}

fn check_metrics(server: &Server, problems: &mut Vec<String>) {
    if server.metrics_listen.is_empty() {
        return;
    }
    match server.metrics_listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() || server.metrics_open => {}
        Ok(address) => problems.push(format!(
            "server.metrics_listen: {address} is not a loopback address; its readers are not authenticated, so put a \
             proxy that authenticates in front of it (or set server.metrics_open, where a firewall or network policy says who \
             they are)"
        )),
        Err(_) => problems.push(format!(
            "server.metrics_listen: {:?} is not an address such as 127.0.0.1:9464",
            server.metrics_listen
        )),
    }
}
