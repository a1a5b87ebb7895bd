//! Connections from the machine into a node, whose network leads nowhere else.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use sha2::{Digest as _, Sha256};

/// The longest response's head of the node's own proxy.
const HEAD_BYTES_MAX: usize = 1024;

/// In a node's folder of sockets.
const CONNECT: &str = "connect.sock";
/// Real nodes of one control plane: each has images of gigabytes, and a kubelet.
pub const NODES_MAX: u8 = 3;

/// Where the sockets of a node are that keeps its files in `folder`: a path of a unix socket has at most 107 characters.
pub(crate) fn sockets(folder: &Path) -> PathBuf {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("landlord-node-{}", hex::encode(&digest[..8])))
}

/// Folder of a node of the control plane that keeps its data in `data_dir`, by its number.
pub(crate) fn node_folder(data_dir: &Path, number: u8) -> PathBuf {
    if number == 0 { data_dir.join("node") } else { data_dir.join(format!("node-{number}")) }
}

/// The socket that leads to whatever a control plane's first real node reaches, by HTTP CONNECT: a pod, a Service, a load
/// balancer. `data_dir` is the control plane's, without symbolic links in it.
#[must_use]
pub fn node_socket(data_dir: &Path) -> PathBuf {
    sockets(&node_folder(data_dir, 0)).join(CONNECT)
}

/// The sockets of all its real nodes that run, the first one's first.
#[must_use]
pub fn node_sockets(data_dir: &Path) -> Vec<PathBuf> {
    let all = (0..NODES_MAX).map(|number| sockets(&node_folder(data_dir, number)).join(CONNECT));
    all.filter(|socket| socket.exists()).collect()
}

/// Opens a connection to an address (`10.245.0.7:8080`, a Service's address and port) in the node.
pub(crate) fn open(socket: &Path, target: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")?;
    let head = read_head(&mut stream)?;
    if head.starts_with(b"HTTP/1.1 200 ") {
        return Ok(stream);
    }
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("{target} in the node: {said}")))
}

fn read_head(stream: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    // By single bytes: what comes after the head is the other side's.
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}

/// Leads a free port of this machine's loopback interface to an address in a node (`34.64.0.7:443`), until this process
/// ends. `socket` is [`node_socket`]'s.
///
/// # Errors
/// No free port.
pub fn forward(socket: PathBuf, target: String) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("node-forward".into()).spawn(move || {
        for stream in listener.incoming().map_while(|stream| stream.ok()) {
            // Dropping the stream is all that a client of an address without listener would see.
            if let Ok(other) = open(&socket, &target) {
                let _ = std::thread::Builder::new().spawn(move || exchange(&stream, &other));
            }
        }
    })?;
    Ok(address)
}

/// An HTTP proxy (CONNECT) at a free port of this machine's loopback interface, until this process ends: a connection goes to the
/// first node that takes it. `nodes` gives their sockets, [`node_socket`]'s.
///
/// # Errors
/// No free port.
pub fn proxy(nodes: impl Fn() -> Vec<PathBuf> + Send + Sync + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let nodes = Arc::new(nodes);
    std::thread::Builder::new().name("nodes-proxy".into()).spawn(move || {
        for stream in listener.incoming().map_while(|stream| stream.ok()) {
            let nodes = Arc::clone(&nodes);
            let _ = std::thread::Builder::new().spawn(move || {
                // Whoever asks has closed it.
                let _ = carry(stream, nodes());
            });
        }
    })?;
    Ok(address)
}

fn carry(mut stream: TcpStream, nodes: Vec<PathBuf>) -> io::Result<()> {
    let head = read_head(&mut stream)?;
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    let (sender, answers) = mpsc::channel();
    // Side by side: a node that does not know the address lets whoever asks wait.
    for socket in nodes {
        let (sender, target) = (sender.clone(), target.clone());
        std::thread::Builder::new().spawn(move || sender.send(open(&socket, &target)))?;
    }
    drop(sender);
    let mut why = "there is no node".to_owned();
    for answer in answers {
        match answer {
            Ok(other) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                exchange(&stream, &other);
                return Ok(());
            }
            Err(error) => why = error.to_string(),
        }
    }
    write!(stream, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: {}\r\n\r\n{why}", why.len())
}

fn exchange(client: &TcpStream, server: &UnixStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, mut to) = (client, server);
            let _ = io::copy(&mut from, &mut to);
            let _ = server.shutdown(Shutdown::Write);
        });
        let (mut from, mut to) = (server, client);
        let _ = io::copy(&mut from, &mut to);
        let _ = client.shutdown(Shutdown::Write);
    });
}
