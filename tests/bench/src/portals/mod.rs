//! A daemon as portals meet it: over TLS, with a token, and with others beside them that do as they please.

mod calls;
mod floods;
mod raw;
mod speed;
mod webhook;

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use landlord_test_harness::{World, WorldOptions, private};
use landlord_test_kube::free_port;
use landlord_test_tokens::{Issuer, Key, claims, header, now, with};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use self::webhook::Receiver;
use crate::{Bed, figures, say};

/// Tokens live longer than any run.
const TOKEN_SECS: i64 = 2 * 3_600;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Connections that do nothing.
    pub(crate) idle: usize,
    /// Watches, of which a tenth never reads.
    pub(crate) watchers: usize,
    /// Tenants that are ordered while they watch.
    pub(crate) orders: usize,
    /// Calls for each figure of speed.
    pub(crate) calls: usize,
    /// How long others are timed beside each flood.
    pub(crate) beside: Duration,
    /// Whether figures are judged, too; otherwise only what does not depend on how busy the machine is.
    pub(crate) judges: bool,
}

/// Where the daemon is, and who calls.
pub(crate) struct Scene {
    tls: SocketAddr,
    plain: SocketAddr,
    certificate: String,
    token: MetadataValue<Ascii>,
    class: String,
    pid: u32,
}

impl Scene {
    /// A connection of its own over TLS.
    async fn channel(&self) -> Result<Channel> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.certificate));
        let endpoint = Endpoint::from_shared(format!("https://localhost:{}", self.tls.port()))?;
        endpoint.tls_config(tls.domain_name("localhost"))?.connect().await.context("can't connect over TLS")
    }

    /// One over TCP without TLS.
    async fn channel_without_tls(&self) -> Result<Channel> {
        Endpoint::from_shared(format!("http://{}", self.plain))?.connect().await.context("can't connect over TCP")
    }

    fn signed<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }

    fn rss(&self) -> u64 {
        figures::resident_bytes(self.pid)
    }
}

fn config(folder: &Path, (tls, plain): (SocketAddr, SocketAddr), issuer: &str, receiver: &Receiver) -> Result<String> {
    let mut text = String::new();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    write!(
        text,
        "[[server.listeners]]\naddress = '{tls}'\n[server.listeners.tls]\ncert_file = '{}'\nkey_file = '{}'\n\
         [[server.listeners]]\naddress = '{plain}'\ninsecure = true\n\
         [auth.issuers.corp]\nissuer = '{issuer}'\naudiences = ['landlord']\nalgorithms = ['ES256']\n\
         groups = {{ portals = 'landlord:portals' }}\n\
         [webhooks.bench]\nurl = '{}'\nsecret_file = '{}'\ninsecure = true\nallowed_networks = ['127.0.0.0/8']\n\
         events = ['dev.landlord.tenant.accepted']\n",
        certificate.display(),
        key.display(),
        receiver.url(),
        folder.join("whsec").display(),
    )?;
    Ok(text)
}

/// Runs everything, prints tables, and fails if something was not as it must be.
pub(crate) fn run(bed: &Bed, size: Size) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".into()])?.self_signed(&key)?.pem();
    private(&folder.path().join("tls.crt"), &certificate)?;
    private(&folder.path().join("tls.key"), &key.serialize_pem())?;
    private(&folder.path().join("whsec"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")?;
    let (issuer, signs) = (bed.runtime.block_on(Issuer::start())?, Key::new("one"));
    issuer.publish(&[signs.jwk()]);
    let receiver = bed.runtime.block_on(Receiver::start())?;
    let address = || anyhow::Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
    let addresses = (address()?, address()?);
    let cloud = &landlord_test_harness::cloud::EKS;
    let extra_config = config(folder.path(), addresses, issuer.url(), &receiver)?;
    let options = WorldOptions { extra_config, ..WorldOptions::default() };
    let token = with(&claims(issuer.url(), "portal"), "groups", json!(["portals"]));
    let token = signs.sign(&header(), &with(&token, "exp", json!(now() + TOKEN_SECS)));
    bed.in_world(&options, async |world| {
        let pid = world.daemon().context("the daemon has ended")?.pid();
        let (tls, plain) = addresses;
        let token = format!("Bearer {token}").parse()?;
        let scene = Scene { tls, plain, certificate: certificate.clone(), token, class: cloud.bare_class(), pid };
        all(world, &scene, &receiver, size).await
    })
}

async fn all(world: &World, scene: &Scene, receiver: &Receiver, size: Size) -> Result<()> {
    let mut problems = Vec::new();
    speed::table(world, scene, size, &mut problems).await?;
    webhook::table(world, scene, receiver, size, &mut problems).await?;
    floods::table(scene, size, &mut problems).await?;
    if problems.is_empty() {
        say("everything was as it must be");
        return Ok(());
    }
    bail!("{}", problems.join("\n"))
}
