//! Servers that answer, refuse, stay silent, redirect inside; each is judged for its own reason.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A web server that answers every request with `answer`; empty: it stays silent.
async fn web(issuer: &CertifiedIssuer<'static, KeyPair>, answer: &'static str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let acceptor = acceptor.clone();
            #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

/// A server without TLS that says one line.
async fn plain(line: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(line.as_bytes()).await;
        }
    });
    port
}

fn endpoint(scheme: &str, port: u16) -> Endpoint {
    Endpoint {
        name: scheme.into(),
        url: format!("{scheme}://acme@localhost:{port}").replace("https://acme@", "https://"),
    }
}

#[tokio::test]
async fn each_server_is_judged_for_its_own_reason() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, issuer.pem()).unwrap();
    let allowed: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let probe = WebProbe::new(ProbeOptions { resolver: None, trusted_ca: Some(ca), allowed });

    let fine = endpoint("https", web(&issuer, "HTTP/1.1 200 OK\r\n\r\n").await);
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data\r\n\r\n";
    let redirects = endpoint("https", web(&issuer, redirect).await);
    let broken = endpoint("https", web(&issuer, "HTTP/1.1 502 Bad Gateway\r\n\r\n").await);
    let ssh = endpoint("sftp", plain("SSH-2.0-files\r\n").await);
    let other = endpoint("sftp", plain("220 mail\r\n").await);
    assert_eq!(probe.probe(&[fine.clone(), ssh.clone()], 0).await, Ok(()));
    assert_eq!(probe.probe(&[redirects], 0).await, Ok(()), "a redirect is an answer, and is not followed");
    let both = [fine.clone(), broken];
    assert_eq!(probe.probe(&both, 0).await, Ok(()));
    assert!(probe.probe(&both, 1).await.unwrap_err().contains("502"), "they take turns");
    assert_eq!(probe.probe(&both, 2).await, Ok(()));
    assert!(probe.probe(&[fine.clone(), other], 0).await.unwrap_err().contains("no SSH server"));
    let gone = endpoint("https", 9);
    assert!(probe.probe(&[gone], 0).await.unwrap_err().contains("https: "));
    assert_eq!(probe.probe(&[], 7).await, Ok(()), "what has no address is not lost");

    // Without leave nothing inside is asked, whatever a name leads to.
    let strict = WebProbe::new(ProbeOptions::default());
    let refused = strict.probe(&[fine], 0).await.unwrap_err();
    assert!(refused.contains("loopback") && refused.contains("not asked"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn who_stays_silent_is_given_up_in_time() {
    let line = first_line(&mut tokio::io::empty()).await;
    assert_eq!(line, Err("it closes the connection".into()));
}
