//! Names at one place share a connection; a server that knows them only apart, or answers slowly, makes nobody lost.

use super::*;

/// Response to a request by the name that began the connection and its own; none: the connection is closed.
type Answers = fn(began: &str, host: &str, is_head: bool) -> Option<&'static str>;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const HEAD_OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

/// A web server that takes any number of requests on a connection, and its counted connections.
struct Together {
    probe: WebProbe,
    port: u16,
    connections: Arc<AtomicU32>,
    _folder: tempfile::TempDir,
}

impl Together {
    async fn start(names: &'static [&'static str], delay: Duration, answers: Answers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (issuer, ca) = authority(folder.path());
        let acceptor = acceptor(&issuer, names);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&connections);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
                tokio::spawn(serve(acceptor.clone(), stream, delay, answers));
            }
        });
        let options = ProbeOptions {
            resolver: Some(super::names(address.ip()).await),
            trusted_ca: Some(ca),
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            ..ProbeOptions::default()
        };
        Self { probe: WebProbe::new(options), port: address.port(), connections, _folder: folder }
    }

    /// What a look at all of them comes to, and by how many connections.
    async fn look(&self) -> (Result<(), NoAnswer>, u32) {
        let endpoint = |name: &str, health_path: &str| Endpoint {
            name: name.into(),
            url: format!("https://{name}.example.com:{}", self.port),
            health_path: health_path.into(),
        };
        let endpoints = [endpoint("files", ""), endpoint("chat", "/health"), endpoint("webdav", "")];
        let looked = self.probe.probe(&endpoints).await;
        (looked, self.connections.swap(0, Ordering::SeqCst))
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, delay: Duration, answers: Answers) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let began = stream.get_ref().1.server_name().unwrap_or_default().replace(".example.com", "");
    let (mut come, mut piece) = (String::new(), [0; 1024]);
    loop {
        while let Some((request, rest)) = come.clone().split_once("\r\n\r\n") {
            come = rest.to_owned();
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
            assert!(!host.contains("chat") || request.starts_with("GET /health "), "{request}");
            tokio::time::sleep(delay).await;
            let answer = answers(&began, &host.replace(".example.com", ""), request.starts_with("HEAD "));
            let Some(answer) = answer else { return };
            if stream.write_all(answer.as_bytes()).await.is_err() || request.contains("connection: close") {
                let _ = stream.shutdown().await;
                return;
            }
        }
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => come.push_str(&String::from_utf8_lossy(&piece[..read])),
            _ => return,
        }
    }
}

#[tokio::test]
async fn names_at_one_place_share_a_connection() {
    let server =
        Together::start(&["*.example.com"], Duration::ZERO, |_, _, is_head| Some(if is_head { HEAD_OK } else { OK }))
            .await;
    assert_eq!(server.look().await, (Ok(()), 1));
    assert_eq!(server.look().await, (Ok(()), 1), "its session is gone on with");
}

#[tokio::test]
async fn what_a_server_knows_only_apart_is_asked_apart() {
    for misdirected in ["421 Misdirected Request", "404 Not Found", "400 Bad Request", "503 Service Unavailable"] {
        let answers: Answers = match misdirected {
            "421 Misdirected Request" => {
                |began, host, _| Some(if began == host { OK } else { "HTTP/1.1 421 No\r\n\r\n" })
            }
            "404 Not Found" => |began, host, _| Some(if began == host { OK } else { "HTTP/1.1 404 No\r\n\r\n" }),
            "400 Bad Request" => |began, host, _| Some(if began == host { OK } else { "HTTP/1.1 400 No\r\n\r\n" }),
            _ => |began, host, _| Some(if began == host { OK } else { "HTTP/1.1 503 No\r\n\r\n" }),
        };
        let server = Together::start(&["*.example.com"], Duration::ZERO, answers).await;
        let (looked, connections) = server.look().await;
        assert_eq!(looked, Ok(()), "{misdirected}");
        assert!(connections > 1, "{misdirected}: {connections}");
    }
    // One that closes the connection instead.
    let closes =
        Together::start(&["*.example.com"], Duration::ZERO, |began, host, _| (began == host).then_some(OK)).await;
    assert_eq!(closes.look().await.0, Ok(()));
}

