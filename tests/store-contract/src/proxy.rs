//! A way to a PostgreSQL server that can fall silent: connections stay open and carry nothing more, as behind a firewall that
//! forgot them or on a machine that lost its power.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream, tcp::OwnedReadHalf},
    sync::watch,
    task::JoinSet,
};

use crate::postgres::Server;

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    swallowed: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Way {
    /// Raised: connections from before carry nothing more.
    cuts: u64,
    /// New ones carry nothing either.
    closed: bool,
}

impl Proxy {
    /// A proxy before a server.
    pub async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, seen) = watch::channel(Way::default());
        let socket = server.socket();
        let (mut tasks, swallowed) = (JoinSet::new(), Arc::default());
        tasks.spawn(serve(listener, socket, seen, Arc::clone(&swallowed)));
        Self { address, way, swallowed, _tasks: tasks }
    }

    /// The URL of a database of that server, through the proxy.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (url, _) = url.split_once('?').unwrap();
        url.replace("@localhost/", &format!("@{}/", self.address))
    }

    /// How often something was sent that did not arrive, over a connection that carries nothing any more.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.swallowed.load(Ordering::Relaxed)
    }

    /// Connections that are open carry nothing more, from this moment on; new ones work.
    pub fn silence(&self) {
        self.way.send_modify(|way| way.cuts += 1);
    }

    /// Nothing is carried, by new connections neither, until [`Proxy::open`].
    pub fn close(&self) {
        self.way.send_modify(|way| *way = Way { cuts: way.cuts + 1, closed: true });
    }

    /// New connections work again.
    pub fn open(&self) {
        self.way.send_modify(|way| way.closed = false);
    }
}

async fn serve(listener: TcpListener, socket: PathBuf, way: watch::Receiver<Way>, swallowed: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (began, socket, way) = (*way.borrow(), socket.clone(), way.clone());
        let swallowed = Arc::clone(&swallowed);
        connections.spawn(async move {
            let mut server = None;
            if !began.closed {
                let Ok(connected) = UnixStream::connect(&socket).await else { return };
                server = Some(connected);
            }
            carry(client, server, (began, way), &swallowed).await;
        });
    }
}

/// Carries until one side ends or the way is cut. Whether it is, is seen before each byte that would be carried: however late
/// this task comes to run, nothing passes after the cut. Both sides stay open then and hear nothing, not even an end.
async fn carry(
    client: TcpStream,
    server: Option<UnixStream>,
    (began, mut way): (Way, watch::Receiver<Way>),
    swallowed: &AtomicU64,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut there, mut back) = ([0; 8192], [0; 8192]);
    if let Some(server) = server {
        let (mut from_server, mut to_server) = server.into_split();
        let is_cut = |way: &watch::Receiver<Way>| way.borrow().cuts != began.cuts;
        while !is_cut(&way) {
            let seen = way.clone();
            let carried = tokio::select! {
                _ = async { way.wait_for(|way| way.cuts != began.cuts).await.map(drop) } => break,
                read = from_client.read(&mut there) => match read {
                    Ok(0) | Err(_) if !is_cut(&seen) => return,
                    Ok(read) if !is_cut(&seen) => to_server.write_all(&there[..read]).await,
                    Ok(_) | Err(_) => {
                        swallowed.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                },
                read = from_server.read(&mut back) => match read {
                    Ok(0) | Err(_) if !is_cut(&seen) => return,
                    Ok(read) if !is_cut(&seen) => to_client.write_all(&back[..read]).await,
                    Ok(_) | Err(_) => break,
                },
            };
            if carried.is_err() {
                return;
            }
        }
        silent(&mut from_client, &mut there, swallowed).await;
        // Its side was open until the test ended.
        drop((from_server, to_server));
    } else {
        silent(&mut from_client, &mut there, swallowed).await;
    }
    drop(to_client);
}

/// Takes what is sent, for ever, and passes nothing on.
async fn silent(from_client: &mut OwnedReadHalf, buffer: &mut [u8], swallowed: &AtomicU64) {
    while from_client.read(buffer).await.is_ok_and(|read| read > 0) {
        swallowed.fetch_add(1, Ordering::Relaxed);
    }
    std::future::pending().await
}
