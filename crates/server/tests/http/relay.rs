//! A relay between a host and its server, which a test freezes or cuts, and which refuses streams as proxies do.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// The treatment of a request whose path has that end.
#[derive(Debug, Clone, Copy)]
pub enum Treatment {
    /// Answered with 501, as a proxy that knows no such thing.
    Refused(&'static str),
    /// Held up, as by a proxy that collects the body or the answer.
    Held(&'static str),
}

/// A relay between a host and its server.
#[derive(Clone)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    treatments: Vec<Treatment>,
    frozen: watch::Sender<bool>,
    cuts: watch::Sender<u64>,
    streams: watch::Sender<usize>,
}

impl Relay {
    pub async fn to(server: SocketAddr, treatments: &[Treatment]) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            treatments: treatments.to_vec(),
            frozen: watch::channel(false).0,
            cuts: watch::channel(0).0,
            streams: watch::channel(0).0,
        });
        let relay = Relay { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relayed(client, Arc::clone(&shared)));
            }
        });
        relay
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets nothing through, or lets all through that came meanwhile.
    pub fn freeze(&self, frozen: bool) {
        self.shared.frozen.send_replace(frozen);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Relays to another server from now on.
    pub fn turn_to(&self, server: SocketAddr) {
        *self.shared.server.lock().unwrap() = server;
        self.cut();
    }

    /// The number of streams that were let through.
    pub fn streams(&self) -> usize {
        *self.shared.streams.borrow()
    }

    /// Waits until that number of streams was let through.
    pub async fn until_streams(&self, least: usize) {
        let _ = self.shared.streams.subscribe().wait_for(|streams| *streams >= least).await;
    }
}

/// Relays a connection until it ends or is cut.
async fn relayed(client: TcpStream, shared: Arc<Shared>) {
    let (server, mut cuts) = (*shared.server.lock().unwrap(), shared.cuts.subscribe());
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answers = Arc::new(tokio::sync::Mutex::new(to_client));
    tokio::select! {
        () = up(from_client, to_server, &answers, &shared) => {}
        () = down(from_server, &answers, &shared) => {}
        _ = cuts.changed() => {}
    }
}

async fn thawed(shared: &Shared) {
    let _ = shared.frozen.subscribe().wait_for(|frozen| !frozen).await;
}

async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answers: &tokio::sync::Mutex<OwnedWriteHalf>,
    shared: &Shared,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        thawed(shared).await;
        let head = String::from_utf8_lossy(&bytes[..read]);
        let asks = |end: &str| head.lines().next().is_some_and(|line| line.ends_with(&format!("{end} HTTP/1.1")));
        for treatment in &shared.treatments {
            match treatment {
                Treatment::Refused(end) if asks(end) => {
                    let answer = b"HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = answers.lock().await.write_all(answer).await;
                    return;
                }
                Treatment::Held(end) if asks(end) => std::future::pending().await,
                _ => {}
            }
        }
        if asks("/duplex") || asks("/stream") {
            shared.streams.send_modify(|streams| *streams += 1);
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

async fn down(mut from: OwnedReadHalf, to: &tokio::sync::Mutex<OwnedWriteHalf>, shared: &Shared) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        thawed(shared).await;
        if to.lock().await.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
