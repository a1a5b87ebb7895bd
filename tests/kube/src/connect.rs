//! Connections from the machine into a node, whose network leads nowhere else.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

/// The longest response's head of the node's own proxy.
const HEAD_BYTES_MAX: usize = 1024;

/// Where the sockets of a node are that keeps its files in `folder`: a path of a unix socket has at most 107 characters.
pub(crate) fn sockets(folder: &Path) -> PathBuf {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("landlord-node-{}", hex::encode(&digest[..8])))
}

/// Folder of the node of the control plane that keeps its data in `data_dir`.
pub(crate) fn node_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("node")
}

/// The socket that leads to whatever a control plane's real node reaches, by HTTP CONNECT: a pod, a Service, a load balancer.
/// `data_dir` is the control plane's, without symbolic links in it.
#[must_use]
pub fn node_socket(data_dir: &Path) -> PathBuf {
    sockets(&node_folder(data_dir)).join("connect.sock")
}

/// Opens a connection to an address (`10.245.0.7:8080`, a Service's address and port) in the node.
pub(crate) fn open(socket: &Path, target: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")?;
    let mut head = Vec::new();
    // By single bytes: what comes after the head is the other side's.
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    if head.starts_with(b"HTTP/1.1 200 ") {
        return Ok(stream);
    }
    let mut reported = String::new();
    let _ = stream.read_to_string(&mut reported);
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("{target} in the node: {reported}")))
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
