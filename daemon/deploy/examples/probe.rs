//! What looking at tenants costs: `cargo run -p landlord-deploy --example probe -- [TENANTS] [SECONDS]`.
//!
//! Tenants' servers run in a process of their own, so that only the looks are measured: a third answers, a third is slow, a third
//! is dead. Each tenant has a web address and a file server, and is looked at once a minute. The last line is the part of a core
//! that the looks took.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for whoever measures")]

use std::{
    io::{BufRead as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use landlord_core::{environment::Endpoint, ports::Probe as _};
use landlord_deploy::{ProbeOptions, WebProbe};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// Between two looks at one tenant, as the daemon has it.
const INTERVAL: Duration = Duration::from_secs(60);
/// A slow server takes so long.
const SLOW: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, folder] = arguments.as_slice()
        && what == "serve"
    {
        return serve(Path::new(folder)).await;
    }
    let number = |index: usize, default: u32| arguments.get(index).and_then(|n| n.parse().ok()).unwrap_or(default);
    measure(number(0, 10_000), Duration::from_secs(number(1, 30).into())).await;
}

async fn measure(tenants: u32, seconds: Duration) {
    let folder = std::env::temp_dir().join(format!("landlord-probe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut server = Command::new(std::env::current_exe().unwrap());
    let mut server = server.arg("serve").arg(&folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
    let [web, slow, files] = ports.as_slice() else { panic!("{line}") };
    let probe = Arc::new(WebProbe::new(ProbeOptions {
        resolver: None,
        proxy: None,
        trusted_ca: Some(folder.join("ca.pem")),
        allowed: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
    }));
    let endpoint = |url: String| Endpoint { name: "web".into(), url, ..Endpoint::default() };
    let of = |tenant: u32| {
        // Nobody listens at port 9.
        let port = match tenant % 3 {
            0 => *web,
            1 => *slow,
            _ => 9,
        };
        vec![endpoint(format!("https://localhost:{port}")), endpoint(format!("sftp://acme@localhost:{files}"))]
    };
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let pause = INTERVAL / tenants;
    let (mut looks, mut lost, mut count) = (JoinSet::new(), 0_u32, 0_u32);
    while begun.elapsed() < seconds {
        let due = u32::try_from(begun.elapsed().as_nanos() / pause.as_nanos()).unwrap_or(u32::MAX);
        while count < due {
            let (probe, endpoints) = (Arc::clone(&probe), of(count));
            looks.spawn(async move { probe.probe(&endpoints).await });
            count += 1;
        }
        while let Some(looked) = looks.try_join_next() {
            lost += u32::from(looked.unwrap().is_err());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let part = (cpu_seconds() - cpu) / begun.elapsed().as_secs_f64();
    println!(
        "{tenants} tenants, a look at each every {} s: {count} looks in {} s, {lost} without a response",
        INTERVAL.as_secs(),
        seconds.as_secs()
    );
    println!("{part:.3} of a core");
    server.kill().unwrap();
    server.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Processor time of this process, from the kernel's own count in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// The tenants' servers; their ports are the first line that they write.
async fn serve(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (web, slow, files) = (bind().await, bind().await, bind().await);
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    println!("{} {} {}", port(&web), port(&slow), port(&files));
    std::io::stdout().flush().unwrap();
    let mut clients = JoinSet::new();
    loop {
        let (stream, wait) = tokio::select! {
            accepted = web.accept() => (accepted.unwrap().0, Some(Duration::ZERO)),
            accepted = slow.accept() => (accepted.unwrap().0, Some(SLOW)),
            accepted = files.accept() => (accepted.unwrap().0, None),
        };
        let acceptor = acceptor.clone();
        clients.spawn(async move {
            let Some(wait) = wait else {
                let mut stream = stream;
                let _ = stream.write_all(b"SSH-2.0-files\r\n").await;
                return;
            };
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            tokio::time::sleep(wait).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = stream.shutdown().await;
        });
        while clients.try_join_next().is_some() {}
    }
}
