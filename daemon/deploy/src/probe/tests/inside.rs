//! What lies inside is reached by no name, URL or redirect: a trap that listens there is never connected to.

use super::*;

/// A listener that counts who connects.
async fn trap(address: &str) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (address, sprung) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&sprung);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, sprung)
}

/// A proxy that reaches nobody; what it was asked for.
async fn idle_proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&requests);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let line = request_line(&mut stream).await;
            kept.lock().push(line);
            stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        }
    });
    (address, requests)
}

fn web_endpoint(url: String) -> [Endpoint; 1] {
    [Endpoint { name: "chat".into(), url, health_path: String::new() }]
}

async fn missed(probe: &WebProbe, url: String) -> String {
    match probe.probe(&web_endpoint(url.clone())).await {
        Err(NoAnswer::Missed(why)) => why,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn no_way_to_write_an_address_leads_inside() {
    let (trap, sprung) = trap("127.0.0.1:0").await;
    let port = trap.port();
    let folder = tempfile::tempdir().unwrap();
    let (_, ca) = authority(folder.path());
    for resolver in [None, Some(names(trap.ip()).await)] {
        let probe = WebProbe::new(ProbeOptions { resolver, trusted_ca: Some(ca.clone()), ..ProbeOptions::default() });
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "acme.example.com@127.0.0.1",
            "acme.example.com:443@localhost",
        ] {
            for scheme in ["https", "sftp"] {
                missed(&probe, format!("{scheme}://{host}:{port}")).await;
            }
        }
    }
    assert_eq!(sprung.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_a_name_with_addresses_of_both_kinds_the_public_ones_are_asked_alone() {
    let (trap, sprung) = trap("127.0.0.1:0").await;
    let (proxy, requests) = idle_proxy().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, ca) = authority(folder.path());
    let both = ["10.0.0.1", "127.0.0.1", "34.1.2.3", "169.254.169.254", "::1", "fd00:ec2::254"];
    let both: Vec<IpAddr> = both.iter().map(|address| address.parse().unwrap()).collect();
    let resolver = Some(names_of(Arc::new(Mutex::new(both))).await);
    let options = ProbeOptions { resolver, proxy: Some(proxy), trusted_ca: Some(ca), ..ProbeOptions::default() };
    let probe = WebProbe::new(options);
    let port = trap.port();
    missed(&probe, format!("https://acme.example.com:{port}")).await;
    assert_eq!(
        *requests.lock(),
        [format!("CONNECT 34.1.2.3:{port} HTTP/1.1")],
        "an address, not a name to look up again"
    );
    assert_eq!(sprung.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_after_it_was_judged_is_judged_again() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(folder.path());
    // For what lies outside stands one address of this machine, for what lies inside another one, at the same port.
    let (outside, _, served) = web_at("127.0.0.2:0", &issuer, "HTTP/1.1 200 OK\r\n\r\n").await;
    let (trap, sprung) = trap(&format!("127.0.0.1:{}", outside.port())).await;
    let leads_to = Arc::new(Mutex::new(vec![outside.ip()]));
    let options = ProbeOptions {
        resolver: Some(names_of(Arc::clone(&leads_to)).await),
        trusted_ca: Some(ca),
        allowed: vec!["127.0.0.2/32".parse().unwrap()],
        ..ProbeOptions::default()
    };
    let probe = WebProbe::new(options);
    let url = format!("https://acme.example.com:{}", outside.port());
    assert_eq!(probe.probe(&web_endpoint(url.clone())).await, Ok(()));
    // What was judged is what is connected to: the name is not asked again in between.
    *leads_to.lock() = vec![trap.ip()];
    assert_eq!(probe.probe(&web_endpoint(url.clone())).await, Ok(()));
    served.abort();
    let gone = missed(&probe, url.clone()).await;
    assert!(gone.contains("127.0.0.2"), "{gone}");
    for _ in 0..2 {
        let refused = missed(&probe, url.clone()).await;
        assert!(refused.contains("leads to 127.0.0.1") && refused.contains("not asked"), "{refused}");
    }
    assert_eq!(sprung.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_inside_is_an_answer_and_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(folder.path());
    let (trap, sprung) = trap("127.0.0.1:0").await;
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        for scheme in ["http", "https"] {
            let answer = format!("HTTP/1.1 {status}\r\nlocation: {scheme}://{trap}/latest/meta-data\r\n\r\n");
            let (server, ..) = web_at("127.0.0.2:0", &issuer, answer.leak()).await;
            let options = ProbeOptions {
                resolver: Some(names(server.ip()).await),
                trusted_ca: Some(ca.clone()),
                allowed: vec!["127.0.0.2/32".parse().unwrap()],
                ..ProbeOptions::default()
            };
            let url = format!("https://acme.example.com:{}", server.port());
            assert_eq!(WebProbe::new(options).probe(&web_endpoint(url)).await, Ok(()), "{status}");
        }
    }
    assert_eq!(sprung.load(Ordering::SeqCst), 0);
}
