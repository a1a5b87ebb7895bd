//! A way to a PostgreSQL server that can fall silent: connections stay open and carry nothing more, as behind a firewall that
//! forgot them or on a machine that lost its power.

use std::{net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

use crate::postgres::Server;

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
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
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, socket, seen));
        Self { address, way, _tasks: tasks }
    }

    /// The URL of a database of that server, through the proxy.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (url, _) = url.split_once('?').unwrap();
        url.replace("@localhost/", &format!("@{}/", self.address))
    }

    /// Connections that are open carry nothing more; new ones work.
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

async fn serve(listener: TcpListener, socket: PathBuf, way: watch::Receiver<Way>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let began = *way.borrow();
        let (socket, mut way) = (socket.clone(), way.clone());
        connections.spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let carry = async {
                if began.closed {
                    return std::future::pending().await;
                }
                let Ok(server) = UnixStream::connect(&socket).await else { return };
                let (mut from_server, mut to_server) = server.into_split();
                let (mut there, mut back) = ([0; 8192], [0; 8192]);
                loop {
                    let carried = tokio::select! {
                        read = from_client.read(&mut there) => match read {
                            Ok(0) | Err(_) => return,
                            Ok(read) => to_server.write_all(&there[..read]).await,
                        },
                        read = from_server.read(&mut back) => match read {
                            Ok(0) | Err(_) => return,
                            Ok(read) => to_client.write_all(&back[..read]).await,
                        },
                    };
                    if carried.is_err() {
                        return;
                    }
                }
            };
            let cut = async {
                let _ = way.wait_for(|way| way.cuts != began.cuts).await;
            };
            tokio::pin!(carry);
            tokio::select! {
                () = &mut carry => return,
                () = cut => {}
            }
            // Both sides stay open and hear nothing.
            std::future::pending::<()>().await;
        });
    }
}