/// Interim responses come before any other, and a program that does not know `HEAD` says nothing of what its pages are.
#[tokio::test]
async fn one_that_fails_is_lost_whatever_comes_before_it() {
    let early = Together::start(&["*.example.com"], Duration::ZERO, |_, host, is_head| match (host, is_head) {
        ("chat", _) => Some("HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\nno model\n"),
        (_, true) => Some("HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        _ => Some(OK),
    })
    .await;
    let (looked, _) = early.look().await;
    assert_eq!(looked, Err(NoAnswer::Missed("chat: it answers 503: no model".into())));
    let no_head = Together::start(&["*.example.com"], Duration::ZERO, |_, host, is_head| match (host, is_head) {
        (_, true) => Some("HTTP/1.1 405 Method Not Allowed\r\n\r\n"),
        ("webdav", _) => Some("HTTP/1.1 500 No\r\n\r\n"),
        _ => Some(OK),
    })
    .await;
    let (looked, _) = no_head.look().await;
    assert!(matches!(&looked, Err(NoAnswer::Missed(why)) if why.starts_with("webdav: it answers 500")), "{looked:?}");
}

/// A server that routes by the request's name answers for all of them over a connection that another name began.
#[tokio::test]
async fn who_failed_is_looked_at_by_a_connection_of_its_own_until_it_answers() {
    let server = Together::start(&["*.example.com"], Duration::ZERO, |began, _, is_head| match (began, is_head) {
        ("chat", _) => None,
        (_, true) => Some(HEAD_OK),
        _ => Some(OK),
    })
    .await;
    // By chance chat begins the connection.
    let mut looked = Ok(());
    for _ in 0..200 {
        looked = server.look().await.0;
        if looked.is_err() {
            break;
        }
    }
    for _ in 0..10 {
        assert!(matches!(&looked, Err(NoAnswer::Missed(why)) if why.starts_with("chat: ")), "{looked:?}");
        looked = server.look().await.0;
    }
}

/// The environment moved: each of its names is asked for again after the first miss.
#[tokio::test]
async fn all_names_of_one_that_moved_are_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(folder.path());
    let (first, _, task) = web_at("127.0.0.2:0", &issuer, "HTTP/1.1 200 OK\r\n\r\n").await;
    let addresses = Arc::new(Mutex::new(vec![first.ip()]));
    let options = ProbeOptions {
        resolver: Some(names_of(Arc::clone(&addresses)).await),
        trusted_ca: Some(ca),
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        ..ProbeOptions::default()
    };
    let probe = WebProbe::new(options);
    let endpoints = ["files", "webdav", "chat"].map(|name| Endpoint {
        name: name.into(),
        url: format!("https://{name}.example.com:{}", first.port()),
        ..Endpoint::default()
    });
    assert_eq!(probe.probe(&endpoints).await, Ok(()));
    task.abort();
    let _second = web_at(&format!("127.0.0.3:{}", first.port()), &issuer, "HTTP/1.1 200 OK\r\n\r\n").await;
    *addresses.lock() = vec!["127.0.0.3".parse().unwrap()];
    assert!(probe.probe(&endpoints).await.is_err(), "nobody answers there any more");
    assert_eq!(probe.probe(&endpoints).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_that_holds_for_one_name_vouches_for_no_other() {
    let server = Together::start(&["files.example.com", "chat.example.com"], Duration::ZERO, |_, _, is_head| {
        Some(if is_head { HEAD_OK } else { OK })
    })
    .await;
    let (looked, _) = server.look().await;
    assert!(matches!(&looked, Err(NoAnswer::Missed(why)) if why.starts_with("webdav: TLS:")), "{looked:?}");
}

#[tokio::test]
async fn one_that_fails_is_named_with_what_it_says() {
    let server = Together::start(&["*.example.com"], Duration::ZERO, |_, host, is_head| match host {
        "chat" => Some("HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\nno model\n"),
        _ => Some(if is_head { HEAD_OK } else { OK }),
    })
    .await;
    let (looked, _) = server.look().await;
    assert_eq!(looked, Err(NoAnswer::Missed("chat: it answers 503: no model".into())));
}

#[tokio::test]
async fn those_that_answer_slowly_are_waited_for_side_by_side() {
    let slow = Duration::from_millis(1_700);
    let server =
        Together::start(&["*.example.com"], slow, |_, _, is_head| Some(if is_head { HEAD_OK } else { OK })).await;
    let (looked, connections) = server.look().await;
    // One after another they would take longer than a look may.
    assert_eq!((looked, connections), (Ok(()), 4));
}
